"""All that doctor and status ask of a board, beside a plan, and nothing is changed.

What takes long is started before the plan and collected after it. What can hang, like a mount
whose server is gone, is asked in a thread, and left behind when it does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from wulfling.model.health import Health
from wulfling.model.resource import NotYet, Resource
from wulfling.node.backup.done import backups
from wulfling.node.board import Board
from wulfling.node.exposed import munge_was_exposed
from wulfling.node.health import disk, looks, network, scheduler
from wulfling.node.health.clock import TRACKING
from wulfling.node.repair import half_done_packages
from wulfling.node.resources.service import Service
from wulfling.node.resources.updates import SIMULATED, waiting

# Of root for root alone, so that nobody gains anything who sees it on its way.
ENCODE = ("munge", "-n", "-U", "0")
PATIENCE = 8.0  # seconds for an answer of any daemon
LONG = 30.0  # and for one of apt, on a slow card
NO_COMMAND = 127


class Examination:
    """The examination of one board, from ``begin`` to ``end``.

    ``asked`` comes from the operator: ``names`` and addresses of all nodes, ``mounts`` as paths,
    ``reach``, the nodes whose port 22 is tried, ``controller``, the address of slurmctld or "",
    ``munge`` and ``scheduler``, whether this board has either, ``programs`` of Slurm, ``serves``,
    the paths of its own shares, and ``queue`` and ``updates``, whether to count jobs and newer
    packages.
    """

    def __init__(self, board: Board, asked: Mapping[str, Any]) -> None:
        self._board, self._asked = board, asked
        self._network = network.Probe(board, asked)
        self._mounts = disk.mounts(board, asked.get("mounts", ()))
        self._munge = ""

    def begin(self) -> dict[str, Any]:
        """Start to ask. Gives the time here, and a credential that other boards can try."""
        import time

        asked = self._asked
        for question in self._questions():
            self._board.expect(question)
        now = time.time()
        credential = ""
        if asked.get("munge"):
            code, credential, said = self._board.ask(ENCODE, timeout=PATIENCE)
            self._munge = "ok" if code == 0 else _last_line(said) or "munge said nothing"
        return {"now": now, "credential": credential.strip() if self._munge == "ok" else ""}

    def _questions(self) -> Iterable[tuple[str, ...]]:
        asked = self._asked
        yield from [ENCODE] if asked.get("munge") else []
        yield from scheduler.QUESTIONS if asked.get("scheduler") else []
        yield from [scheduler.QUEUE] if asked.get("queue") else []
        yield from [SIMULATED] if asked.get("updates") else []
        yield TRACKING
        yield from ((program, "-V") for program in asked.get("programs", ()))

    def end(
        self, now: float, credentials: Mapping[str, str], declared: Iterable[Resource]
    ) -> dict[str, Any]:
        """All facts. ``credentials`` are of other boards; ``declared`` has this board's daemons."""
        board, asked = self._board, self._asked
        seen = looks.facts(board, asked.get("serves", ()))
        seen["spaces"] = tuple(disk.searched(board, space) for space in seen.get("spaces", ()))
        found = Health(
            now=now,
            half_done=half_done_packages(board),
            versions=tuple(scheduler.versions(board, asked.get("programs", ()))),
            munge=self._munge or "ok",
            exposed=munge_was_exposed(board) if asked.get("munge") else "",
            decoded=tuple((node, _decoded(board, told)) for node, told in credentials.items()),
            mounts=tuple(mount.collect() for mount in self._mounts),
            exports=disk.exports(board),
            ended=tuple(_ended(board, declared)),
            backups=backups(board),
            **seen,
            **self._network.collect(),
            **(scheduler.measure(board) if asked.get("scheduler") else {}),
            queue=scheduler.queue(board) if asked.get("queue") else (),
            updates=waiting(board, LONG) if asked.get("updates") else None,
        )
        return asdict(found)


def _decoded(board: Board, credential: str) -> str:
    """ "ok", or why munge here does not take it (unmunge(1))."""
    code, out, err = board.ask(("unmunge",), stdin=credential, timeout=PATIENCE)
    if code == 0:
        return "ok"
    for line in out.splitlines():
        if line.startswith("STATUS:"):
            return line.removeprefix("STATUS:").strip()
    return _last_line(err) or "unmunge said nothing"


def _ended(board: Board, declared: Iterable[Resource]) -> Iterable[tuple[str, str]]:
    """The declared daemons that do not run, each with the last that it said."""
    for resource in declared:
        if not isinstance(resource, Service) or not resource.running:
            continue
        try:
            running = resource.observe(board).running
        except NotYet:
            continue
        if not running:
            argv = ("journalctl", "--no-pager", "-o", "cat", "-n", "3", "-u", resource.unit)
            _, said, _ = board.ask(argv, timeout=PATIENCE)
            yield resource.unit, _last_line(said)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
