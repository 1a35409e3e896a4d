"""Checks of the backup: that it is made when the cluster file says, and that it can be restored."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.converge.checks.board import ALONE
from wulfling.converge.checks.check import Check, bad, span
from wulfling.converge.checks.ground import BOARD
from wulfling.converge.evidence import Evidence
from wulfling.model.cluster import Backup
from wulfling.model.finding import Finding, Mend

MINUTE, DAY = 60, 86400
NAMES = {
    "head": "backup of the queue and the accounts",
    "homes": "backup of the homes",
    "drill": "restore drill",
}


def _backup(evidence: Evidence) -> Iterator[Finding]:
    backup = evidence.cluster.backup
    if backup is None:
        return
    if backup.node in evidence.errors:  # that is the cause, and is told
        return
    for node, health in evidence.examined():
        for what, at, error in health.backups:
            age = health.now - at
            if age <= oldest(backup, what) and not error:
                continue
            yield bad(
                node,
                "backup",
                f"the last {NAMES[what]} of {node} that went well is {span(max(0, int(age)))} old",
                f"the last one ended with: {error}" if error else "no other one has ended since",
                hint=f"wulfling node shell {node} -- sudo journalctl -u wulfling-backup@{what}",
                mend=Mend(
                    "do it now", after=((node, f"systemctl start wulfling-backup@{what}.service"),)
                ),
            )
            break


def oldest(backup: Backup, what: str) -> float:
    """Seconds after which something has gone wrong: two were missed, and none is at work."""
    return 3 * backup.minutes * MINUTE + 600 if what == "head" else 2 * DAY + 3600


CHECKS = (
    Check(
        "backup",
        "when the queue, the accounts and the homes were last saved, and the last restore drill",
        "does now what was missed",
        _backup,
        (*ALONE, *BOARD, "packages", "drift"),
    ),
)
