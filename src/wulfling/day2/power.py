"""The whole cluster goes off, and comes on again, in the right order and without harm to jobs.

Slurm is told before that the boards will be away: once their power is back, by whatever hand,
they take jobs without a command.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from wulfling.day2.rack import Rack, in_order
from wulfling.day2.rest import empty, give_back, mark, recovered
from wulfling.errors import NodeFailed, Unreachable

VERB = "power off"
POWER_OFF = ("systemd-run", "--quiet", "--on-active=1", "systemctl", "poweroff")
TRIES = 3  # until a board counts as off
WAKE_PORT = 9  # discard; the packet is for the network card


async def off(rack: Rack, wait: float | None = None) -> tuple[str, ...]:
    """Switch every board off that is on: when all jobs have ended, first who computes, then the
    head, and last the file servers. The names of those that were switched off.

    Raises ``NodeFailed`` when after ``wait`` seconds a job still runs; the nodes then take jobs
    again. Raises ``Unreachable`` when the head is away and boards that may have jobs are not.
    """
    answering = await _answering(rack)
    computing = [name for name in answering if rack.takes_jobs(name)]
    if rack.cluster.head in answering:
        await _empty_all(rack, wait)
        await _expect_all_back(rack, computing)
    elif computing:
        raise Unreachable(
            f"the head does not answer, and {', '.join(computing)} may have jobs that only it"
            " knows of",
            hint=f"switch {rack.cluster.head} on first",
            where=rack.cluster.head,
        )
    done: list[str] = []
    for group in _groups(rack, answering):
        await asyncio.gather(*(_switch_off(rack, name) for name in group))
        done += group
    return tuple(done)


async def _answering(rack: Rack) -> list[str]:
    names = list(rack.addresses)
    answers = await asyncio.gather(*(rack.answers(name, TRIES) for name in names))
    return [name for name, answer in zip(names, answers, strict=True) if answer]


async def _empty_all(rack: Rack, wait: float | None) -> None:
    """Drain all first, so that no job moves from one to the next; then wait for each. When one
    takes too long, all of ours work again."""
    nodes = [name for name in rack.addresses if rack.takes_jobs(name)]
    others = [name for name in rack.addresses if not rack.takes_jobs(name)]
    answering = await _answering(rack)
    if nodes:
        states = await rack.slurm.nodes()
        fresh = [
            name
            for name in nodes
            if name in states and not states[name].drains
            # One that is off and down is as we want it, perhaps by a run that was cut off.
            if name in answering or not states[name].down
        ]
        await rack.slurm.drain(fresh, f"{mark(VERB)} ({rack.operator})")
    left = None if wait is None else time.monotonic() + wait
    try:
        for name in (*nodes, *(name for name in others if name in answering)):
            more = None if left is None else max(left - time.monotonic(), 0.0)
            await empty(rack, name, VERB, more, dead=name not in answering)
    except NodeFailed:
        for name in nodes:
            await give_back(rack, name, VERB)
        raise


async def _expect_all_back(rack: Rack, computing: Sequence[str]) -> None:
    """Stop the daemons, so that nobody registers too early, and have Slurm expect them."""
    if rack.cluster.slurm is None:
        return
    await asyncio.gather(
        *(rack.said(name, "systemctl", "stop", "slurmd", timeout=120) for name in computing)
    )
    ours = [
        name
        for name, state in (await rack.slurm.nodes()).items()
        if state.drains and state.reason.startswith(mark(VERB))
        # One that only we do not reach stays drained: it would be back at once.
        if name in computing or not state.answers
    ]
    await rack.slurm.expect_back(ours, f"{mark(VERB)} ({rack.operator})")


def _groups(rack: Rack, names: Sequence[str]) -> list[list[str]]:
    """In this order: who serves nobody; the head; the file servers, which all others mount."""
    servers = {share.server for share in rack.cluster.storage}
    head = rack.cluster.head
    last = [name for name in names if name in servers]
    middle = [name for name in names if name == head and name not in servers]
    first = [name for name in names if name not in servers and name != head]
    return [group for group in (first, middle, last) if group]


async def _switch_off(rack: Rack, name: str) -> None:
    """Shut a board down; returns when it answers no more."""
    with suppress(Unreachable):
        await rack.said(name, *POWER_OFF)
    deadline = time.monotonic() + rack.recovery
    while await rack.answers(name):
        if time.monotonic() > deadline:
            raise NodeFailed(
                f"it still answers {rack.recovery:g} s after it was told to switch itself off",
                hint="look at its screen; the same command again goes on",
                where=name,
            )
        await asyncio.sleep(rack.pause)
    rack.tell(name, "is off")


async def on(rack: Rack) -> tuple[str, ...]:
    """Wait until every board answers and is well, and let those work that a ``power off`` that
    was cut off has left drained; the names of all.

    Real boards are sent a Wake-on-LAN packet where the file says their ``mac:``. Raises
    ``Unreachable`` with the names of those that do not answer in time.
    """
    if not rack.cluster.virtual:
        for node in rack.cluster.nodes:
            if node.mac:
                wake(node.mac, str(rack.cluster.network.broadcast_address))
    await _all_answer(rack)
    names = tuple(reversed(in_order(rack.cluster, rack.addresses)))
    for name in names:
        await recovered(rack, name)
        if rack.takes_jobs(name):
            await give_back(rack, name, VERB)
    return names


async def _all_answer(rack: Rack) -> None:
    deadline, told = time.monotonic() + rack.boot, ""
    while True:
        there = set(await _answering(rack))
        away = [name for name in rack.addresses if name not in there]
        if not away:
            return
        if time.monotonic() > deadline:
            raise Unreachable(
                f"no answer from {', '.join(away)}",
                hint="switch them on by hand: few boards have Wake-on-LAN, and a Raspberry Pi has"
                " none; then run it again",
            )
        if told != (words := f"switch on what is off: {', '.join(away)}"):
            rack.tell(rack.cluster.name, words)
            told = words
        await asyncio.sleep(rack.pause)


def wake_packet(mac: str) -> bytes:
    """What a network card that listens wakes its board for: six bytes of ones, and its own
    address sixteen times."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "")) * 16


def wake(mac: str, broadcast: str, port: int = WAKE_PORT) -> None:
    """Send the packet to everybody at ``broadcast``; nobody answers, and no way there is no
    error, because a person can press a button as well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, suppress(OSError):
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.sendto(wake_packet(mac), (broadcast, port))
