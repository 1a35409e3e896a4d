"""``wulfling node shell``: it becomes ssh."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ssh(home: Path) -> None:
    """An ``ssh`` that shows its words and exits with 7."""
    (home / "bin" / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')


def test_a_node_that_is_not_there(run: Run, file: Path, home: Path) -> None:
    code, out, err = run("node", "shell", "three")
    assert (code, out) == (1, "")
    assert "there is no node three" in err
    assert "one, two" in err
    assert not (home / "ssh-was-started").exists()


@pytest.mark.usefixtures("ssh", "file")
def test_a_commands_words_arrive_as_they_are_and_its_exit_code_is_ours() -> None:
    argv = [sys.executable, "-m", "wulfling", "node", "shell", "two", "--", "grep", "-c", "a  b"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 7, done.stderr
    words = done.stdout.splitlines()
    assert words[-3:] == ["--", "10.9.9.2", "grep -c 'a  b'"]
    assert words[words.index("-l") + 1] == "wulfling"
