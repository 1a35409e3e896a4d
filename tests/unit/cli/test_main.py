"""The edge: errors become words on stderr and exit codes, and never a traceback."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from wulfling import spec
from wulfling.cli import main as edge
from wulfling.errors import (
    BadFile,
    CommandFailed,
    IdentityMismatch,
    Locked,
    NodeFailed,
    Unreachable,
    WulflingError,
)

Run = Callable[..., tuple[int, str, str]]
WULFLING = (sys.executable, "-m", "wulfling")

BAD = """\
wulfling: 1
cluster: c
nodes:
  one: {address: 10.0.0.999, roles: [head, compute]}
  two: {address: 10.0.0.2, roles: [compote]}
storag: {/home: one}
"""


def started(*words: str, **options: str) -> subprocess.CompletedProcess[str]:
    """``wulfling`` in a process of its own, in the same empty home."""
    return subprocess.run(
        [*WULFLING, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **options},
    )


def in_the_way(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes the reading of the cluster file raise ``error``."""

    def failing(file: Path) -> None:
        raise error

    monkeypatch.setattr(spec, "read", failing)


# -- errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WulflingError("a fact", hint="a command", where="one"), 1),
        (Unreachable("a fact", hint="a command", where="one"), 3),
        (NodeFailed("a fact", hint="a command", where="one"), 4),
        (Locked("a fact", hint="a command", where="one"), 5),
        (BadFile([WulflingError("a fact", hint="a command", where="one")]), 6),
        (IdentityMismatch("a fact", hint="a command", where="one"), 8),
    ],
)
def test_each_error_has_its_exit_code_and_the_same_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: WulflingError, code: int
) -> None:
    in_the_way(monkeypatch, error)
    assert run("plan") == (code, "", "one: error: a fact\n  hint: a command\n")


def test_an_error_without_place_and_hint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way(monkeypatch, WulflingError("a fact"))
    assert run("plan") == (1, "", "error: a fact\n")


def test_a_command_that_failed_can_be_pasted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way(monkeypatch, CommandFailed(("mount", "/my dir"), 32, "no such device\n"))
    code, _, err = run("plan")
    assert code == 4
    assert err == "error: `mount '/my dir'` exited with 32:\nno such device\n"


def test_a_bad_file_tells_all_its_problems_before_any_ssh(home: Path) -> None:
    Path("bad.yaml").write_text(BAD)
    done = started("-f", "bad.yaml", "plan")
    assert (done.returncode, done.stdout) == (6, "")
    told = [line for line in done.stderr.splitlines() if ": error: " in line]
    assert [line.partition(": error: ")[0] for line in told] == [
        "bad.yaml:4:18",
        "bad.yaml:5:36",
        "bad.yaml:6:1",
    ]
    assert done.stderr.count("  hint: ") == 3
    assert "did you mean `compute`?" in done.stderr
    assert done.stderr.endswith("3 problems; no board was touched\n")
    assert not (home / "ssh-was-started").exists()


@pytest.mark.parametrize(
    "words", [["plan"], ["apply", "-y"], ["verify"], ["status"], ["explain", "one"]]
)
def test_no_verb_touches_a_board_for_a_bad_file(run: Run, home: Path, words: list[str]) -> None:
    Path("cluster.yaml").write_text(BAD)
    assert run(*words)[0] == 6
    assert not (home / "ssh-was-started").exists()


@pytest.mark.parametrize("verb", ["plan", "apply", "verify", "status", "export hosts", "lab down"])
def test_a_missing_file_is_told_with_the_way_to_one(run: Run, verb: str) -> None:
    code, out, err = run(*verb.split())
    assert (code, out) == (6, "")
    assert err.startswith("cluster.yaml: error: there is no file cluster.yaml\n")
    assert "`wulfling init`" in err


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["plan", "--bogus"],
        ["--bogus"],
        ["lab", "bogus"],
        ["explain"],
        ["plan", "-o", "yaml"],
        ["plan", "too", "many"],
        ["export", "machinefile", "--slots", "many"],
        ["export", "machinefile", "--slots", "0"],
        ["export", "machinefile", "--slots", "-3"],
    ],
)
def test_what_cannot_be_understood_is_64(run: Run, file: Path, words: list[str]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (64, "")
    assert "Usage: wulfling" in err
    assert "Error: " in err


def test_a_bug_is_one_line_and_a_hint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way(monkeypatch, ZeroDivisionError("division by zero"))
    code, out, err = run("plan")
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == "error: a bug in wulfling: ZeroDivisionError: division by zero"
    assert "WULFLING_DEBUG=1" in err


def test_a_bug_has_its_traceback_when_it_is_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way(monkeypatch, ZeroDivisionError("division by zero"))
    monkeypatch.setenv("WULFLING_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("plan")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_an_interruption_is_130(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    in_the_way(monkeypatch, error)
    code, out, err = run("plan")
    assert (code, out) == (130, "")
    assert err.strip() == "interrupted: nothing is half-done, run it again"


def test_ctrl_c_while_boards_are_being_reached(file: Path, home: Path) -> None:
    # A shell lets what it starts in the background ignore Ctrl-C, and a child inherits that.
    argv = ["env", "--default-signal=INT", *WULFLING, "plan"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True) as process:
        deadline = time.monotonic() + 30
        while not (home / "ssh-was-started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "interrupted" in err


@pytest.mark.parametrize("words", [["export", "hosts"], ["--help"]])
def test_a_reader_who_has_seen_enough_is_no_error(file: Path, words: list[str]) -> None:
    """141 is what the shell has for any program that SIGPIPE ends: 128 + 13."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*WULFLING, *words], stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_that_has_no_korean_is_no_error() -> None:
    done = started("-f", "클러스터.yaml", "init", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\\ud074\\ub7ec\\uc2a4\\ud130.yaml is written\n"


# -- colours


def on_a_terminal(*words: str, **options: str) -> bytes:
    """What ``wulfling`` shows on a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*WULFLING, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        check=False,
        timeout=60,
        env={**os.environ, "TERM": "xterm", **options},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert done.returncode == 6
    return shown


def test_colours_on_a_terminal_and_not_with_no_color() -> None:
    assert b"\x1b[31m" in on_a_terminal("plan")
    assert b"\x1b" not in on_a_terminal("plan", NO_COLOR="1")
    assert b"\x1b[31m" in on_a_terminal("plan", NO_COLOR="")  # no-color.org: not when empty


# -- help


def imported(*words: str) -> set[str]:
    """The modules that are there after ``wulfling`` with these words has ended."""
    code = (
        "import sys, json, wulfling.cli.main as edge\n"
        f"code = edge.main({list(words)!r})\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert "Usage: wulfling" in done.stdout
    return set(modules)


SLOW = {"pydantic", "ruamel.yaml", "rich", "ClusterShell"}


def test_help_waits_for_no_library() -> None:
    modules = imported("--help")
    assert not modules & (SLOW | {"asyncio", "subprocess", "wulfling.transport.ssh"})


@pytest.mark.parametrize("verb", [*edge.VERBS, "lab up", "export hosts", "node shell"])
def test_no_verbs_help_waits_for_a_slow_library(verb: str) -> None:
    assert not imported(*verb.split(), "--help") & SLOW


def test_help_names_every_verb_with_a_line(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for verb, (_, line) in edge.VERBS.items():
        assert f"  {verb} " in out
        assert line in " ".join(out.split())


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("wulfling, version 0.")
