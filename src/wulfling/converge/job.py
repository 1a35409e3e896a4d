"""Why a job waits, or how it ended: what squeue, scontrol and sacct say, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wulfling.model.finding import Finding, Verdict

# One question for all: the queue, and what was kept of jobs that are over.
QUESTION = (
    "timeout 20 scontrol --oneliner show job {job}; echo @sacct;"
    " timeout 20 sacct --noheader --parsable2 --allocations --jobs={job}"
    " --format=JobID,JobName,User,State,ExitCode,Elapsed,Timelimit,ReqMem,NodeList,Reason,End;"
    " echo @steps; timeout 20 sacct --noheader --parsable2 --jobs={job}"
    " --format=JobID,State,ExitCode,MaxRSS,NodeList;"
    " echo @ahead; timeout 20 squeue --noheader --sort=-p,i --format='%i %T %u %C %m %l %R'"
)
NUMBER = re.compile(r"[0-9]{1,10}(_[0-9]{1,10})?")

# The reasons of squeue(1), JOB REASON CODES, that a job waits for.
WAITING: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Priority": (
            "other jobs of its partition come first",
            "squeue --sort=-p shows them; sprio shows why",
        ),
        "Resources": (
            "the boards are busy: it starts when enough of them are free",
            "squeue --state=running shows who has them",
        ),
        "BeginTime": ("it is not to start before a time that it was given", "scontrol show job"),
        "Dependency": ("another job has to end first", "scontrol show job, Dependency="),
        "DependencyNeverSatisfied": (
            "the job that it depends on did not end as it has to, so it will never start",
            "scancel it, or scontrol update jobid=... dependency=",
        ),
        "JobHeldUser": ("its owner holds it", "scontrol release"),
        "JobHeldAdmin": ("an administrator holds it", "sudo scontrol release"),
        "launch_failed_requeued_held": (
            "it could not be started on its board and is held since",
            "wulfling doctor, then scontrol release",
        ),
        "JobLaunchFailure": ("it could not be started on its board", "wulfling doctor"),
        "PartitionDown": (
            "its partition is down",
            "wulfling doctor; or sudo scontrol update partitionname=... state=up",
        ),
        "PartitionInactive": ("its partition takes jobs and starts none", "wulfling doctor"),
        "PartitionNodeLimit": (
            "it asks for more nodes than its partition has",
            "fewer nodes (-N), or another partition",
        ),
        "PartitionTimeLimit": (
            "it asks for more time than its partition allows",
            "a shorter --time, or max_time of the partition in the cluster file",
        ),
        "ReqNodeNotAvail": (
            "a node that it asks for by name takes no jobs now",
            "wulfling doctor says why; or let Slurm choose the node",
        ),
        "NodeDown": ("a node that it needs is down", "wulfling doctor"),
        "BadConstraints": (
            "no board is as it asks for (CPUs, memory or features)",
            "sinfo -o '%N %c %m' shows what boards have",
        ),
        "Reservation": ("its reservation has not begun", "scontrol show reservation"),
        "ReservationDeleted": ("its reservation is gone", "scancel it, and submit it anew"),
        "InvalidAccount": (
            "its account is none that its owner may use",
            "the person's `account:` in the cluster file, then wulfling apply",
        ),
        "InvalidQOS": ("its quality of service does not exist", "sacctmgr show qos"),
        "AccountNotAllowed": ("its account may not use this partition", "another partition"),
        "Licenses": ("it waits for a license", "scontrol show licenses"),
        "Prolog": ("its board is being prepared", "wait some seconds"),
        "Cleaning": ("its last run is being cleaned up", "wait some seconds"),
        "None": ("the scheduler has not looked at it yet", "wait some seconds"),
    }
)
# AssocGrpCpuLimit, AssocMaxJobsLimit, QOSGrpMemLimit ... (squeue(1)).
_LIMIT = re.compile(
    r"^(Assoc|QOS)(Grp|Max)?(Per(?:User|Account))?(Cpu|CPU|Mem|Memory|Node|Jobs?|Submit|Wall|Time|GRES)"
)
_OF = {
    "Cpu": "CPUs",
    "CPU": "CPUs",
    "Mem": "memory",
    "Memory": "memory",
    "Node": "nodes",
    "Job": "jobs",
    "Jobs": "jobs",
    "Submit": "jobs",
    "Wall": "time",
    "Time": "time",
    "GRES": "devices",
}
ENDED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "OUT_OF_MEMORY": (
            "it needed more memory than it had asked for, and was ended for that",
            "a larger --mem or --mem-per-cpu; sacct -o MaxRSS shows what it took",
        ),
        "TIMEOUT": (
            "its time was over",
            "a longer --time, or write its state down on the way and go on from there",
        ),
        "NODE_FAIL": (
            "a board went away under it",
            "wulfling doctor; jobs of sbatch start again by themselves",
        ),
        "BOOT_FAIL": ("a board did not come up for it", "wulfling doctor"),
        "PREEMPTED": ("a job of higher priority took its place", "submit it anew"),
        "DEADLINE": ("its deadline passed before it could end", "a later --deadline"),
        "REVOKED": ("a sibling of it started elsewhere", "squeue"),
        "REQUEUED": ("it was put back into the queue", "squeue"),
    }
)
_SIGNALS = {9: "SIGKILL", 11: "SIGSEGV, a bug in the program", 15: "SIGTERM", 6: "SIGABRT"}


@dataclass(frozen=True)
class Told:
    """What Slurm said of one job."""

    live: Mapping[str, str]  # scontrol show job
    kept: Mapping[str, str]  # sacct, the job
    steps: tuple[Mapping[str, str], ...]
    queue: tuple[str, ...]


def parse(text: str) -> Told:
    """The answer to ``QUESTION``."""
    live, _, rest = text.partition("@sacct\n")
    kept, _, rest = rest.partition("@steps\n")
    steps, _, queue = rest.partition("@ahead\n")
    names = "job name user state exit elapsed limit memory nodes reason end".split()
    of_steps = "step state exit maxrss nodes".split()
    rows = [dict(zip(names, line.split("|"), strict=False)) for line in kept.splitlines()]
    return Told(
        live=dict(re.findall(r"(\w+)=(\S*)", live.partition("\n")[0])),
        kept=rows[0] if rows else {},
        steps=tuple(
            dict(zip(of_steps, line.split("|"), strict=False)) for line in steps.splitlines()
        ),
        queue=tuple(queue.splitlines()),
    )


def explain(job: str, told: Told) -> Finding:
    """One sentence about the job: GOOD when it runs or ended well, UNKNOWN when Slurm does not
    know it, and BAD else, with the reason."""
    state = told.live.get("JobState") or told.kept.get("state", "")
    if not state:
        return Finding(
            f"job {job}",
            "job",
            Verdict.UNKNOWN,
            f"Slurm knows no job {job}",
            "sacct --allusers --starttime=today shows those of today",
        )
    if state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"):
        return _waiting(job, told)
    if state in ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STAGE_OUT"):
        return _running(job, told, state)
    return _ended(job, told, state)


def _waiting(job: str, told: Told) -> Finding:
    reason = told.live.get("Reason") or told.kept.get("reason", "None")
    code = reason.split(",")[0].strip("()")
    words, hint = WAITING.get(code, ("", ""))
    if limit := _LIMIT.match(code):
        whose = "the account's" if limit[3] == "PerAccount" else "its owner's"
        together = "all running jobs together have reached " if limit[2] == "Grp" else ""
        words = f"{together}{whose} limit of {_OF[limit[4]]}"
        if not together:
            words = f"it asks for more than {words}"
        hint = "it starts when others have ended; `limits:` of the person in the cluster file"
    needs = ", ".join(
        f"{name}={told.live[key]}"
        for name, key in (("nodes", "NumNodes"), ("cpus", "NumCPUs"), ("tres", "TRES"))
        if told.live.get(key)
    )
    return Finding(
        f"job {job}",
        "job",
        Verdict.BAD,
        f"job {job} waits: {words or f'Slurm says {reason}'}",
        hint,
        tuple(_because(job, told, code, needs)),
    )


def _because(job: str, told: Told, code: str, needs: str) -> Iterator[str]:
    yield f"Slurm's word for it is {code}"
    if needs:
        yield f"it asks for {needs}"
    if (start := told.live.get("StartTime", "")) and start not in ("Unknown", "N/A"):
        yield f"expected to start {start}"
    others = [line for line in told.queue if line.split()[:1] != [job]]
    running = [line for line in others if " RUNNING " in line]
    ahead = [line for line in others if " PENDING " in line]
    if code in ("Resources", "Priority") or _LIMIT.match(code):
        yield f"{len(running)} jobs run, {len(ahead)} others wait"
        yield from running[:3]


def _running(job: str, told: Told, state: str) -> Finding:
    where = told.live.get("NodeList") or told.kept.get("nodes", "")
    spent = told.live.get("RunTime", "")
    limit = told.live.get("TimeLimit", "")
    return Finding(
        f"job {job}",
        "job",
        Verdict.GOOD,
        f"job {job} is {state.lower()} on {where} since {spent} (of {limit})",
    )


def _ended(job: str, told: Told, state: str) -> Finding:
    word = state.split(maxsplit=1)[0]
    code = told.kept.get("exit") or told.live.get("ExitCode", "0:0")
    evidence = [f"Slurm's word for it is {state}, exit code {code}"]
    if told.kept.get("nodes"):
        evidence.append(f"it ran on {told.kept['nodes']} for {told.kept.get('elapsed', '?')}")
    if word == "COMPLETED":
        words = f"job {job} ended well"
        return Finding(f"job {job}", "job", Verdict.GOOD, words, "", tuple(evidence))
    if word == "CANCELLED":
        by = f" by {state.split('by ')[1]}" if "by " in state else ""
        words, hint = f"it was cancelled{by}", "the number is a uid: getent passwd NUMBER"
        hint = hint if by else ""
    elif word in ENDED:
        words, hint = ENDED[word]
    else:
        words, hint = _failed(code)
    if word == "OUT_OF_MEMORY":
        evidence += _memory(told)
    if word == "TIMEOUT":
        evidence.append(f"its limit was {told.kept.get('limit') or told.live.get('TimeLimit')}")
    ill = [step for step in told.steps if step.get("state", "") not in ("COMPLETED", "")]
    evidence += [
        f"step {s['step']}: {s['state']} {s.get('exit', '')}" for s in ill[:3] if "." in s["step"]
    ]
    output = told.live.get("StdErr") or told.live.get("StdOut", "")
    if output:
        evidence.append(f"what it said is in {output}")
    return Finding(
        f"job {job}", "job", Verdict.BAD, f"job {job} ended: {words}", hint, tuple(evidence)
    )


def _failed(code: str) -> tuple[str, str]:
    """Exit code and signal, as sacct(1) writes them, ``1:0``."""
    number, _, signal = code.partition(":")
    if signal.isdigit() and int(signal):
        name = _SIGNALS.get(int(signal), f"signal {signal}")
        return f"its program was ended by {name}", "the last lines of its output file"
    if number == "127":
        return "its script called a command that is not there (127)", "module load, PATH, spelling"
    if number == "126":
        return "its script called something that cannot be run (126)", "chmod +x"
    return f"its program gave the exit code {number}", "the last lines of its output file"


def _memory(told: Told) -> list[str]:
    asked = told.kept.get("memory") or told.live.get("MinMemoryNode", "")
    most = [step["maxrss"] for step in told.steps if step.get("maxrss")]
    found = [f"it had asked for {asked}"] if asked else []
    return [*found, f"it took {', '.join(most)} when it was last measured"] if most else found
