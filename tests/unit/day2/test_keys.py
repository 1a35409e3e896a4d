"""Exported keys: age alone opens them, and they come back as they were."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from wulfling.day2 import keys
from wulfling.errors import CommandFailed, WulflingError
from wulfling.transport import pins

FILES = {
    "operator/known_hosts": "10.9.9.1 ssh-ed25519 AAAA\n",
    "operator/devices/phone.conf": "[Interface]\n",
    "one/var/lib/wulfling/secrets/munge_key": "0123abcd",
}

real_age = pytest.mark.skipif(not shutil.which("age"), reason="age is not installed")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    key = tmp_path / "key"
    pins.new_key(key, "kim")
    return key


@real_age
def test_age_opens_what_was_written_and_nobody_else_reads_it(
    tmp_path: Path, identity: Path
) -> None:
    out = tmp_path / "cluster.age"
    public = Path(f"{identity}.pub").read_text().strip()
    keys.encrypt(FILES, "c", [public], out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert b"0123abcd" not in out.read_bytes()
    opened = subprocess.run(
        ["age", "-d", "-i", identity, out], capture_output=True, check=True, text=True
    )
    assert json.loads(opened.stdout)["files"] == FILES
    assert keys.decrypt(out, identity, "c") == FILES
    assert sorted(place.name for place in tmp_path.iterdir()) == ["cluster.age", "key", "key.pub"]


@real_age
def test_a_file_of_recipients_will_do(tmp_path: Path, identity: Path) -> None:
    out = tmp_path / "cluster.age"
    keys.encrypt(FILES, "c", [f"{identity}.pub"], out)
    assert keys.decrypt(out, identity, "c") == FILES


@real_age
def test_what_is_no_recipient_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="nobody"):
        keys.encrypt(FILES, "c", ["nobody"], tmp_path / "cluster.age")
    assert not [place for place in tmp_path.iterdir() if "age" in place.name]


@real_age
def test_another_cluster_is_refused(tmp_path: Path, identity: Path) -> None:
    out = tmp_path / "cluster.age"
    keys.encrypt(FILES, "c", [f"{identity}.pub"], out)
    with pytest.raises(WulflingError, match="has the keys of c, and this is d"):
        keys.decrypt(out, identity, "d")


def test_this_machine_gets_its_part_back_with_private_modes() -> None:
    folder = pins.state_directory("c")
    (folder / "known_hosts").write_text("another\n")
    assert keys.differing(FILES, "c") == ("known_hosts",)
    assert keys.keep_here(FILES, "c") == ("known_hosts", "devices/phone.conf")
    for name in ("known_hosts", "devices/phone.conf"):
        assert (folder / name).read_text() == FILES[f"operator/{name}"]
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert keys.keep_here(FILES, "c") == ()
    assert keys.differing(FILES, "c") == ()


def test_the_authority_for_host_certificates_is_among_what_is_saved() -> None:
    """It is nowhere else, and people have its line."""
    pins.new_key(pins.state_directory("c") / "host_ca", "test")
    assert {"operator/host_ca", "operator/host_ca.pub"} <= set(dict(keys._of_this_machine("c")))


def test_a_name_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(WulflingError, match="lies outside"):
        keys.keep_here({"operator/../../x": ""}, "c")
