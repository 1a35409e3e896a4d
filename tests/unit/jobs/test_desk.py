"""What Slurm's commands say, as the desk reads it."""

from __future__ import annotations

from wulfling.node.desk import slurm

SHOWN = """\
JobId=42 JobName=my job
   UserId=pi(2001) GroupId=pi(2001) MCS_label=N/A
   Priority=4294901758 Nice=0 Account=compute QOS=normal
   JobState=RUNNING Reason=None Dependency=(null)
   Requeue=1 Restarts=1 BatchFlag=1 Reboot=0 ExitCode=0:0
   NodeList=rpnode[01-02]
   BatchHost=rpnode01
   Command=/home/pi/wulfling-jobs/a b-1/job.sh
   WorkDir=/home/pi/wulfling-jobs/a b-1
   StdErr=/home/pi/wulfling-jobs/a b-1/slurm-42.out
   StdIn=/dev/null
   StdOut=/home/pi/wulfling-jobs/a b-1/slurm-42.out
   Power=

JobId=43 JobName=other
   JobState=PENDING
"""


def test_a_running_job() -> None:
    """Paths have blanks, and of several records it is the first."""
    assert slurm.state_of(slurm.shown_pairs(SHOWN)) == {
        "state": "RUNNING",
        "ended": False,
        "code": 0,
        "signal": 0,
        "reason": "",
        "host": "rpnode01",
        "nodes": "rpnode[01-02]",
        "restarts": 1,
        "array": False,
        "paths": {"out": "/home/pi/wulfling-jobs/a b-1/slurm-42.out"},
    }


def test_stderr_with_a_file_of_its_own() -> None:
    shown = SHOWN.replace("StdErr=/home/pi/wulfling-jobs/a b-1/slurm-42.out", "StdErr=/home/pi/e")
    assert slurm.state_of(slurm.shown_pairs(shown))["paths"]["err"] == "/home/pi/e"


def test_a_task_of_an_array_has_a_file_of_its_own() -> None:
    paths = {"out": "/home/pi/slurm-12_4294967294.out"}
    assert slurm.paths_of_task(paths, "12_3") == {"out": "/home/pi/slurm-12_3.out"}
    assert slurm.paths_of_task({"out": "/x"}, "12") == {"out": "/x"}
