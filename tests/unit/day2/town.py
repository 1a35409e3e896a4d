"""Boards and their Slurm as far as the second day sees them: a strict stand-in that counts.

It keeps the invariants that matter: a board that goes away under a job is an AssertionError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.unit.measured import PI

from wulfling import spec
from wulfling.converge.verify import CLOCK_QUESTION
from wulfling.day2.rack import Rack
from wulfling.errors import Unreachable, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.model.plan import Status
from wulfling.proc import Finished
from wulfling.spec import document
from wulfling.transport.fake import Answers, FakeLink, Unexpected
from wulfling.transport.link import Address, Link

FILE = """\
wulfling: 1
cluster: c
nodes:
  head: {address: 10.9.9.1, roles: [head, compute]}
  n[1-3]: {address: 10.9.9.2}
  disk: {address: 10.9.9.8, roles: [storage]}
admin:
  keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim]
"""
CLOCK = "0A090901,10.9.9.1,11,1.0,0.000001,0,0,0,0,0,0,0,16.3,Normal\n"


@dataclass
class Board:
    """One board. ``jobs`` maps the number of a job to the questions after which it has ended;
    ``away`` are the questions that it does not answer while it starts."""

    boot: int = 1
    state: str = "IDLE"
    reason: str = ""
    jobs: dict[str, int] = field(default_factory=dict)
    clients: int = 0  # questions for which somebody's srun is there
    ill: str = ""  # what its health check says
    boots_for: int = 0  # questions that a start takes
    away: int = 0
    off: bool = False
    never_back: bool = False
    error: WulflingError | None = None  # for whoever knocks
    blank: bool = False  # another board, with nothing of ours
    why: str = ""  # it has to start anew


@dataclass
class Town:
    """The ``Dial`` of all. ``done`` is what happened, in words; ``stop_at`` raises
    KeyboardInterrupt before the event of that name, once."""

    boards: dict[str, Board]
    head: str = "head"
    files: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    stop_at: str = ""
    unknown: set[str] = field(default_factory=set)  # nodes that Slurm does not know
    news: dict[str, dict[str, Status]] = field(default_factory=dict)  # updates, by node and kind

    async def open(self, to: Address) -> Link:
        """Updates are all that is applied here."""
        news = self.news.get(to.node, {})
        told = {f"updates:{what}": news.get(what, Status.OK) for what in ("system", "slurm")}
        return _Link(to.node, Answers(hardware=PI, steps=told), self)

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        """See ``Dial.run``."""
        board = self.boards[to.node]
        if board.error:
            raise board.error
        board.away = max(board.away - 1, 0)
        if board.off or board.away:
            raise Unreachable("No route to host", where=to.node)
        code, out = self._answer(to.node, board, tuple(argv), stdin)
        return Finished(tuple(argv), code, out, "" if code == 0 else out)

    def happens(self, event: str) -> None:
        """Note an event, or be killed just before it."""
        if event == self.stop_at:
            self.stop_at = ""
            raise KeyboardInterrupt
        self.done.append(event)

    def _answer(
        self, node: str, board: Board, argv: tuple[str, ...], stdin: str
    ) -> tuple[int, str]:
        match argv:
            case ("cat", "/proc/sys/kernel/random/boot_id"):
                return 0, f"boot-{board.boot}\n"
            case ("apt-get", *_, "update"):
                return 0, ""
            case ("sh", "-c", question) if "/run/wulfling-reboot" in question:
                return 0, board.why
            case ("test", "-e", _):
                return int(board.blank), ""
            case ("systemctl", "stop", "slurmd"):
                self.happens(f"{node} slurmd stops")
                return 0, ""
            case ("true",) | ("sacctmgr", *_):
                return 0, ""
            case ("ps", *_):
                board.clients = max(board.clients - 1, 0)
                return (0, "kim srun\n") if board.clients else (1, "")
            case ("sh", "-c", question) if question == CLOCK_QUESTION:
                return 0, CLOCK
            case ("sh", "-c", question) if "health-check" in question:
                return 0, board.ill
            case ("timeout", "30", "stat", *_):
                return 0, "nfs\n"
            case ("sh", "-c", question, "keep", path):
                self.files[path] = stdin
                return 0, ""
            case ("sh", "-c", question) if question.startswith("! test -e "):
                return 0, self.files.get(question.split()[-1], "")
            case ("rm", "-f", path):
                self.files.pop(path, None)
                return 0, ""
            case ("systemd-run", *_, "reboot" | "poweroff" as verb):
                self._stops(node, board, verb)
                return 0, ""
            case ("scontrol" | "squeue", *_):
                assert node == self.head
                return self._slurm(argv)
        raise Unexpected(f"{node} has no answer to {argv}")

    def _stops(self, node: str, board: Board, verb: str) -> None:
        assert not board.jobs, f"{node} went away under the jobs {board.jobs}"
        assert not board.clients, f"{node} went away under an srun"
        self.happens(f"{node} {verb}s")
        board.off = verb == "poweroff" or board.never_back
        board.why = ""
        if not board.off:
            board.boot += 1
            board.away = board.boots_for

    def _slurm(self, argv: tuple[str, ...]) -> tuple[int, str]:
        self._time_goes_by()
        match argv:
            case ("scontrol", "--oneliner", "show", "nodes"):
                return 0, "".join(self._line(name) for name in self._computing())
            case ("scontrol", "update", names, *words):
                for name in names.removeprefix("NodeName=").split(","):
                    self._update(name, *words)
                return 0, ""
            case ("squeue", "--noheader", nodes, *_):
                chosen = nodes.removeprefix("--nodelist=").split(",")
                return 0, "\n".join(job for name in chosen for job in self.boards[name].jobs)
        raise Unexpected(f"Slurm has no answer to {argv}")

    def _time_goes_by(self) -> None:
        for board in self.boards.values():
            left = {job: more - 1 for job, more in board.jobs.items()}
            board.jobs = {job: more for job, more in left.items() if more > 0}

    def _computing(self) -> list[str]:
        return [name for name in self.boards if name not in {"disk", *self.unknown}]

    def _line(self, name: str) -> str:
        board = self.boards[name]
        state = "ALLOCATED" if board.jobs else board.state
        if board.state.endswith("DRAIN") and board.jobs:
            state += "+DRAIN"
        why = f" Reason={board.reason} [root@2026-11-24T19:00:00]" if board.reason else ""
        return f"NodeName={name} Arch=x86_64 State={state} Weight=1{why}\n"

    def _update(self, name: str, *words: str) -> None:
        board = self.boards[name]
        told = dict(word.split("=", 1) for word in words)
        self.happens(f"{name} {told['State'].lower()}")
        if told["State"] == "DRAIN":
            board.state = "DOWN+DRAIN" if board.state.startswith("DOWN") else "IDLE+DRAIN"
            board.reason = told["Reason"]
        elif told["State"] == "DOWN":
            assert not board.jobs, f"{name} was set down under the jobs {board.jobs}"
            board.state, board.reason = "DOWN+DRAIN", told["Reason"]
        elif told["State"] == "UNDRAIN":
            board.state = board.state.removesuffix("+DRAIN")
        else:
            board.state, board.reason = "IDLE", ""


class _Link(FakeLink):
    """What is installed is noted in its place among the other events, and installed once."""

    def __init__(self, node: str, answers: Answers, town: Town) -> None:
        super().__init__(node, answers)
        self._town = town

    async def send(self, message: Mapping[str, Any]) -> None:
        await super().send(message)
        if self.heard[0]["do"] == "apply" and "resources" in message:
            for resource in message["resources"]:
                news = self._town.news.get(self._node, {})
                if news.get(resource["what"]) is Status.CHANGE:
                    self._town.happens(f"{self._node} installs {resource['what']}")
                    news[resource["what"]] = Status.OK


def cluster(text: str = FILE) -> Cluster:
    """The cluster of a file's text, all boards measured."""
    read, _ = spec.check(document.parse(text.encode(), Path("cluster.yaml")))
    known = spec.resolve(read, {}, None, ())
    return spec.resolve(read, {node.name: PI for node in known.nodes}, None, ())


def town(**boards: Board) -> Town:
    """All boards of the file, these as given."""
    names = [node.name for node in cluster().nodes]
    return Town({name: boards.get(name, Board()) for name in names})


def rack(of: Town, **other: float) -> Rack:
    """The rack of a town; nothing in it takes time."""
    whole = cluster()
    addresses = {
        n.name: Address(node=n.name, host=str(n.address), users=("w",)) for n in whole.nodes
    }
    made = Rack(whole, addresses, of, "kim@laptop", pause=0, boot=5, recovery=0.2)
    return replace(made, **other)  # type: ignore[arg-type]
