"""A board that is a folder and a strict table of answers; a command not in it is an error."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.program import main
from wulfling.node.resources import as_json

Answer = str | tuple[int, str] | Callable[[], str]
Answers = dict[tuple[str, ...], Answer]
Event = dict[str, Any]


class TableBoard(Board):
    """``answers`` maps commands to what they print, to exit code and stderr, or to a function
    that does what the command would do. ``ran`` are the commands so far, with their input;
    ``expected`` the names of those that were announced, and "nothing" for each end of that."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers: Answers = {}
        self.ran: list[tuple[str, ...]] = []
        self.expected: list[str] = []

    def ask(
        self, argv: Sequence[str], *, stdin: str = "", timeout: float | None = None
    ) -> tuple[int, str, str]:
        """The answer in the table. Raises ``AssertionError`` when there is none."""
        self.ran.append((*argv, stdin) if stdin else tuple(argv))
        assert tuple(argv) in self.answers, f"nobody expected the command {list(argv)}"
        answer = self.answers[tuple(argv)]
        if callable(answer):
            answer = answer()
        return (0, answer, "") if isinstance(answer, str) else (answer[0], "", answer[1])

    def expect(self, argv: Sequence[str]) -> None:
        """Nothing is started before it is asked for."""
        self.expected.append(argv[0])

    def unexpect(self) -> None:
        """There is nothing to end."""
        self.expected.append("nothing")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a board. Its "root" is whoever runs the tests, so that they need no root."""
    place = tmp_path / "root"
    for folder in (
        "etc/ssh",
        "proc",
        "run",
        "usr/sbin",
        "var/lib/dpkg/updates",
        "var/lib/apt/lists",
    ):
        (place / folder).mkdir(parents=True)
    uid, gid = os.getuid(), os.getgid()
    (place / "etc/passwd").write_text(
        f"root:x:{uid}:{gid}:root:/root:/bin/bash\n+::::::\nmunge:x:111:112::/nonexistent:/bin/sh\n"
    )
    (place / "etc/group").write_text(f"root:x:{gid}:\nmunge:x:112:\nvideo:x:44:pi,kim\n")
    (place / "var/lib/dpkg/status").write_text("")
    return place


@pytest.fixture
def table(root: Path) -> TableBoard:
    return TableBoard(root)


@pytest.fixture
def board(table: TableBoard) -> Board:
    """The board to give to resources."""
    return table


@pytest.fixture
def answers(table: TableBoard) -> Answers:
    """What the board's commands answer; empty at first."""
    return table.answers


@pytest.fixture
def ran(table: TableBoard) -> list[tuple[str, ...]]:
    """The commands that were run on the board."""
    return table.ran


@pytest.fixture
def expected(table: TableBoard) -> list[str]:
    """The commands that were announced."""
    return table.expected


class Talk:
    """The controller's side of one conversation with the node program, which runs in a thread.

    ``events`` is all that the program said, ``code`` its exit code. ``hear`` reads up to and
    with an event of that name; ``say`` answers; ``hang_up`` is the death of the controller.
    """

    def __init__(self, board: Board) -> None:
        there, self._say = os.pipe()
        self._hear, back = os.pipe()
        self._incoming, self._outgoing = os.fdopen(there, "rb"), os.fdopen(back, "wb")
        self._mouth: IO[bytes] | None = os.fdopen(self._say, "wb")
        self._ear = os.fdopen(self._hear, "rb")
        self.events: list[Event] = []
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run, args=(board,))
        self._thread.start()

    def _run(self, board: Board) -> None:
        self.code = main(self._incoming, self._outgoing, board=board)
        try:
            self._outgoing.close()
        except BrokenPipeError:
            pass

    def say(self, **message: Any) -> None:
        """One message to the program."""
        self.shout(json.dumps(message).encode() + b"\n")

    def shout(self, data: bytes) -> None:
        """Bytes as they are."""
        assert self._mouth
        self._mouth.write(data)
        self._mouth.flush()

    def declare(self, *resources: Resource, **more: Any) -> None:
        """What should be."""
        self.say(resources=[as_json(resource) for resource in resources], **more)

    def hear(self, name: str) -> Event:
        """The next event called ``name``; those before it go by."""
        for line in self._ear:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == name:
                return self.events[-1]
        raise AssertionError(f"no {name} but {self.events}")

    def hang_up(self) -> None:
        """Close the program's input."""
        if self._mouth:
            self._mouth.close()
            self._mouth = None

    def rest(self) -> int | None:
        """Hear the program out, and give its exit code."""
        self.events += [json.loads(line) for line in self._ear]
        self._thread.join(10)
        self.close()
        return self.code

    def close(self) -> None:
        """Let go of everything."""
        self.hang_up()
        self._ear.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._incoming.close()

    @property
    def steps(self) -> dict[str, Event]:
        """Steps by key."""
        return {event["key"]: event for event in self.events if event["event"] == "step"}

    @property
    def statuses(self) -> dict[str, str]:
        """How each step ended."""
        return {key: step["status"] for key, step in self.steps.items()}


@pytest.fixture
def talk(table: TableBoard) -> Iterator[Callable[[], Talk]]:
    """Starts a conversation with the node program on the board."""
    talks: list[Talk] = []

    def start() -> Talk:
        fresh = TableBoard(table.root)
        fresh.answers, fresh.ran, fresh.expected = table.answers, table.ran, table.expected
        talks.append(Talk(fresh))
        return talks[-1]

    yield start
    for one in talks:
        one.close()


@pytest.fixture
def run(talk: Callable[[], Talk]) -> Callable[..., Talk]:
    """A whole plan or apply, with every wait granted and every blob given from ``blobs``."""

    def converse(
        do: str, *resources: Resource, blobs: dict[str, bytes] | None = None, **more: Any
    ) -> Talk:
        one = talk()
        one.say(do=do, operator="kim@laptop", **more)
        one.hear("hello")
        one.declare(*resources, retire=True)
        while one.events[-1]["event"] not in ("done", "failed"):
            event = json.loads(one._ear.readline())
            one.events.append(event)
            if event["event"] == "await":
                one.say(go=event["key"])
            if event["event"] == "need":
                data = (blobs or {})[event["blob"]]
                one.say(blob=event["blob"], data=base64.b64encode(data).decode())
        one.rest()
        return one

    return converse
