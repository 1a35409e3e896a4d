"""Doctor: one round over all boards, a diagnosis, and what mends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace

from wulfling.converge.apply import apply
from wulfling.converge.checks import diagnose
from wulfling.converge.evidence import Evidence, asked
from wulfling.converge.observe import plan
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Errand
from wulfling.errors import NodeFailed, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.model.finding import Finding
from wulfling.model.plan import Status
from wulfling.transport.link import Address, Dial, Refused

ROUNDS = 4
"""Mending one cause may uncover the next one; not for ever."""

SETTLING = 90.0
"""Seconds that Slurm may take to see that a board is well again (it pings every 20 s)."""

SETTLES = frozenset({"node", "controller", "configless", "accounting", "mount", "clock"})
GRACE = 12.0  # of these, before a node is asked to come back that may come by itself
POLL = 3.0
SCRIPT_TIMEOUT = 600.0  # seconds; an installation on a slow card

_HOSTBASED = ("-o", "BatchMode=yes", "-o", "PreferredAuthentications=hostbased")


@dataclass(frozen=True)
class Examined:
    """One round: what was found, and all that is known."""

    findings: tuple[Finding, ...]
    evidence: Evidence


@dataclass(frozen=True)
class Mended:
    """What ``--fix`` came to: what was mended, what is left, and mends that failed, by words."""

    mended: tuple[Finding, ...]
    left: tuple[Finding, ...]
    failed: tuple[tuple[str, str], ...]


async def examine(errand: Errand, cluster: Callable[[], Cluster], dial: Dial) -> Examined:
    """Ask all boards once and judge. Nothing is changed. ``cluster`` gives what it is by the time
    that the boards have told what they are made of.

    A board that does not answer, or with another host key, is a finding. Raises ``WulflingError``
    when this machine has no ssh, and what ``errand.compile`` raises.
    """
    questions = cluster()
    asking = replace(errand, examine=lambda node: asked(questions, node))
    outcome = await plan(asking, dial)
    return await judged(outcome, cluster(), errand, dial)


async def judged(outcome: Outcome, cluster: Cluster, errand: Errand, dial: Dial) -> Examined:
    """The diagnosis of a round, with a second look at boards that refuse our key."""
    evidence = Evidence(
        cluster=cluster,
        steps=tuple(step for step in outcome.plan.steps if step.status is not Status.OK),
        errors=outcome.errors,
        health=outcome.health,
        ahead=outcome.ahead,
        hardware=outcome.hardware,
        remembered=outcome.remembered,
    )
    refused = [node for node, error in outcome.errors.items() if isinstance(error, Refused)]
    if refused and (way := _way_in(errand, evidence)):
        modes = {node: await _modes(cluster, node, way, dial) for node in refused}
        evidence = replace(evidence, modes=modes)
    return Examined(diagnose(evidence), evidence)


def _way_in(errand: Errand, evidence: Evidence) -> Address | None:
    """A board that answers; the others take its word for who asks (host-based trust)."""
    well = [a for a in errand.addresses if a.node in evidence.health]
    return next((a for a in well if a.node == errand.head), next(iter(well), None))


def _through(node: str, script: str) -> tuple[str, ...]:
    """A script as root on ``node``, asked of another board by the tool's own account there."""
    import shlex

    return ("ssh", *_HOSTBASED, node, f"sudo -n sh -c {shlex.quote(script)}")


async def _modes(cluster: Cluster, node: str, way: Address, dial: Dial) -> tuple[str, ...]:
    """Mode, owner and name of what sshd looks at before it believes a key (sshd_config(5),
    StrictModes), as far as another board can see it."""
    home = f"/var/local/{cluster.admin}"
    folders = f"/ /var /var/local {home} {home}/.ssh {home}/.ssh/authorized_keys"
    try:
        done = await dial.run(way, _through(node, f"stat -c '%a %U %n' {folders}"), timeout=30)
    except WulflingError:
        return ()
    return tuple(line for line in done.stdout.splitlines() if len(line.split()) > 2)


Tell = Callable[[str, Finding], None]


async def mend(
    first: Examined,
    errand: Errand,
    again: Callable[[], Awaitable[Examined]],
    dial: Dial,
    *,
    tell: Tell,
    only: Collection[str] = (),
) -> Mended:
    """Mend what can be mended, look again, and go on with what that has uncovered.

    ``only`` are the nodes whose findings count; none means all. ``tell`` hears each mend as it
    begins. Raises ``Locked`` when somebody else is at work.
    """
    tried: dict[tuple[str, str], Finding] = {}
    failed: list[tuple[str, str]] = []
    now = first
    for _ in range(ROUNDS):
        todo = [f for f in _asked_for(now, only) if f.mend and (f.subject, f.check) not in tried]
        if not todo:
            break
        for finding in todo:
            tried[finding.subject, finding.check] = finding
            tell("mending", finding)
        failed += await _mend_all(todo, now, errand, dial)
        now = await _settled(again, only, tried)
    left = _asked_for(now, only)
    still = {(finding.subject, finding.check) for finding in left}
    mended = tuple(finding for mark, finding in tried.items() if mark not in still)
    return Mended(mended, left, tuple(failed))


def _asked_for(examined: Examined, only: Collection[str]) -> tuple[Finding, ...]:
    cluster = examined.evidence.cluster.name
    return tuple(f for f in examined.findings if not only or f.subject in (*only, cluster))


async def _settled(
    again: Callable[[], Awaitable[Examined]],
    only: Collection[str],
    tried: Collection[tuple[str, str]],
) -> Examined:
    """Look again until nothing is left that may pass by itself after a mend."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        now = await again()
        passing = [f for f in _asked_for(now, only) if f.check in SETTLES and not f.cannot]
        mendable = any((f.subject, f.check) not in tried for f in passing)
        patience = GRACE if mendable else SETTLING
        if not passing or loop.time() - began > patience:
            return now
        await asyncio.sleep(POLL)


async def _mend_all(
    findings: Iterable[Finding], seen: Examined, errand: Errand, dial: Dial
) -> list[tuple[str, str]]:
    """Scripts, then one apply for all, then the scripts that follow on it."""
    failed: list[tuple[str, str]] = []
    mends = [(f, f.mend) for f in findings if f.mend]
    for finding, how in mends:
        failed += await _run_all(finding, how.before, seen, errand, dial)
    if any(how.applies for _, how in mends):
        outcome = await apply(errand, dial)
        failed += [
            (step.node, f"{step.key}: {step.message}") for step in outcome.plan.of(Status.FAILED)
        ]
        failed += [
            (node, error.message)
            for node, error in outcome.errors.items()
            if isinstance(error, NodeFailed) and node in seen.evidence.health
        ]
    for finding, how in mends:
        failed += await _run_all(finding, how.after, seen, errand, dial)
    return failed


async def _run_all(
    finding: Finding,
    scripts: Iterable[tuple[str, str]],
    seen: Examined,
    errand: Errand,
    dial: Dial,
) -> list[tuple[str, str]]:
    failed = []
    addresses = {address.node: address for address in errand.addresses}
    for node, script in scripts:
        way = _way_in(errand, seen.evidence)
        try:
            if isinstance(seen.evidence.errors.get(node), Refused) and way:
                done = await dial.run(way, _through(node, script), timeout=SCRIPT_TIMEOUT)
            else:
                argv = ("sh", "-c", script)
                done = await dial.run(addresses[node], argv, root=True, timeout=SCRIPT_TIMEOUT)
        except WulflingError as error:
            failed.append((finding.subject, error.message))
            continue
        if done.code:
            said = (done.stderr or done.stdout).strip().splitlines()
            failed.append((finding.subject, f"`{script}`: {said[-1] if said else done.code}"))
    return failed
