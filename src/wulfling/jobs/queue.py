"""The person's jobs on the cluster: which there are, and an end to those that are not wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wulfling.errors import Unreachable, WulflingError
from wulfling.jobs.again import Tell, again
from wulfling.jobs.door import Door


@dataclass(frozen=True)
class Listed:
    """One job of the list, in Slurm's words; ``folder`` is "" when it was not sent from here."""

    job: str
    name: str
    state: str
    elapsed: str
    nodes: str
    reason: str
    submitted: str
    folder: str


async def jobs(door: Door, tell: Tell) -> tuple[Listed, ...]:
    """The person's jobs of the last week, the oldest first."""
    (said,) = await _answers(door, {"do": "list"}, tell)
    rows = (Listed(**row) for row in said["jobs"])
    return tuple(sorted(rows, key=lambda row: [int(n) for n in re.findall(r"\d+", row.job)]))


async def cancel(door: Door, numbers: Sequence[str], tell: Tell) -> dict[str, str]:
    """Cancel jobs. For each its state if it had ended before, else "".

    Raises ``WulflingError`` for a job that is not there or not the person's.
    """
    said = await _answers(door, {"do": "cancel", "jobs": list(numbers)}, tell)
    return {message["cancelled"]: message["ended"] for message in said}


def numbered(job: str) -> str:
    """``job`` when it reads like a job's number, 42, or 42_7 for a task of an array."""
    if not re.fullmatch(r"\d+(_\d+)?", job):
        raise WulflingError(f"{job} is no job's number", hint="wulfling jobs")
    return job


async def _answers(door: Door, order: dict[str, Any], tell: Tell) -> list[dict[str, Any]]:
    async def attempt() -> list[dict[str, Any]]:
        async with door.session(order) as session:
            said = []
            while (heard := await session.hear()) is not None:
                said.append(heard[0])
        if not said:
            raise Unreachable("the connection ended at once", where=door.address.node)
        return said

    return await again(door, tell, attempt)
