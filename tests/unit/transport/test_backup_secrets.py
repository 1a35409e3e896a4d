"""What opens the backup is on this machine too, and the head's are the ones that count."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.model.cluster import BackupSecrets
from wulfling.transport import backup_secrets, pins

HEADS = BackupSecrets("head's password", "head's key\n", "ssh-ed25519 AAAA head")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_made_once_and_for_nobody_else() -> None:
    assert backup_secrets.kept("c") is None
    made = backup_secrets.settled("c", None)
    assert backup_secrets.settled("c", None) == made == backup_secrets.kept("c")
    assert len(made.password) == 64
    assert made.key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert made.public.startswith("ssh-ed25519 ")
    for name in (backup_secrets.PASSWORD, backup_secrets.KEY):
        assert (pins.state_directory("c") / name).stat().st_mode & 0o777 == 0o600
    assert made.password not in repr(made)
    assert made.key not in repr(made)


def test_the_heads_are_kept_here_for_when_it_is_gone() -> None:
    backup_secrets.settled("c", None)
    assert backup_secrets.settled("c", HEADS) == HEADS
    assert backup_secrets.kept("c") == HEADS
    assert backup_secrets.settled("c", None) == HEADS
    assert backup_secrets.kept("other") is None
