"""The board itself: its commands and its tables. No answers here but those of this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.board import Board

PYTHON = sys.executable


def test_run_gives_what_was_printed() -> None:
    assert Board().run([PYTHON, "-c", "print(input())"], stdin="hello") == "hello\n"


def test_a_command_that_fails() -> None:
    code = "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"
    with pytest.raises(CommandFailed, match="exited with 3:\nerr"):
        Board().run([PYTHON, "-c", code])
    assert Board().run([PYTHON, "-c", code], check=False) == "out\n"
    assert Board().ask([PYTHON, "-c", code]) == (3, "out\n", "err")


def test_a_command_that_is_not_there() -> None:
    code, out, err = Board().ask(["no-such-command"])
    assert (code, out) == (127, "")
    assert "no-such-command" in err


def test_a_command_that_hangs() -> None:
    code, _, err = Board().ask([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.3)
    assert (code, err) == (124, "no end after 0.3 s")


def test_commands_speak_english_and_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    monkeypatch.setenv("PATH", "/tmp/somewhere")
    out = Board().run([PYTHON, "-c", "import os; print(os.environ)"])
    assert "'LC_ALL': 'C.UTF-8'" in out
    assert "'DEBIAN_FRONTEND': 'noninteractive'" in out
    assert "/tmp/somewhere" not in out


def test_no_command_gets_our_standard_input() -> None:
    """It is the wire to the controller."""
    assert Board().run([PYTHON, "-c", "import sys; print(sys.stdin.read() == '')"]) == "True\n"


def test_what_is_expected_is_started_once_and_asked_for_later(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    board = Board()
    words = [PYTHON, "-c", f"open({str(mark)!r}, 'a').write('x'); print('hello')"]
    board.expect(words)
    board.expect(words)
    deadline = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert board.ask(words) == (0, "hello\n", "")
    assert mark.read_text() == "x"
    board.ask(words)
    assert mark.read_text() == "xx"


def test_a_change_ends_what_was_expected() -> None:
    board = Board()
    board.expect([PYTHON, "-c", "import time; time.sleep(60)"])
    board.expect(["no-such-command"])
    started = time.monotonic()
    board.unexpect()
    assert time.monotonic() - started < 30
    assert board.ask(["no-such-command"])[0] == 127


def test_paths_lie_below_the_root(root: Path) -> None:
    assert Board(root).path("/etc/passwd") == root / "etc/passwd"
    assert Board().path("/etc/passwd") == Path("/etc/passwd")


def test_text(board: Board, root: Path) -> None:
    (root / "etc/x").write_bytes(b"a\r\n\xe9")
    assert board.text("/etc/x") == "a\r\n\udce9"
    assert board.text("/etc/none") is None
    assert board.text("/etc/passwd/none") is None
    assert board.lines("/etc/none") == []


def test_asked_once_until_forgotten(board: Board) -> None:
    numbers = iter(range(9))
    assert [board.once("q", lambda: next(numbers)) for _ in range(3)] == [0, 0, 0]
    board.forget("other")
    assert board.once("q", lambda: next(numbers)) == 0
    board.forget("q", "never asked")
    assert board.once("q", lambda: next(numbers)) == 1


def test_names_and_numbers(board: Board) -> None:
    assert (board.user_name(111), board.group_name(112)) == ("munge", "munge")
    assert (board.user_name(9), board.group_name(9)) == ("9", "9")
    assert (board.uid("munge"), board.gid("munge")) == (111, 112)
    assert (board.uid("5000"), board.gid("5000")) == (5000, 5000)
    with pytest.raises(CommandFailed, match="there is no slurm"):
        board.gid("slurm")


def test_of_two_names_for_one_number_the_first_counts(board: Board, root: Path) -> None:
    with (root / "etc/passwd").open("a") as file:
        file.write("toor:x:111:111::/:/bin/sh\n")
    assert board.user_name(111) == "munge"


def test_nobody_sends_files() -> None:
    with pytest.raises(WulflingError, match="nobody here has the file"):
        Board().blob("0" * 64)
