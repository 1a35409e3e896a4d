"""What would change, as data: it can be shown, compared, written as JSON and fingerprinted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Status(str, Enum):
    """How one resource stands."""

    OK = "ok"  # as declared
    CHANGE = "change"  # differs; apply would change it
    CHANGED = "changed"  # differed; apply changed it
    PENDING = "pending"  # cannot be known or done before another step
    FAILED = "failed"  # could not be brought to its declared state
    SKIPPED = "skipped"  # not tried, because an earlier step failed


@dataclass(frozen=True)
class Step:
    """One resource of one node. ``diff`` are lines for people, without secrets."""

    node: str
    key: str
    status: Status
    diff: tuple[str, ...] = ()
    ms: int = 0
    message: str = ""  # why it is pending, or how it failed

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``: the same names as the fields."""
        return {
            "node": self.node,
            "key": self.key,
            "status": self.status.value,
            "diff": list(self.diff),
            "ms": self.ms,
            "message": self.message,
        }


@dataclass(frozen=True)
class Plan:
    """Every step of every node that answered, and who did not answer and why."""

    steps: tuple[Step, ...]
    unreachable: Mapping[str, str]  # node -> reason

    def of(self, *statuses: Status) -> tuple[Step, ...]:
        """The steps that stand at one of ``statuses``."""
        return tuple(step for step in self.steps if step.status in statuses)

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that ``apply`` would take or has taken."""
        return self.of(Status.CHANGE, Status.CHANGED, Status.PENDING)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits; equal when two plans would change the same things."""
        import hashlib  # loads OpenSSL; boards import this module and need no fingerprint

        told = [[step.node, step.key, list(step.diff)] for step in self.changes]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
