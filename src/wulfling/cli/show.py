"""How values look on a terminal: plans, findings and tables, legible without colour."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from wulfling.model.finding import Finding, Verdict
from wulfling.model.plan import Plan, Status, Step

SIGNS = {
    Status.OK: (" ", None),
    Status.CHANGE: ("~", "yellow"),
    Status.CHANGED: ("~", "yellow"),
    Status.PENDING: ("?", "cyan"),
    Status.FAILED: ("!", "red"),
    Status.SKIPPED: (".", "bright_black"),
}
VERDICTS = {
    Verdict.GOOD: ("ok  ", "green"),
    Verdict.BAD: ("BAD ", "red"),
    Verdict.UNKNOWN: ("?   ", "cyan"),
}
# A step of these that makes or removes the whole thing has a plus or a minus for its sign.
WHOLE = (Status.CHANGE, Status.CHANGED)
LINE_COLOURS = {"+": "green", "-": "red"}


def plan_lines(plan: Plan) -> Iterable[str]:
    """Every step that is not as declared, grouped by node, with its difference."""
    told = [step for step in plan.steps if step.status is not Status.OK]
    for node in dict.fromkeys(step.node for step in told):
        steps = [step for step in told if step.node == node]
        yield click.style(f"{node}: {_counted(steps)}", bold=True)
        for step in steps:
            yield from step_lines(step)
    for node, reason in plan.unreachable.items():
        yield click.style(f"{node}: unreachable: ", fg="red", bold=True) + reason


def note_lines(plan: Plan) -> Iterable[str]:
    """What somebody has to know of things that are as far as they can be."""
    notes: dict[str, list[str]] = {}
    for step in plan.of(Status.OK):
        if step.message:
            notes.setdefault(f"{step.key}: {step.message}", []).append(step.node)
    for words, nodes in notes.items():
        yield click.style(f"note: {', '.join(nodes)}: {words}", fg="cyan")


def step_lines(step: Step) -> Iterable[str]:
    """One step with its difference, or with what went wrong."""
    sign, colour = SIGNS[step.status]
    if step.status in WHOLE and step.diff[:1] in ((f"+ {step.key}",), (f"- {step.key}",)):
        sign, colour = step.diff[0][0], LINE_COLOURS[step.diff[0][0]]
    message = f"  ({step.message})" if step.message and step.status is not Status.FAILED else ""
    yield "  " + click.style(f"{sign} {step.key}", fg=colour) + message
    for line in step.diff:
        if line[2:] != step.key:
            yield "      " + click.style(line, fg=LINE_COLOURS.get(line[:1]))
    if step.status is Status.FAILED:
        for line in step.message.splitlines():
            yield click.style(f"      {line}", fg="red")


def _counted(steps: Sequence[Step]) -> str:
    words = {
        Status.CHANGE: "to change",
        Status.CHANGED: "changed",
        Status.PENDING: "pending",
        Status.FAILED: "failed",
        Status.SKIPPED: "skipped",
    }
    counts = [
        (sum(step.status is status for step in steps), word) for status, word in words.items()
    ]
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def plan_json(plan: Plan, errors: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """The plan for machines. The field names are a promise (docs/reference/json.md).

    ``errors`` say of nodes that answered and failed, why.
    """
    return {
        "fingerprint": plan.fingerprint,
        "changes": len(plan.changes),
        "unreachable": dict(plan.unreachable),
        "errors": dict(errors),
        "steps": [step.as_json() for step in plan.steps],
    }


def finding_line(finding: Finding) -> str:
    """One finding on one line, its hint on a second."""
    word, colour = VERDICTS[finding.verdict]
    line = click.style(word, fg=colour) + f" {finding.subject}: {finding.check}: {finding.words}"
    return f"{line}\n       hint: {finding.hint}" if finding.hint else line


def finding_json(finding: Finding) -> dict[str, str]:
    """One finding for machines."""
    return {
        "subject": finding.subject,
        "check": finding.check,
        "verdict": finding.verdict.value,
        "words": finding.words,
        "hint": finding.hint,
    }


def cause_lines(finding: Finding, *, tried: bool = False) -> Iterable[str]:
    """A cause that doctor found: the sentence, the evidence, and what mends it. ``tried`` says
    that a mend was tried already."""
    yield click.style(f"{finding.subject}: ", bold=True) + f"{finding.words} [{finding.check}]"
    for line in finding.evidence:
        yield f"    evidence: {line}"
    if finding.mend and not tried:
        yield f"    --fix would: {finding.mend.words}"
    if finding.cannot:
        yield f"    --fix cannot: {finding.cannot}"
    if finding.hint:
        yield f"    hint: {finding.hint}"


def cause_json(finding: Finding) -> dict[str, Any]:
    """One cause for machines: a finding, its evidence, and what ``--fix`` does or cannot do."""
    return {
        **finding_json(finding),
        "evidence": list(finding.evidence),
        "fix": finding.mend.words if finding.mend else "",
        "cannot": finding.cannot,
    }


def as_json(value: object) -> str:
    """``value`` as JSON text; Korean stays Korean."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Columns as wide as their widest cell, the last one as it is."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(_columns(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = zip(line, widths, strict=True)
        yield "  ".join(cell + " " * (width - _columns(cell)) for cell, width in cells).rstrip()


def _columns(text: str) -> int:
    """How wide a terminal shows ``text``: a Korean letter takes two columns."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
