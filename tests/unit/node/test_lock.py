"""Two operators, and operators that die: with real processes of the node program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wulfling
from wulfling.errors import Locked
from wulfling.model.resource import Resource
from wulfling.node import lock as module
from wulfling.node.lock import BoardLock
from wulfling.node.resources import as_json
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File

PROGRAM = """\
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from wulfling.node import lock
from wulfling.node.program import main
lock.GRACE_SECONDS, lock.TELL_EVERY = float(sys.argv[3]), 0.1
os._exit(main(sys.stdin.buffer, sys.stdout.buffer, Path(sys.argv[2])))
"""
SRC = str(Path(wulfling.__file__).parents[1])
PATIENCE = 30.0  # seconds; a busy machine is no failure


class Operator:
    """A controller and its node program, which is a process of its own."""

    def __init__(self, root: Path, name: str, grace: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, SRC, str(root), str(grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.mouth, self.ear = self.process.stdin, self.process.stdout
        self.say(do="apply", operator=name)

    def say(self, **message: Any) -> None:
        self.mouth.write(json.dumps(message).encode() + b"\n")
        self.mouth.flush()

    def declare(self, *resources: Resource) -> None:
        self.say(resources=[as_json(resource) for resource in resources])

    def hear(self) -> dict[str, Any]:
        line = self.ear.readline()
        assert line, "the program ended"
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

    def hear_until(self, event: str) -> list[dict[str, Any]]:
        events = [self.hear()]
        while events[-1]["event"] != event:
            events.append(self.hear())
        return events

    def ended(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def operator(root: Path) -> Iterator[Callable[..., Operator]]:
    operators: list[Operator] = []

    def start(name: str, grace: float = 0.3) -> Operator:
        operators.append(Operator(root, name, grace))
        return operators[-1]

    yield start
    for one in operators:
        one.process.kill()
        one.process.wait()
        for stream in (one.mouth, one.ear):
            try:
                stream.close()
            except BrokenPipeError:
                pass


@pytest.fixture
def slow(root: Path) -> File:
    """A file that takes as long as there is no file ``go`` beside it."""
    wait = f"until [ -e {root}/etc/go ]; do sleep 0.05; done"
    return File(path="/etc/slow", content="x", validate=("sh", "-c", wait))


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_the_second_operator_is_told_who_is_at_work(
    operator: Callable[..., Operator], root: Path
) -> None:
    kim = operator("kim@laptop")
    assert kim.hear()["event"] == "hello"
    lee = operator("lee@desk")
    locked = lee.hear()
    assert locked["event"] == "locked"
    assert locked["by"].startswith("kim@laptop is changing this board since 2")
    assert lee.ended() == Locked.exit_code
    kim.declare(Directory(path="/srv"))
    kim.hear_until("done")
    assert kim.ended() == 0
    assert operator("lee@desk").hear()["event"] == "hello"


def test_a_lock_ends_with_its_holder(operator: Callable[..., Operator], root: Path) -> None:
    kim = operator("kim@laptop")
    kim.hear()
    kim.process.kill()
    kim.ended()
    assert operator("lee@desk").hear()["event"] == "hello"


def test_a_killed_operator_leaves_no_half_step_and_no_lock(
    operator: Callable[..., Operator], root: Path, slow: File
) -> None:
    """The step that was begun is brought to its end, the next one is not begun; who comes
    meanwhile is told what the board waits for."""
    kim = operator("kim@laptop")
    kim.hear()
    kim.declare(slow, Directory(path="/srv"))
    assert kim.hear() == {"event": "begin", "key": "file:/etc/slow"}
    until((root / "etc/.slow.wulfling-new").exists)
    kim.mouth.close()
    kim.ear.close()
    until(lambda: json.loads((root / "run/wulfling.lock").read_text())["orphan"])
    lee = operator("lee@desk")
    assert lee.hear() == {
        "event": "waiting",
        "for": "a killed apply of kim@laptop to finish its last step",
    }
    (root / "etc/go").touch()
    events = lee.hear_until("hello")
    assert events[-1]["repaired"] == []
    assert kim.ended() == 1
    assert (root / "etc/slow").read_text() == "x"
    assert not (root / "srv").exists()
    lee.declare(slow, Directory(path="/srv"))
    steps = {e["key"]: e["status"] for e in lee.hear_until("done") if e["event"] == "step"}
    assert steps == {"file:/etc/slow": "ok", "directory:/srv": "changed"}


def test_an_operator_who_has_been_killed_a_moment_ago_is_not_in_the_way(
    operator: Callable[..., Operator], root: Path
) -> None:
    """The board hears of the death after the next operator has come: that one waits a little."""
    kim = operator("kim@laptop")
    kim.hear()
    lee = operator("lee@desk", grace=PATIENCE)
    time.sleep(0.5)
    kim.mouth.close()
    assert lee.hear_until("hello")


def test_a_program_that_is_killed_in_a_step(
    operator: Callable[..., Operator], root: Path, slow: File
) -> None:
    kim = operator("kim@laptop")
    kim.hear()
    kim.declare(slow)
    kim.hear_until("begin")
    until((root / "etc/.slow.wulfling-new").exists)
    kim.process.kill()
    kim.ended()
    (root / "etc/go").touch()
    lee = operator("lee@desk")
    assert lee.hear()["repaired"] == [
        "the last run was cut off at file:/etc/slow, which is looked at again"
    ]
    assert not (root / "etc/.slow.wulfling-new").exists()
    lee.declare(slow)
    assert lee.hear_until("done")[-2]["status"] == "changed"


def test_the_end_of_the_session_ends_no_step(
    operator: Callable[..., Operator], root: Path, slow: File
) -> None:
    """sshd and sudo send SIGHUP when the line is cut."""
    kim = operator("kim@laptop")
    kim.hear()
    kim.declare(slow)
    kim.hear_until("begin")
    until((root / "etc/.slow.wulfling-new").exists)
    os.kill(kim.process.pid, signal.SIGHUP)
    (root / "etc/go").touch()
    kim.hear_until("done")
    assert kim.ended() == 0


def test_waiting_has_an_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(module, "TELL_EVERY", 0.0)
    told: list[str] = []
    place = root / "run/lock"
    kim, lee = BoardLock(place), BoardLock(place)
    kim.take("kim@laptop", told.append)
    with pytest.raises(Locked, match="kim@laptop"):
        lee.take("lee@desk", told.append)
    assert told == []
    kim.orphan()
    with pytest.raises(Locked, match="kim@laptop"):
        lee.take("lee@desk", told.append)
    assert told
    kim.free()
    lee.take("lee@desk", told.append)
    assert json.loads(place.read_text())["operator"] == "lee@desk"
    lee.free()


@pytest.mark.parametrize("text", ["", "{", "[]", '"kim"'])
def test_a_lock_file_that_makes_no_sense(
    root: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1)
    place = root / "run/lock"
    kim, lee = BoardLock(place), BoardLock(place)
    kim.take("kim@laptop", print)
    place.write_text(text)
    with pytest.raises(Locked, match="somebody"):
        lee.take("lee@desk", print)
    kim.free()
    lee.free()
