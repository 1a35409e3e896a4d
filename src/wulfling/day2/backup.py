"""Backups when somebody asks for one, drills, what is there, and what a new head has to know."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wulfling.converge.session import Recalled
from wulfling.day2.rack import Rack
from wulfling.errors import CommandFailed, NodeFailed, WulflingError
from wulfling.model.cluster import Backup, BackupSecrets
from wulfling.node.backup import BLANK, DONE, PROGRESS, STAGE
from wulfling.node.backup.done import DRILL, HEAD, HOMES
from wulfling.node.backup.repository import Snapshot, newest_pair, parse_snapshot
from wulfling.node.manifest import MANIFEST
from wulfling.node.program import KNOWN, SECRETS
from wulfling.node.resources.restored import BEGUN, DONE_ONCE

LONGEST = 86400.0  # seconds that one backup may take
ASK = 120.0  # seconds for one question to the repository


@dataclass(frozen=True)
class Done:
    """What came of one backup or drill on one board."""

    node: str
    what: str
    seconds: float
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Opened:
    """The repository, on the board that has it, with what opens it. It can be read there while
    the head is gone."""

    rack: Rack
    backup: Backup
    secrets: BackupSecrets

    async def said(self, *words: str) -> str:
        """What restic printed, without any trace in the repository. Raises ``CommandFailed``."""
        folder = self.backup.repository(self.rack.cluster.name)
        argv = ("restic", "--quiet", "--no-lock", "--no-cache", "-r", folder, *words)
        # By standard input, so that the password is in no argument and no log.
        script = (
            f"export TZ=UTC RESTIC_PASSWORD={shlex.quote(self.secrets.password)}\n"
            f"exec {shlex.join(argv)} < /dev/null\n"
        )
        address = self.rack.addresses[self.backup.node]
        done = await self.rack.dial.run(address, ("sh", "-s"), stdin=script, root=True, timeout=ASK)
        if done.code != 0:
            said = done.stderr or done.stdout
            raise CommandFailed(argv, done.code, said, where=self.backup.node)
        return done.stdout

    async def snapshots(self) -> tuple[Snapshot, ...]:
        """All of them, the oldest first."""
        read = (parse_snapshot(values) for values in json.loads(await self.said(*_LIST)) or ())
        return tuple(sorted(read, key=lambda snapshot: snapshot.time))

    async def homes(self) -> str:
        """The moment of the homes that a new head gets back, "" when they were never saved or
        are not the head's."""
        head = self.rack.cluster.node(self.rack.cluster.head)
        found = [one for one in await self.snapshots() if (one.host, one.tag) == (head.name, HOMES)]
        return found[-1].time if found and self.rack.cluster.homes_on(head) else ""

    async def recall(self, at: str) -> tuple[str, Recalled]:
        """The moment that ``at`` means, and what the head knew then. Raises ``WulflingError``
        when there is none."""
        head = self.rack.cluster.head
        mine = [found for found in await self.snapshots() if found.host == head]
        files, _ = newest_pair(mine, at)
        if files is None:
            pairs = [found.time for found in mine if found.tag == HEAD]
            raise WulflingError(
                f"{self.backup.node}:{self.backup.path} has no backup of {head}"
                + ("" if at == "latest" else f" that begins with {at}"),
                hint=f"the last ones: {', '.join(pairs[-3:])}" if pairs else "wulfling backup list",
            )
        munge_key = await self.said("dump", files.id, f"{STAGE}{SECRETS}/munge_key")
        known = await self.said("dump", files.id, f"{STAGE}{KNOWN}")
        return files.time, Recalled(munge_key.encode("ascii"), known)


_LIST = ("snapshots", "--json")


def saved_by(rack: Rack) -> tuple[tuple[str, str], ...]:
    """Every board that saves something, with what it saves, the head's state first."""
    cluster = rack.cluster
    homes = [(node.name, HOMES) for node in cluster.nodes if cluster.homes_on(node)]
    return (*([(cluster.head, HEAD)] if cluster.slurm else []), *homes)


def drilled_by(rack: Rack) -> tuple[tuple[str, str], ...]:
    """Every board that saves something."""
    return tuple((node, DRILL) for node in dict.fromkeys(node for node, _ in saved_by(rack)))


async def do(rack: Rack, node: str, what: str) -> Done:
    """Have a board save or drill now, and return when it has; one that is at it already is
    waited for. It goes on when this is killed. Raises ``NodeFailed``."""
    before = await _done(rack, node, what)
    unit = f"wulfling-backup@{what}.service"
    start = rack.said(node, "systemctl", "start", unit, timeout=LONGEST)
    work = asyncio.ensure_future(start)
    try:
        await _tell_until(rack, node, what, work)
    finally:
        work.cancel()
    error = work.exception()
    if error is not None and not isinstance(error, CommandFailed):
        raise error
    after = await _done(rack, node, what)
    if after.get("tried") == before.get("tried"):
        said = f": {error.message}" if error else ""
        raise NodeFailed(f"it did not begin{said}", hint="wulfling apply", where=node)
    if after["error"]:
        raise NodeFailed(
            f"{what}: {after['error']}",
            hint=f"wulfling node shell {node} -- sudo journalctl -u {unit}",
            where=node,
        )
    return Done(node, what, float(after["seconds"]), after["facts"])


async def _tell_until(rack: Rack, node: str, what: str, work: asyncio.Future[str]) -> None:
    told = ""
    while not (await asyncio.wait([work], timeout=rack.pause))[0]:
        words = await rack.said(node, "sh", "-c", f"cat {PROGRESS}/{what} 2> /dev/null || true")
        if words.strip() and words != told:
            rack.tell(node, words.strip())
            told = words


async def _done(rack: Rack, node: str, what: str) -> Mapping[str, Any]:
    text = await rack.said(node, "sh", "-c", f"cat {DONE} 2> /dev/null || echo '{{}}'")
    found = json.loads(text).get(what, {})
    assert isinstance(found, dict)
    return found


async def has_queue(rack: Rack) -> bool:
    """Whether the head has a queue or accounts, so that nothing is to be brought back."""
    tests = " || ".join(f"test -e {path}" for path in (*BEGUN, DONE_ONCE))
    script = f"test ! -e {BLANK} && test -e {MANIFEST} && ({tests}) && echo yes || echo no"
    return (await rack.said(rack.cluster.head, "sh", "-c", script)).strip() == "yes"


async def mount_again(rack: Rack, nodes: Iterable[str]) -> None:
    """Let go of what was mounted from the head's old disk: its files have other handles now."""
    from wulfling.converge.checks.shared import mount_anew

    served = [share.path for share in rack.cluster.storage if share.server == rack.cluster.head]
    for node in nodes if served else ():
        if node != rack.cluster.head:
            for path in served:
                look = f"timeout 20 stat -f {path}/. > /dev/null 2>&1 || {{ {mount_anew(path)}; }}"
                await rack.said(node, "sh", "-c", look, timeout=120)


async def counted(rack: Rack) -> tuple[int, int]:
    """Jobs in the queue, and jobs in the accounts."""
    head = rack.cluster.head
    queue = await rack.said(head, "squeue", "--noheader", "--all", "--format=%i")
    rows = await rack.said(head, "sacct", "-nXPa", "-S", "1970-01-02", "-o", "JobID", timeout=300)
    return len(queue.split()), len(rows.split())
