"""Checks of known holes: packages that still have one, and a key that may have got out by one."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.converge.checks.board import ALONE
from wulfling.converge.checks.check import Check, apply_of, bad
from wulfling.converge.evidence import Evidence
from wulfling.model.finding import Finding
from wulfling.model.plan import Status

KEYS = ("patched:",)


def _patches(evidence: Evidence) -> Iterator[Finding]:
    for step in evidence.drift(*KEYS):
        failed = step.status is Status.FAILED
        words, _, hint = step.message.partition("\n")
        lines = [line.strip() for line in step.diff]
        yield bad(
            step.node,
            "patches",
            f"{step.node} has a known hole: {words if failed else lines[0]}",
            *lines[1:],
            hint=hint or f"wulfling explain {step.node} {step.key}",
            mend=apply_of([step]),
            cannot="boards get it one after the other, and jobs end first" if failed else "",
        )


def _munge_key(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        if health.exposed:
            yield bad(
                node,
                "munge-key",
                f"the munge key may be known: {node} had munge {health.exposed} with it"
                " (CVE-2026-25506)",
                "whoever could log in there then could read the key, and speak as anybody to Slurm",
                hint="wulfling rotate munge",
                cannot="it restarts Slurm's daemons on all boards: when that suits, you say",
            )


CHECKS = (
    Check(
        "patches",
        "whether munge, PMIx and Slurm are as new as the versions that mend known holes",
        "installs those of munge and PMIx; Slurm is the business of `wulfling upgrade`",
        _patches,
        (*ALONE, "disk", "space", "new", "packages"),
    ),
    Check(
        "munge-key",
        "whether a munge with a hole has had the key that is in use",
        "no: `wulfling rotate munge`",
        _munge_key,
        (*ALONE, "patches"),
    ),
)
