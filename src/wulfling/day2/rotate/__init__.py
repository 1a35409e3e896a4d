"""New keys in place of old ones, on all boards, while jobs run.

Each rotation first lays the new key beside the old one, and goes on from there: killed at any
step, the same command again ends it. Without all boards none begins, because one that was away
would keep the old key, and that is what a rotation is against.
"""

from __future__ import annotations

from wulfling.converge.outcome import Outcome
from wulfling.errors import NodeFailed, Unreachable
from wulfling.model.plan import Status


def check_all_there(seen: Outcome) -> None:
    """Raises the error of a board that a plan did not reach, with all of them in it; a plan that
    fails on a board is no obstacle."""
    if not seen.errors:
        return
    away = tuple(node for node, error in seen.errors.items() if isinstance(error, Unreachable))
    if len(away) < len(seen.errors):
        raise next(error for error in seen.errors.values() if not isinstance(error, Unreachable))
    names = ", ".join(away)
    raise Unreachable(
        f"{names}: does not answer, and would keep the old key; nothing was changed",
        hint=f"switch it on, or, when it is gone for good: wulfling node remove {away[0]}",
        where=away[0],
    )


def check_done(outcome: Outcome, verb: str) -> None:
    """Raises ``NodeFailed``, or ``Unreachable``, with the boards where an apply did not come to
    its end."""
    for node, error in outcome.errors.items():
        error.hint = f"{verb}   # again goes on: it may have the old key"
        error.where = node
        raise error
    for step in outcome.plan.of(Status.FAILED, Status.PENDING):
        raise NodeFailed(
            f"{step.key}: {step.message}", hint=f"mend it, and {verb} goes on", where=step.node
        )
