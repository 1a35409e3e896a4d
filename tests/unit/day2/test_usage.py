"""Usage is what sacct of Slurm 22.05 (Debian 12) says, added up."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from wulfling.day2.usage import Usage, summed, usage
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster

if TYPE_CHECKING:
    from tests.unit.day2.conftest import Answering

END = datetime(2026, 11, 24, 20, 0, tzinfo=timezone.utc)
BEGIN = END - timedelta(days=1)
RECORDED = """\
school|kim|COMPLETED|3600|14400|billing=4,cpu=4,mem=512M,node=1
school|kim|CANCELLED by 2001|1800|1800|billing=1,cpu=1,mem=2G,node=1
school|lee|RUNNING|60|60|billing=1,cpu=1,mem=128M,node=1
school|lee|PENDING|0|0|
other|kim|FAILED|0|0|billing=1,cpu=1,mem=1536M,node=1
"""


def test_by_person_and_by_account() -> None:
    report = summed(RECORDED, BEGIN, END)
    assert report.people == (
        Usage("other", "kim", 1, 1, 0, 0.0, 0.0),
        Usage("school", "kim", 2, 1, 0, 4.5, 0.5 + 1.0),
        Usage("school", "lee", 1, 0, 1, 60 / 3600, 60 / 3600 / 8),
    )
    assert [one.account for one in report.accounts] == ["other", "school"]
    school = report.accounts[1]
    assert (school.user, school.jobs, school.failed, school.running) == ("", 3, 1, 1)
    assert school.cpu_hours == pytest.approx(4.5 + 60 / 3600)


@pytest.mark.parametrize("said", ["", "\n", "sacct: error\n", "a|b|COMPLETED|x|1|cpu=1\n"])
def test_nothing_was_used(said: str) -> None:
    assert summed(said, BEGIN, END).people == ()


def test_for_machines() -> None:
    told = summed(RECORDED, BEGIN, END).as_json()
    assert told["since"] == "2026-11-23T20:00:00+00:00"
    assert told["people"][2]["cpu_hours"] == 0.017
    assert told["accounts"][0]["user"] == ""


async def test_the_question_is_in_utc(
    cluster: Cluster, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laptop may be in another zone than the head."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        ask, dial = answering({("one", "sacct"): RECORDED})
        await usage(cluster, datetime(2026, 11, 24, 5).astimezone(), END, ask)
    finally:
        monkeypatch.undo()
        time.tzset()
    (_, text), *_ = dial.said
    assert "--starttime=2026-11-23T20:00:00 --endtime=2026-11-24T20:00:00" in text


async def test_without_slurm_nobody_counts(without_slurm: Cluster, answering: Answering) -> None:
    with pytest.raises(WulflingError, match="no Slurm"):
        await usage(without_slurm, BEGIN, END, answering({})[0])
