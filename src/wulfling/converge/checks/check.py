"""What a check is: a question that is judged from facts, and the causes that would explain it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wulfling.converge.evidence import Evidence
from wulfling.model.finding import Finding, Mend, Verdict
from wulfling.model.plan import Status, Step

SHOWN = 3  # lines of a difference that are evidence


@dataclass(frozen=True)
class Check:
    """``judge`` gives the findings that are not good. Each of them is left out when a cause of it
    was found before: a check of ``after`` on the same node, of ``after_head`` on the head, of
    ``after_servers`` on a file server, of ``after_any`` anywhere.

    ``asks`` and ``mends`` are for the documentation.
    """

    name: str
    asks: str
    mends: str
    judge: Callable[[Evidence], Iterable[Finding]]
    after: tuple[str, ...] = ()
    after_head: tuple[str, ...] = ()
    after_servers: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()


def bad(
    node: str,
    check: str,
    words: str,
    *evidence: str,
    hint: str = "",
    mend: Mend | None = None,
    cannot: str = "",
) -> Finding:
    """A finding with all that goes with it."""
    kept = tuple(line for line in evidence if line)
    return Finding(node, check, Verdict.BAD, words, hint, kept, mend, cannot)


def drifted(
    evidence: Evidence, check: str, what: str, beginnings: tuple[str, ...]
) -> Iterator[Finding]:
    """One finding for each node where one of these resources is not as declared."""
    steps: dict[str, list[Step]] = {}
    for step in evidence.drift(*beginnings):
        steps.setdefault(step.node, []).append(step)
    for node, found in steps.items():
        first = found[0]
        health = evidence.of(node)
        said = dict(health.ended).get(first.key.partition(":")[2], "") if health else ""
        yield bad(
            node,
            check,
            f"{what}: {_said(first)}",
            *told(first.diff),
            *(f"also {step.key}" for step in found[1:]),
            f"its last words: {said}" if said else "",
            hint=_hint(first) or f"wulfling explain {node} {first.key.partition(':')[2]}",
            mend=apply_of(found),
            cannot=_why_not(found),
        )


def told(diff: Sequence[str]) -> tuple[str, ...]:
    """The first lines of a difference that say something: not the heads of diff(1)."""
    changed = [line.strip() for line in diff if not line.startswith(("---", "+++", "@@"))]
    if any(line.startswith("@@") for line in diff):  # what stands around a change is no evidence
        changed = [line for line in changed if line[:1] in ("+", "-")]
    return tuple(changed[:SHOWN])


def apply_of(steps: Iterable[Step]) -> Mend | None:
    """The apply that puts these steps right; None when one of them is not to be had so."""
    found = list(steps)
    if any(step.status is Status.FAILED for step in found):
        return None
    keys = ", ".join(step.key for step in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return Mend(f"apply what the cluster file declares ({keys}{more})", applies=True)


def stopped(step: Step) -> bool:
    """Whether this is a daemon that is to run and does not."""
    return any("running: yes" not in line and "running: no" in line for line in step.diff)


def _said(step: Step) -> str:
    kind, _, name = step.key.partition(":")
    if step.status is Status.FAILED:
        return step.message.splitlines()[0] if step.message else f"{step.key} cannot be read"
    if kind == "service" and stopped(step):
        return f"{name} does not run"
    if kind == "service":
        return f"{name}: {step.diff[0].strip() if step.diff else 'is not as declared'}"
    if step.diff[:1] == (f"+ {step.key}",):
        return f"{_NOUNS.get(kind, kind)} {name} is missing"
    if kind == "packages":
        return f"not installed: {', '.join(line.lstrip('+ ') for line in step.diff)}"
    return f"{_NOUNS.get(kind, kind)} {name} is not what the cluster file declares"


_NOUNS = {"block": "the block in", "hostname": "the name", "file": "the file"}


def _hint(step: Step) -> str:
    lines = step.message.splitlines() if step.status is Status.FAILED else []
    return lines[1] if len(lines) > 1 else ""


def _why_not(steps: Iterable[Step]) -> str:
    if any(step.status is Status.FAILED for step in steps):
        return "an apply would refuse it as well, because it could destroy what somebody needs"
    return ""


def span(seconds: int) -> str:
    """A time in one unit: ``45 s``, ``12 min``, ``3 h``, ``41 d``."""
    for size, unit in ((172800, "d"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'d': 86400, 'h': 3600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"
