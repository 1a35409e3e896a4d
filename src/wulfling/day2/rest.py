"""Takes a node out of work without harm to any job, and gives it back when it is well.

What a verb drains carries the verb's name as its reason. So a run that was killed is continued
by the same command, and a node that somebody else has drained stays as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from wulfling.converge.verify import Probe, probes
from wulfling.day2.rack import Rack
from wulfling.errors import NodeFailed, Unreachable
from wulfling.model.cluster import Share
from wulfling.model.finding import Verdict
from wulfling.node.self_check import PROGRAM

MARK = "wulfling "

# Programs through which somebody waits for a job on whatever board they sit at: it ends with
# them (srun(1), salloc(1)).
CLIENTS = ("ps", "-C", "srun,salloc,sattach", "-o", "user=,comm=")
SHOWN = 5


def mark(verb: str) -> str:
    """The beginning of the reason of what ``verb`` has drained."""
    return MARK + verb


async def empty(
    rack: Rack, name: str, verb: str, wait: float | None = None, *, dead: bool = False
) -> bool:
    """Return when no job is on a node, and none can come; whether it is ours to give back. Of a
    ``dead`` board only Slurm can tell.

    Jobs end by themselves. After ``wait`` seconds, if there is a limit, the node goes back to
    work and ``NodeFailed`` says what holds it.
    """
    ours = await rack.patiently(lambda: _drain(rack, name, verb))
    began, told = time.monotonic(), ""
    while held := await rack.patiently(lambda: _held(rack, name, dead)):
        if held != told:
            rack.tell(name, f"waits for {held}")
            told = held
        if wait is not None and time.monotonic() - began >= wait:
            if ours:
                await give_back(rack, name, verb)
            raise NodeFailed(
                f"after {wait / 60:g} minutes it is still held by {held}",
                hint="without --wait it takes the time that they need; scancel ends a job",
                where=name,
            )
        await asyncio.sleep(rack.pause)
    return ours


async def _drain(rack: Rack, name: str, verb: str) -> bool:
    """Drain a node, if nobody has; whether the drain is this verb's."""
    if not rack.takes_jobs(name):
        return False
    state = (await rack.slurm.nodes()).get(name)
    if state is None:
        return False  # no job can be on what Slurm does not know
    if state.drains:
        return state.reason.startswith(mark(verb))
    await rack.slurm.drain([name], f"{mark(verb)} ({rack.operator})")
    return True


async def _held(rack: Rack, name: str, dead: bool) -> str:
    """Who would lose something if this board stopped now, in words."""
    if rack.takes_jobs(name):
        state = (await rack.slurm.nodes()).get(name)
        if state and state.busy:
            jobs = await rack.slurm.jobs([name])
            return counted("job", jobs) if jobs else "the end of a job"
    if dead:
        return ""
    done = await rack.dial.run(rack.addresses[name], CLIENTS)
    people = dict.fromkeys(" of ".join(line.split()[::-1]) for line in done.stdout.splitlines())
    return ", ".join(people)


def counted(noun: str, names: Iterable[str]) -> str:
    """ "2 jobs: 17, 18" """
    found = list(dict.fromkeys(names))
    shown = ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
    return f"{len(found)} {noun}{'s' * (len(found) != 1)}: {shown}"


def is_a_reason(words: str) -> bool:
    """Whether people could read this as a reason in ``sinfo -R``."""
    return bool(words.strip()) and words.isprintable()


async def drain_nodes(rack: Rack, names: Sequence[str], reason: str) -> dict[str, tuple[str, ...]]:
    """Give these nodes no more jobs, all of them or none; the jobs that are still on each."""
    await rack.slurm.known(names)
    await rack.slurm.drain(names, reason)
    states = await rack.slurm.nodes()
    return {name: await rack.slurm.jobs([name]) if states[name].busy else () for name in names}


async def resume_nodes(rack: Rack, names: Sequence[str]) -> list[str]:
    """Give these nodes jobs again, whoever has drained them; a sentence for each."""
    states = await rack.slurm.known(names)
    resting = [name for name, state in states.items() if state.drains or state.down]
    await rack.slurm.resume(resting)
    return [
        f"{name}: takes jobs again (was {state.state}: {state.reason or 'no reason given'})"
        if name in resting
        else f"{name}: takes jobs as it is"
        for name, state in states.items()
    ]


async def give_back(rack: Rack, name: str, verb: str) -> None:
    """Let a node take jobs again, if its drain is still ``verb``'s: a person or the node's own
    health check may have found something meanwhile."""
    state = await rack.patiently(lambda: rack.slurm.node(name))
    if state.drains and state.reason.startswith(mark(verb)):
        await rack.slurm.resume([name])


async def recovered(rack: Rack, name: str) -> None:
    """Return when a board is well. Raises ``NodeFailed`` with what is not, when it takes too
    long."""
    deadline, told = time.monotonic() + rack.recovery, ""
    while why := await ailment(rack, name):
        if time.monotonic() > deadline:
            raise NodeFailed(
                f"it is not well after {rack.recovery:g} s: {why}",
                hint="it takes no jobs until it is; mend it, and the same command goes on",
                where=name,
            )
        if why != told:
            rack.tell(name, f"is not well yet: {why}")
            told = why
        await asyncio.sleep(rack.pause)


async def ailment(rack: Rack, name: str) -> str:
    """The first thing that is wrong with a board, "" when nothing is: what ``verify`` asks of
    it, what its own health check says, and whether Slurm hears from it."""
    try:
        for probe in probes(rack.cluster):
            if why := await _asked(rack, name, probe):
                return why
        if rack.takes_jobs(name):
            said = await rack.said(name, "sh", "-c", f"! test -x {PROGRAM} || {PROGRAM} --tell")
            if said.strip():
                return said.strip().splitlines()[0]
        return await _slurms_word(rack, name)
    except (Unreachable, NodeFailed) as error:
        return error.message.splitlines()[0]


async def _asked(rack: Rack, name: str, probe: Probe) -> str:
    """What one question of ``verify`` brings up about this board, as its own or its clients'."""
    served = [share for share in rack.cluster.storage if share.server == name]
    mine = probe.node == name and probe.check in ("clock", "mount")
    clients = probe.check == "mount" and _concerns(probe, served)
    if not mine and not clients:
        return ""
    try:
        finding = probe.judge(await rack.said(probe.node, *probe.argv, timeout=120))
    except Unreachable:
        if mine:
            raise
        return ""  # a client that is away says nothing about its server
    return "" if finding.verdict is Verdict.GOOD else f"{probe.node}: {finding.words}"


def _concerns(probe: Probe, served: list[Share]) -> bool:
    return any(f"{share.path}/." in probe.argv for share in served)


async def _slurms_word(rack: Rack, name: str) -> str:
    if rack.cluster.slurm is None:
        return ""
    if name == rack.cluster.head:
        await rack.said(name, "sacctmgr", "-n", "show", "cluster", "format=cluster")
    nodes = await rack.slurm.nodes()
    state = nodes.get(name)
    if not rack.takes_jobs(name) or (state and state.answers):
        return ""
    return f"Slurm says {state.state}" if state else "Slurm does not know it"
