"""What doctor looks at, from cause to symptom: the order of ``CHECKS`` is the order of causes."""

from __future__ import annotations

from wulfling.converge.checks import backup, board, ground, patches, shared, slurm
from wulfling.converge.checks.check import Check
from wulfling.converge.evidence import Evidence
from wulfling.model.finding import Finding

CHECKS: tuple[Check, ...] = (
    *board.CHECKS,
    *ground.CHECKS,
    *patches.CHECKS,
    *shared.CHECKS,
    *slurm.CHECKS,
    *backup.CHECKS,
)


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """The first causes: what is wrong and not explained by another thing that is wrong.

    A check says one thing of a node. What is explained explains in its turn.
    """
    causes: list[Finding] = []
    ill: set[tuple[str, str]] = set()  # check and node
    for check in CHECKS:
        before = frozenset(ill)
        for finding in check.judge(evidence):
            mark = (check.name, finding.subject)
            if mark not in ill and not _explained(check, finding.subject, evidence, before):
                causes.append(finding)
            ill.add(mark)
    return tuple(causes)


def _explained(
    check: Check, node: str, evidence: Evidence, ill: frozenset[tuple[str, str]]
) -> bool:
    servers = {share.server for share in evidence.cluster.storage} - {node}
    head = {evidence.head} - {node}
    return any(
        (name in check.after and where == node)
        or (name in check.after_head and where in head)
        or (name in check.after_servers and where in servers)
        or name in check.after_any
        for name, where in ill
    )
