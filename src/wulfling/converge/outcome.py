"""What came out of a plan or an apply, and the exit code that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.health import Health
from wulfling.model.plan import Plan, Status

ALL_GOOD = 0
CHANGES = 2


@dataclass(frozen=True)
class Outcome:
    """``errors`` says for each node that took no part, or left early, why and what to do.

    ``hardware`` is what is known of every node, measured now or remembered by the head.
    ``health`` is there when it was asked for, ``ahead`` are the seconds by which the clock of each
    node that answered is ahead of this machine's, and ``remembered`` is what the head knew.
    """

    plan: Plan
    errors: Mapping[str, WulflingError]
    hardware: Mapping[str, Hardware]
    repaired: Mapping[str, tuple[str, ...]]
    applied: bool
    health: Mapping[str, Health] = field(default_factory=dict)
    ahead: Mapping[str, float] = field(default_factory=dict)
    remembered: Mapping[str, Hardware] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """4 when a node failed, else 3 when one was unreachable, else 2 when a plan has changes.

        What an apply had to leave pending has failed, unless an unreachable node is the cause.
        """
        unreachable = any(isinstance(error, Unreachable) for error in self.errors.values())
        failed = len(self.plan.unreachable) < len(self.errors)
        if failed or self.plan.of(Status.FAILED):
            return NodeFailed.exit_code
        if unreachable:
            return Unreachable.exit_code
        if self.applied:
            return NodeFailed.exit_code if self.plan.of(Status.PENDING) else ALL_GOOD
        return CHANGES if self.plan.changes else ALL_GOOD
