"""Who used how much of the cluster, by person and by account: what sacct(1) knows, added up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from wulfling.day2.asking import Ask
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster

COLUMNS = ("account", "user", "state", "elapsedraw", "cputimeraw", "alloctres")
HOUR = 3600
_MEMORY = re.compile(r"(?:^|,)mem=([0-9.]+)([KMGTP]?)")
_GIB = {"K": 1 / (1 << 20), "M": 1 / 1024, "": 1 / 1024, "G": 1, "T": 1024, "P": 1 << 20}
_WAITING = ("PENDING", "REQUEUED")
_AT_WORK = ("RUNNING", "SUSPENDED", "COMPLETING")


@dataclass(frozen=True)
class Usage:
    """What was used by ``user`` in ``account``, or with "" by all of it. A job that was
    requeued counts once; hours are those of the time asked for, not of the whole job."""

    account: str
    user: str = ""
    jobs: int = 0
    failed: int = 0  # ended in another way than COMPLETED
    running: int = 0
    cpu_hours: float = 0.0
    gib_hours: float = 0.0  # of memory

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.account,
            self.user,
            self.jobs + other.jobs,
            self.failed + other.failed,
            self.running + other.running,
            self.cpu_hours + other.cpu_hours,
            self.gib_hours + other.gib_hours,
        )

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``: the same names as the fields; hours to a thousandth."""
        values = asdict(self)
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        hours = (f"{self.cpu_hours:.2f}", f"{self.gib_hours:.2f}")
        counts = (str(self.jobs), str(self.failed), str(self.running))
        return (self.account, self.user or "(all)", *counts, *hours)


@dataclass(frozen=True)
class Report:
    """Everybody who used anything, by account, and each account as a whole."""

    since: datetime
    until: datetime
    people: tuple[Usage, ...] = field(default=())
    accounts: tuple[Usage, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``."""
        return {
            "since": self.since.isoformat(timespec="seconds"),
            "until": self.until.isoformat(timespec="seconds"),
            "people": [one.as_json() for one in self.people],
            "accounts": [one.as_json() for one in self.accounts],
        }


async def usage(cluster: Cluster, since: datetime, until: datetime, ask: Ask) -> Report:
    """The report for a time. Raises ``WulflingError`` when the cluster keeps no accounts, and
    what ``Ask.script`` raises."""
    if cluster.slurm is None:
        raise WulflingError(
            "this cluster has no Slurm, so nobody counts what is used",
            hint="delete `slurm: false`, then: wulfling apply",
        )
    # Whatever zone the head is in: these times are UTC.
    begin, end = (f"{at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}" for at in (since, until))
    text = (
        # --truncate: of a job that began before, or goes on, only what falls into the time.
        "TZ=UTC sacct --allusers --allocations --truncate --noheader --parsable2 --units=M"
        f" --starttime={begin} --endtime={end}"
        f" --format={','.join(COLUMNS)}\n"
    )
    said = await ask.script(cluster.head, text, about="sacct", timeout=300)
    return summed(said, since, until)


def summed(said: str, since: datetime, until: datetime) -> Report:
    """The report that sacct's lines make."""
    rows = [row for line in said.splitlines() if (row := _row(line))]
    people = _together(rows, lambda one: (one.account, one.user))
    whole = (Usage(one.account).plus(one) for one in people)
    accounts = _together(whole, lambda one: (one.account, ""))
    return Report(since, until, people, accounts)


def _together(rows: Iterable[Usage], name: Any) -> tuple[Usage, ...]:
    sums: dict[tuple[str, str], Usage] = {}
    for row in rows:
        key = name(row)
        sums[key] = sums[key].plus(row) if key in sums else row
    return tuple(sums[key] for key in sorted(sums))


def _row(line: str) -> Usage | None:
    """What one job used; None for one that did not begin, and for what is no job."""
    fields: Mapping[str, str] = dict(zip(COLUMNS, line.split("|"), strict=False))
    if len(fields) < len(COLUMNS) or not fields["elapsedraw"].isdigit():
        return None
    state = (fields["state"].split() or [""])[0]
    if state in _WAITING:
        return None
    seconds = int(fields["elapsedraw"])
    at_work = state in _AT_WORK
    return Usage(
        account=fields["account"],
        user=fields["user"],
        jobs=1,
        failed=int(not at_work and state != "COMPLETED"),
        running=int(at_work),
        cpu_hours=int(fields["cputimeraw"] or 0) / HOUR,
        gib_hours=_gib(fields["alloctres"]) * seconds / HOUR,
    )


def _gib(tres: str) -> float:
    found = _MEMORY.search(tres)
    return float(found[1]) * _GIB[found[2]] if found else 0.0
