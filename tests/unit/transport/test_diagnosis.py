"""Words that ssh and sudo really said, and what they mean."""

from dataclasses import replace
from pathlib import Path

import pytest

from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable, WulflingError
from wulfling.transport.diagnosis import diagnosed, ended
from wulfling.transport.link import Address, Refused, Unpinned

TO = Address(node="n1", host="10.0.0.1", users=("pi",))
VIRTUAL = replace(TO, virtual=True)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd"
OTHER = "SHA256:" + "x" * 43

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
The fingerprint for the ED25519 key sent by the remote host is
{seen}.
Add correct host key in {file} to get rid of this message.
Offending ED25519 key in {file}:1
Host key for 10.0.0.1 has changed and you have requested strict checking.
Host key verification failed.
"""

TABLE = [
    (
        255,
        "ssh: connect to host 10.0.0.1 port 22: No route to host\n",
        Unreachable,
        "10.0.0.1 port 22: No route to host",
    ),
    (
        255,
        "ssh: connect to host 10.0.0.1 port 22: Connection refused\n",
        Unreachable,
        "10.0.0.1 port 22: Connection refused",
    ),
    (
        255,
        "10.0.0.1: No route to host\nConnection closed by UNKNOWN port 65535\n",
        Unreachable,
        "10.0.0.1: No route to host",
    ),
    (
        255,
        "ssh: Could not resolve hostname n1: Name or service not known\n",
        Unreachable,
        "ssh: Could not resolve hostname n1: Name or service not known",
    ),
    (
        255,
        "Timeout, server 10.0.0.1 not responding.\n",
        Unreachable,
        "Timeout, server 10.0.0.1 not responding",
    ),
    (
        255,
        "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out\n",
        Unreachable,
        "Connection timed out during banner exchange",
    ),
    (
        255,
        "client_loop: send disconnect: Broken pipe\nConnection to 10.0.0.1 closed by remote host.",
        Unreachable,
        "Connection to 10.0.0.1 closed by remote host",
    ),
    (255, "Connection closed by UNKNOWN port 65535\n", Unreachable, "the connection ended"),
    (255, "", Unreachable, "ssh gave up and said nothing"),
    (255, "pi@10.0.0.1: Permission denied (publickey).\n", Refused, "does not let pi in"),
    (
        255,
        "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking.\n"
        "Host key verification failed.\n",
        Unpinned,
        "the host key of 10.0.0.1 is not pinned yet",
    ),
    (
        255,
        "Unable to negotiate with 10.0.0.1 port 22: no matching cipher found.",
        NodeFailed,
        "no m",
    ),
    (1, "sudo: a password is required\n", NodeFailed, "sudo asks pi for a password"),
    (
        1,
        "sudo: a terminal is required to read the password; either use the -S option\n"
        "sudo: a password is required\n",
        NodeFailed,
        "sudo asks pi for a password",
    ),
    (1, "pi is not in the sudoers file.\n", NodeFailed, "sudo asks pi for a password"),
    (1, "sudo: /usr/bin/python3: command not found\n", NodeFailed, "it has no /usr/bin/python3"),
    (127, "bash: line 1: sudo: command not found\n", NodeFailed, "it has no sudo"),
    (127, "sh: 1: sudo: not found\n", NodeFailed, "it has no sudo"),
    (
        127,
        "bash: line 1: /usr/bin/python3: No such file or directory\n",
        NodeFailed,
        "it has no /usr/bin/python3",
    ),
    (137, "", NodeFailed, "the node program was killed"),
    (1, "MemoryError\n", NodeFailed, "the node program ended with 1: MemoryError"),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own ~/.ssh/known_hosts takes part."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(("code", "said", "kind", "words"), TABLE)
def test_what_ssh_said(code: int, said: str, kind: type[WulflingError], words: str) -> None:
    error = ended(TO, "pi", code, said)
    assert type(error) is kind
    assert words in error.message
    assert error.where == "n1"


def test_every_error_of_a_first_contact_says_what_to_type() -> None:
    for said in ("sudo: a password is required", "sudo: /usr/bin/python3: command not found"):
        assert "pi" in ended(TO, "pi", 1, said).hint
    assert "ssh-keyscan -t ed25519 10.0.0.1" in ended(TO, "pi", 255, TABLE[10][1]).hint


def test_a_lab_that_is_down_is_called_that() -> None:
    said = "10.0.0.1: No such file or directory\nConnection closed by UNKNOWN port 65535\n"
    error = ended(VIRTUAL, "pi", 255, said)
    assert (error.message, error.hint) == ("10.0.0.1: its lab is down", "wulfling lab up")


def test_an_unreachable_board_has_a_hint() -> None:
    refused = "ssh: connect to host 10.0.0.1 port 22: Connection refused\n"
    assert "systemctl enable --now ssh" in ended(TO, "pi", 255, refused).hint
    assert "ping -c 3 10.0.0.1" in ended(TO, "pi", 255, TABLE[0][1]).hint


def test_a_program_may_exit_with_255_and_say_what_it_likes() -> None:
    assert diagnosed(TO, "pi", 255, "mount.nfs: access denied") is None
    assert diagnosed(TO, "pi", 1, "grep: no such file") is None


def _pinned(tmp_path: Path) -> Address:
    file = tmp_path / "known_hosts"
    file.write_text(f"10.0.0.1 {KEY}\n")
    return Address(node="n1", host="10.0.0.1", users=("pi",), known_hosts=(file,))


def test_a_changed_host_key_names_both_fingerprints(tmp_path: Path) -> None:
    to = _pinned(tmp_path)
    error = ended(to, "pi", 255, CHANGED.format(seen=OTHER, file=to.known_hosts[0]))
    assert isinstance(error, IdentityMismatch)
    assert OTHER in error.message
    assert "pinned is SHA256:" in error.message
    assert f"ssh-keygen -R '10.0.0.1' -f {to.known_hosts[0]}" in error.hint


def test_a_key_of_another_kind_than_the_pinned_one_is_a_mismatch_too(tmp_path: Path) -> None:
    said = "No RSA host key is known for 10.0.0.1 and you have requested strict checking.\n"
    error = ended(_pinned(tmp_path), "pi", 255, said + "Host key verification failed.\n")
    assert isinstance(error, IdentityMismatch)
    assert "of another kind" in error.message


def test_noise_is_not_told() -> None:
    said = (
        "** WARNING: connection is not using a post-quantum key exchange algorithm.\n"
        "Warning: Permanently added '10.0.0.1' to the list of known hosts.\nwhat matters\n"
    )
    assert ended(TO, "pi", 1, said).message == "the node program ended with 1: what matters"
