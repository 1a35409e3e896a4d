"""Why jobs wait and how they end, from what Slurm 22.05 and 24.11 say of them."""

from __future__ import annotations

import pytest

from wulfling.converge.job import NUMBER, QUESTION, explain, parse
from wulfling.model.finding import Finding, Verdict

LIVE = (
    "JobId=42 JobName=sim UserId=pi(2001) GroupId=pi(2001) MCS_label=N/A Priority=4294901757"
    " Nice=0 Account=compute QOS=normal JobState={state} Reason={reason} Dependency=(null)"
    " Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:07 TimeLimit=00:10:00"
    " SubmitTime=2026-11-24T19:00:00 StartTime={start} Partition=batch NodeList=rpnode01"
    " NumNodes=1 NumCPUs=3 NumTasks=1 TRES=cpu=3,mem=60M,node=1,billing=3"
    " StdErr=/home/pi/out StdOut=/home/pi/out\n"
)
QUEUE = (
    "42 PENDING pi 3 20M 10:00 (x)\n41 RUNNING kim 4 20M 10:00 rpnode01\n40 RUNNING kim 1 1M 1 a\n"
)


def said(live: str = "", kept: str = "", steps: str = "", queue: str = "") -> str:
    return f"{live}@sacct\n{kept}@steps\n{steps}@ahead\n{queue}"


def judged(**answers: str) -> Finding:
    return explain("42", parse(said(**answers)))


def waits(reason: str, start: str = "Unknown") -> Finding:
    live = LIVE.format(state="PENDING", reason=reason, start=start)
    return judged(live=live, queue=QUEUE)


def ended(state: str, code: str = "0:0", steps: str = "") -> Finding:
    row = f"42|sim|pi|{state}|{code}|00:00:07|00:10:00|64M|rpnode02|None|2026-11-24T19:10:00\n"
    return judged(kept=row, steps=steps)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "other jobs of its partition come first"),
        ("Resources", "the boards are busy"),
        ("AssocGrpCpuLimit", "all running jobs together have reached its owner's limit of CPUs"),
        ("AssocGrpMemLimit", "all running jobs together have reached its owner's limit of memory"),
        ("AssocGrpNodeLimit", "limit of nodes"),
        ("AssocMaxCpuPerJobLimit", "it asks for more than its owner's limit of CPUs"),
        ("AssocMaxJobsLimit", "limit of jobs"),
        ("QOSGrpMemLimit", "limit of memory"),
        ("PartitionDown", "its partition is down"),
        ("PartitionTimeLimit", "more time than its partition allows"),
        ("ReqNodeNotAvail,_UnavailableNodes:rpnode02", "takes no jobs now"),
        ("InvalidAccount", "its account is none"),
        ("Dependency", "another job has to end first"),
        ("JobHeldUser", "its owner holds it"),
        ("launch_failed_requeued_held", "could not be started"),
        ("BeginTime", "before a time"),
        ("SomethingNew", "Slurm says SomethingNew"),
    ],
)
def test_why_it_waits(reason: str, words: str) -> None:
    finding = waits(reason)
    assert finding.verdict is Verdict.BAD
    assert finding.words.startswith("job 42 waits: ")
    assert words in finding.words


def test_who_has_what_it_waits_for() -> None:
    finding = waits("Resources", start="2026-11-24T20:00:00")
    assert "2 jobs run, 0 others wait" in finding.evidence
    assert "expected to start 2026-11-24T20:00:00" in finding.evidence
    assert any(line.startswith("41 RUNNING kim") for line in finding.evidence)


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("OUT_OF_MEMORY", "0:125", "more memory than it had asked for"),
        ("TIMEOUT", "0:0", "its time was over"),
        ("NODE_FAIL", "1:0", "a board went away"),
        ("CANCELLED by 2001", "0:0", "cancelled by 2001"),
        ("FAILED", "1:0", "the exit code 1"),
        ("FAILED", "127:0", "a command that is not there"),
        ("FAILED", "0:11", "SIGSEGV"),
        ("FAILED", "0:53", "signal 53"),
    ],
)
def test_how_it_ended(state: str, code: str, words: str) -> None:
    finding = ended(state, code)
    assert finding.verdict is Verdict.BAD
    assert words in finding.words


def test_what_it_took_of_memory() -> None:
    steps = "42|OUT_OF_MEMORY|0:125||rpnode02\n42.batch|OUT_OF_MEMORY|0:125|66000K|rpnode02\n"
    finding = ended("OUT_OF_MEMORY", "0:125", steps)
    assert "it had asked for 64M" in finding.evidence
    assert "it took 66000K when it was last measured" in finding.evidence
    assert "step 42.batch: OUT_OF_MEMORY 0:125" in finding.evidence


def test_a_job_that_runs_or_ended_well_is_good() -> None:
    live = LIVE.format(state="RUNNING", reason="None", start="2026-11-24T19:00:00")
    assert judged(live=live).verdict is Verdict.GOOD
    assert ended("COMPLETED").verdict is Verdict.GOOD


@pytest.mark.parametrize("text", ["", "garbage", said(), "@sacct\n@steps\n@ahead\n"])
def test_a_job_that_nobody_knows(text: str) -> None:
    assert explain("42", parse(text)).verdict is Verdict.UNKNOWN


def test_only_numbers_go_into_the_question() -> None:
    assert not any(NUMBER.fullmatch(text) for text in ("", "a", "4;reboot", "4 2", "-1", "4_"))
    assert all(NUMBER.fullmatch(text) for text in ("42", "42_7"))
    assert QUESTION.format(job="42").count("42") == 3
