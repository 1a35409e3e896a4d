"""A password that is made, kept as a hash by its owner, and taken for nobody else."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from wulfling.node import desktop


@pytest.fixture
def kim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of kim, who is who runs this."""
    entry = pwd.struct_passwd(("kim", "x", 2001, 2001, "", str(tmp_path), "/bin/bash"))
    monkeypatch.setattr(pwd, "getpwnam", {"kim": entry}.__getitem__)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda to: None)
    return tmp_path


def check(password: str, user: str = "kim") -> int:
    return desktop._check(user, f"{password}\0".encode())


def test_what_is_made_opens_it_and_the_one_before_does_not(
    kim: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    passwords = []
    for _ in range(2):
        assert desktop.main(()) == 0
        name, password = capsys.readouterr().out.splitlines()[:2]
        assert name.split() == ["name", "kim"]
        passwords.append(password.split()[1])
    old, new = passwords
    assert len(new) == 23
    assert (check(new), check(old), check("")) == (0, 1, 1)
    kept = (kim / desktop.PLACE).read_text()
    assert new not in kept
    assert (kim / desktop.PLACE).stat().st_mode & 0o777 == 0o600
    assert os.listdir(kim) == [desktop.PLACE]


def test_nobody_without_one_gets_in(kim: Path) -> None:
    assert check("") == 1
    assert check("anything", user="mallory") == 1
    for text in ("", "\n", ":", "::", "not base64"):
        (kim / desktop.PLACE).write_text(text)
        (kim / desktop.PLACE).chmod(0o600)
        assert check("") == 1


def test_a_hash_that_others_could_have_written_does_not_count(kim: Path) -> None:
    desktop.write(kim, "secret")
    assert check("secret") == 0
    (kim / desktop.PLACE).chmod(0o660)
    assert check("secret") == 1
    (kim / desktop.PLACE).rename(kim / "elsewhere")
    (kim / "elsewhere").chmod(0o600)
    (kim / desktop.PLACE).symlink_to("elsewhere")
    assert check("secret") == 1


def test_root_and_daemons_have_no_desktop(
    kim: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desktop.write(kim, "secret")
    entry = pwd.struct_passwd(("root", "x", 0, 0, "", str(kim), "/bin/bash"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
    assert check("secret", user="root") == 1
    assert desktop.main(()) == 1
    assert "the desktop is for people" in capsys.readouterr().err


def test_a_password_in_an_argument_is_refused(
    kim: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desktop.main(("hunter2",)) == 64
    assert "hunter2" not in capsys.readouterr().err
