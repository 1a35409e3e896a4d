"""The boards of a cluster as the verbs of the second day use them: ask one, wait for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import TypeVar

from wulfling.day2.scheduler import Scheduler, scheduler
from wulfling.errors import CommandFailed, Locked, NodeFailed, Unreachable
from wulfling.model.cluster import Cluster, Role
from wulfling.transport import pins
from wulfling.transport.link import Address, Dial

T = TypeVar("T")

Tell = Callable[[str, str], None]
"""Hears what a node is at, in words."""

HICCUP = 180.0
"""Seconds for which a wait that may last for days bears a head that does not answer."""


@dataclass(frozen=True)
class Rack:
    """All boards. ``pause`` are seconds between two questions of something that is waited for,
    ``boot`` those until a board that starts anew is given up, ``recovery`` those until it has
    to be well again after that."""

    cluster: Cluster
    addresses: Mapping[str, Address]
    dial: Dial
    operator: str
    tell: Tell = lambda node, words: None
    pause: float = 2.0
    boot: float = 900.0
    recovery: float = 300.0

    @property
    def slurm(self) -> Scheduler:
        """Raises ``WulflingError`` when there is none."""
        return scheduler(self.cluster, self.addresses, self.dial)

    def takes_jobs(self, name: str) -> bool:
        """Whether Slurm gives jobs to this node."""
        return self.cluster.slurm is not None and self.cluster.node(name).has(Role.COMPUTE)

    async def said(self, name: str, *argv: str, stdin: str = "", timeout: float = 60) -> str:
        """What a command printed on a node, as root. Raises what ``Dial.run`` raises, and
        ``CommandFailed``."""
        address = self.addresses[name]
        done = await self.dial.run(address, argv, stdin=stdin, root=True, timeout=timeout)
        if done.code != 0:
            raise CommandFailed(argv, done.code, done.stderr or done.stdout, where=name)
        return done.stdout

    async def answers(self, name: str, tries: int = 1) -> bool:
        """Whether a board lets us in now; more tries tell one that is busy from one that is
        off."""
        for number in range(tries):
            if number:
                await asyncio.sleep(self.pause)
            try:
                await self.said(name, "true", timeout=30)
            except (Unreachable, NodeFailed):
                continue
            return True
        return False

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask`` gives, asked again for a while when the head is away."""
        deadline = time.monotonic() + HICCUP
        while True:
            try:
                return await ask()
            except (Unreachable, CommandFailed):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(self.pause)


def in_order(cluster: Cluster, names: Iterable[str]) -> tuple[str, ...]:
    """``names`` in the order in which they may stop working: first who serves nobody, then the
    file servers, and last the head, which has to tell how the others are."""

    def rank(name: str) -> int:
        if name == cluster.head:
            return 2
        return int(name in {share.server for share in cluster.storage})

    chosen = set(names)
    in_file = [node.name for node in cluster.nodes if node.name in chosen]
    return tuple(sorted(in_file, key=rank))


@contextmanager
def turn(cluster: str, operator: str) -> Iterator[None]:
    """One of these verbs at a time on this machine. Raises ``Locked`` with whose turn it is;
    the system drops the lock of a process that dies."""
    with open(pins.state_directory(cluster) / "turn", "a+") as handle:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except OSError:
            handle.seek(0)
            raise Locked(
                f"{handle.read().strip() or 'somebody'} is at work on {cluster}",
                hint="wait for its end, or end it; what it has begun, the next run goes on with",
            ) from None
        handle.seek(0)
        handle.truncate()
        handle.write(operator)
        handle.flush()
        yield
