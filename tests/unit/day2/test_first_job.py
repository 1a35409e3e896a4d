"""The first job of each new person: what the head runs, and what is made of its answer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.day2.first_job import JOB, first_jobs, script
from wulfling.model.cluster import Cluster
from wulfling.model.finding import Verdict

if TYPE_CHECKING:
    from tests.unit.day2.conftest import Answering

TOOLS = {
    # setpriv --reuid=NAME --regid=NAME --init-groups sbatch ...
    "setpriv": 'export WHO="${1#--reuid=}"\n'
    '[ "$2 $3" = "--regid=$WHO --init-groups" ] || exit 9\nshift 3\nexec "$@"\n',
    "sbatch": '[ "$WHO" != lee ] || { echo "Invalid account"; echo "or so"; exit 1; }\n'
    'cat > "$JOBS/$WHO"\necho 41\n',
    "squeue": "",
    "scontrol": 'echo "JobId=40 JobName=other"\n'
    'echo "JobId=41 JobName=wulfling-first UserId=kim(2001) JobState=COMPLETED Reason=None'
    ' ExitCode=0:0 NodeList=one"\n',
    "scancel": "",
}


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, str]:
    """An environment in which the commands of a head are there."""
    for name, text in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOBS": str(tmp_path / "jobs")}


async def test_the_script_for_real(
    cluster: Cluster, answering: Answering, tools: dict[str, str]
) -> None:
    Path(tools["JOBS"]).mkdir()
    text = script(cluster.people, "batch")
    done = subprocess.run(
        ["sh", "-s"], input=text, capture_output=True, text=True, env=tools, check=True
    )
    job = Path(tools["JOBS"]) / "kim"
    assert job.read_text() == JOB.format(uid=2001, name="kim")
    # ... and the job itself says which of its questions was answered wrongly.
    assert subprocess.run(["sh", str(job)], check=False).returncode == 11
    kim, lee = await first_jobs(cluster, cluster.people, answering({("one", ""): done.stdout})[0])
    assert (kim.verdict, kim.subject) == (Verdict.GOOD, "kim")
    assert kim.words == "job 41 ran on one, in the home and as number 2001"
    assert (lee.verdict, lee.words) == (
        Verdict.BAD,
        "Slurm takes no job: Invalid account or so",
    )
    assert lee.hint == "wulfling apply"


def test_a_home_that_cannot_be_written_to_is_told_by_the_job(tmp_path: Path) -> None:
    """A redirection of `:`, a special built-in, would end the shell with 2 (sh(1))."""
    text = JOB.format(uid=os.getuid(), name="x").replace("/home/x", str(tmp_path))
    (tmp_path / ".wulfling-first-job").mkdir()
    done = subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 13, done.stderr


@pytest.mark.parametrize(
    ("job", "verdict", "words"),
    [
        ("JobState=FAILED ExitCode=13:0", Verdict.BAD, "cannot write to the home on one"),
        ("JobState=FAILED ExitCode=14:0", Verdict.BAD, "has a home that others can read"),
        ("JobState=NODE_FAIL ExitCode=0:9", Verdict.BAD, "job 7 ended as NODE_FAIL on one"),
        ("JobState=PENDING Reason=Resources", Verdict.UNKNOWN, "(Resources) and was taken back"),
        ("JobState=PENDING Reason=AssocGrpMemLimit", Verdict.BAD, "(AssocGrpMemLimit)"),
    ],
)
async def test_what_became_of_it(
    cluster: Cluster, answering: Answering, job: str, verdict: Verdict, words: str
) -> None:
    said = f"submitted kim 0 7\nJobId=7 JobName=wulfling-first {job} NodeList=one\n"
    (found,) = await first_jobs(cluster, cluster.people[:1], answering({("one", ""): said})[0])
    assert found.verdict is verdict
    assert words in found.words
    assert found.hint


@pytest.mark.parametrize(
    ("said", "words"),
    [("", "the head did not say"), ("submitted kim 0 8\n", "nobody knows of job 8 any more")],
)
async def test_a_head_that_says_too_little(
    cluster: Cluster, answering: Answering, said: str, words: str
) -> None:
    (found,) = await first_jobs(cluster, cluster.people[:1], answering({("one", ""): said})[0])
    assert (found.verdict, words in found.words) == (Verdict.BAD, True)


async def test_nothing_to_prove(
    cluster: Cluster, without_slurm: Cluster, answering: Answering
) -> None:
    ask, dial = answering({})
    assert await first_jobs(without_slurm, cluster.people, ask) == ()
    assert await first_jobs(cluster, (), ask) == ()
    assert dial.said == []
