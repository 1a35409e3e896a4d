"""Newer packages for all boards, one board after the other, and Slurm's in Slurm's order.

The first board is the canary: when it does not come through well, the others are left alone.
What is left to do is read from the boards, so a run that was cut off is continued by the same
command.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from wulfling.converge.apply import apply
from wulfling.converge.observe import plan
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Errand
from wulfling.day2.rack import Rack, in_order
from wulfling.day2.reboot import another_boot, boot_of
from wulfling.day2.rest import empty, give_back, mark, recovered
from wulfling.errors import NodeFailed, WulflingError
from wulfling.model.plan import Step
from wulfling.model.resource import Resource
from wulfling.model.slurm_releases import release_of
from wulfling.node.resources.updates import DUMPS, REBOOT, SLURM, SYSTEM, Updates
from wulfling.transport.fanout import run_on_each

VERB = "upgrade"
DATABASE = "slurm_acct_db"
LISTS = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3", "update")
WHY_START = ("sh", "-c", f"cat {REBOOT} /run/reboot-required.pkgs 2> /dev/null; true")

_SLURM_STEP = re.compile(r"^ *slurm\S*(?:ctld|dbd|d) (\S+) -> (\S+)$")


@dataclass(frozen=True)
class Look:
    """What could be upgraded. ``starts`` says by node why it has to start anew, whatever else;
    ``drained`` are those that a run that was cut off has left drained; ``errors`` are those of
    boards that could not be asked, which are left out."""

    outcome: Outcome
    starts: Mapping[str, str]
    drained: tuple[str, ...]
    errors: Mapping[str, WulflingError]

    def due(self, node: str, what: str) -> bool:
        """Whether a node has something to do."""
        steps = [step for step in self.outcome.plan.changes if step.node == node]
        return any(step.key == f"{Updates.kind}:{what}" for step in steps)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not self.outcome.plan.changes and not self.starts and not self.drained


@dataclass(frozen=True)
class Upgraded:
    """One board's share. ``packages`` were changed; ``started`` says whether it started anew."""

    node: str
    what: str
    packages: int
    started: bool
    seconds: float


async def look(rack: Rack) -> Look:
    """Bring every board's lists of packages up to date, and read what they have."""
    asked = await run_on_each(rack.dial, rack.addresses.values(), LISTS, root=True, timeout=900)
    errors: dict[str, WulflingError] = dict(asked.errors)
    for name, done in asked.values.items():
        if done.code != 0:
            errors[name] = NodeFailed(
                f"`apt-get update` failed: {done.stderr.strip()[-500:]}",
                hint=f"wulfling node shell {name} -- sudo apt-get update",
                where=name,
            )
    names = tuple(name for name in rack.addresses if name not in errors)
    outcome = await plan(_errand(rack, names, (SYSTEM, SLURM)), rack.dial)
    starts = {}
    for name in names:
        if name not in outcome.errors and (why := (await rack.said(name, *WHY_START)).split()):
            starts[name] = " ".join(why)
    drained: tuple[str, ...] = ()
    if rack.cluster.slurm:
        states = (await rack.slurm.nodes()).values()
        drained = tuple(s.node for s in states if s.drains and s.reason.startswith(mark(VERB)))
    return Look(outcome, starts, drained, {**errors, **outcome.errors})


def remarks(seen: Look) -> Iterator[str]:
    """What of it has no way back, and where the way back of the rest is."""
    steps = [step for step in seen.outcome.plan.changes if step.key == f"{Updates.kind}:{SLURM}"]
    pairs = {found.groups() for step in steps for line in step.diff if (found := _slurm(line))}
    for old, new in sorted(pairs):
        if release_of(_upstream(old)) != release_of(_upstream(new)):
            yield (
                f"one way: Slurm {_upstream(new)} converts the queue and the accounts that"
                f" {_upstream(old)} has saved, and no older one reads them then"
            )
    if any("slurmdbd " in line for step in steps for line in step.diff):
        yield f"before that, {DATABASE} is dumped on the head, into {DUMPS}"
    if seen.outcome.plan.changes:
        yield "the way back of a package: apt-get install NAME=OLD, while the mirror has it"
    kernels = [s for s in seen.outcome.plan.changes if any("linux-image" in d for d in s.diff)]
    if kernels:
        yield "Debian keeps the old kernel beside the new one, Raspberry Pi OS does not"


def _slurm(line: str) -> re.Match[str] | None:
    return _SLURM_STEP.match(line)


def _upstream(version: str) -> str:
    return version.rpartition("-")[0].rpartition(":")[2] or version


async def upgrade(
    rack: Rack, seen: Look, hear: Callable[[Upgraded], None], wait: float | None = None
) -> None:
    """Do what was seen: every board is drained, upgraded, started anew if need be, and works
    again when it is well. Slurm comes last: on the head, then on the canary, then elsewhere,
    and running jobs stay (KillMode=process).

    ``hear`` is told of each board that came through. Raises ``NodeFailed`` at the first that
    does not; those after it are left alone.
    """
    names = in_order(rack.cluster, (name for name in rack.addresses if name not in seen.errors))
    for name in names:
        if seen.due(name, SYSTEM) or name in seen.starts or name in seen.drained:
            hear(await _system(rack, name, wait))
    head = rack.cluster.head
    for name in (head, *(name for name in names if name != head)):
        if name in names and seen.due(name, SLURM):
            hear(await _slurms(rack, name))


async def _system(rack: Rack, name: str, wait: float | None) -> Upgraded:
    began = time.monotonic()
    ours = await empty(rack, name, VERB, wait)
    packages = await _install(rack, name, SYSTEM)
    boot, why = await boot_of(rack, name), await rack.said(name, *WHY_START)
    if why.strip():
        await another_boot(rack, name, boot)
    await recovered(rack, name)
    if ours:
        await give_back(rack, name, VERB)
    return Upgraded(name, SYSTEM, packages, bool(why.strip()), time.monotonic() - began)


async def _slurms(rack: Rack, name: str) -> Upgraded:
    began = time.monotonic()
    packages = await _install(rack, name, SLURM)
    await recovered(rack, name)
    return Upgraded(name, SLURM, packages, False, time.monotonic() - began)


async def _install(rack: Rack, name: str, what: str) -> int:
    """How many packages were changed. Raises ``NodeFailed`` with what went wrong."""
    rack.tell(name, f"installs what is new ({what})")
    outcome = await apply(_errand(rack, (name,), (what,)), rack.dial)
    if outcome.exit_code:
        told = [error.message for error in outcome.errors.values()]
        told += [step.message for step in outcome.plan.steps if step.message]
        raise NodeFailed(
            f"its packages could not be upgraded: {'; '.join(told)}",
            hint="the boards after it were left alone; mend it, and the same command goes on",
            where=name,
        )
    return sum(_packages(step) for step in outcome.plan.steps)


def _packages(step: Step) -> int:
    return sum("started anew" not in line for line in step.diff)


def _errand(rack: Rack, names: tuple[str, ...], what: tuple[str, ...]) -> Errand:
    """Nothing but updates, and nothing is taken back: no head takes part as such."""

    def declared(node: str) -> tuple[Resource, ...]:
        database = DATABASE if node == rack.cluster.head else ""
        return tuple(Updates(what=one, database=database) for one in what)

    return Errand(
        addresses=tuple(rack.addresses[name] for name in names),
        head="",
        operator=rack.operator,
        compile=lambda known: {name: declared(name) for name in names},
        blob=_no_blob,
    )


def _no_blob(sha256: str) -> bytes:
    raise WulflingError(f"an upgrade needs no file {sha256[:12]}")
