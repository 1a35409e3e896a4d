"""What this machine remembers of a cluster."""

import stat
import subprocess
from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.transport import pins

ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAeHOjq9TgMVsYVAuV0f4h2qLq6hQvxoZCh3YFPRBhcS"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_private(state: Path) -> None:
    folder = pins.state_directory("c")
    assert folder == state / "wulfling" / "clusters" / "c"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_relative_xdg_path_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pins.state_directory("c") == tmp_path / ".local/state/wulfling/clusters/c"


def test_pinning_replaces_what_was_pinned_for_that_address_only() -> None:
    pins.pin("c", "10.0.0.1", [ONE])
    pins.pin("c", "10.0.0.2", [ONE + " root@two"])
    pins.pin("c", "10.0.0.1", [TWO])
    assert pins.pinned("c", "10.0.0.1") == (TWO,)
    assert pins.pinned("c", "10.0.0.2") == (ONE,)
    assert pins.pinned("c", "10.0.0.3") == ()
    assert stat.S_IMODE(pins.known_hosts("c").stat().st_mode) == 0o600


def test_pinning_what_is_pinned_writes_nothing() -> None:
    pins.pin("c", "10.0.0.1", [ONE])
    before = pins.known_hosts("c").stat()
    pins.pin("c", "10.0.0.1", [ONE])
    assert pins.known_hosts("c").stat().st_ino == before.st_ino


def test_unpinning_is_pinning_nothing() -> None:
    pins.pin("c", "10.0.0.1", [ONE])
    pins.pin("c", "10.0.0.1", [])
    assert pins.pinned("c", "10.0.0.1") == ()


@pytest.mark.parametrize(
    "words", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa " + ONE.split()[1], "a\nb c"]
)
def test_what_is_no_public_key_is_refused(words: str) -> None:
    with pytest.raises(WulflingError, match="no SSH public key"):
        pins.pin("c", "10.0.0.1", [words])
    assert not pins.known_hosts("c").exists()


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    key = pins.identity("c")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True
    ).stdout
    assert pins.fingerprint(Path(f"{key}.pub").read_text()) == shown.split()[1]


def test_the_key_pair_is_made_once_and_is_private() -> None:
    key = pins.identity("c")
    content = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert pins.identity("c").read_bytes() == content
    assert Path(f"{key}.pub").read_text().startswith("ssh-ed25519 ")
