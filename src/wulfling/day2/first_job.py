"""A first job for each new person: the proof that account, home and limits go together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from wulfling.day2.asking import Ask
from wulfling.model.cluster import Cluster, Person
from wulfling.model.finding import Finding, Verdict

NAME = "wulfling-first"
PATIENCE = 90  # seconds until a job that waits is given up
MEMORY = 32  # MiB, for a shell and for slurmstepd, which counts as well
CHECK = "first job"

# What the job looks at, and the exit code that tells which of it was wrong.
WRONG: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        11: ("has another number on {node}", "wulfling apply"),
        12: ("has no home on {node}", "wulfling verify   # tells whether /home is mounted"),
        13: ("cannot write to the home on {node}", "wulfling verify   # tells of mounts"),
        14: ("has a home that others can read", "wulfling apply"),
    }
)
JOB = """\
#!/bin/sh
[ "$(id -u)" = {uid} ] || exit 11
cd /home/{name} || exit 12
true > .wulfling-first-job || exit 13
rm .wulfling-first-job
[ "$(stat -c '%U %a' .)" = '{name} 700' ] || exit 14
"""

# One conversation for a whole class: all are submitted, a few at once, then all are waited for.
FEW = 4  # cores of a Pi; sbatch takes half a second there, and a class is large
# An error of several lines becomes one line of ours (set -f: its words are no patterns).
SUBMIT = """\
set -f
submit() {{
    said=$(setpriv --reuid="$1" --regid="$1" --init-groups {sbatch} 2>&1) && code=0 || code=$?
    echo "submitted $1 $code" $said
}}
"""
WAIT = """
waits() {{
    squeue --noheader --user={users} --name={job} --states=pending,running,completing
}}
for _ in $(seq {patience}); do [ -n "$(waits)" ] || break; sleep 1; done
scontrol --oneliner show job | grep ' JobName={job} '
[ -z "$(waits)" ] || for user in $(echo {users} | tr , ' '); do
    scancel --quiet --user="$user" --name={job} --state=pending
done
"""

_SUBMITTED = re.compile(r"^submitted (\S+) ([0-9]+) ?(.*)$", re.MULTILINE)
_FIELD = re.compile(r"(\S+?)=(\S*)")


async def first_jobs(cluster: Cluster, people: Sequence[Person], ask: Ask) -> tuple[Finding, ...]:
    """A finding for each person, in their order. UNKNOWN is a job that had to wait for too
    long, and was taken back. Raises ``Unreachable`` when the head is, and ``CommandFailed``."""
    if cluster.slurm is None or not people:
        return ()
    partition = next((p for p in cluster.slurm.partitions if p.default), None)
    chosen = partition or cluster.slurm.partitions[0]
    text = script(people, chosen.name)
    patience = PATIENCE + 2.0 * len(people) + 30
    said = await ask.script(cluster.head, text, about="sbatch for each person", timeout=patience)
    return tuple(_judged(people, said))


def script(people: Sequence[Person], partition: str) -> str:
    """What the head has to do: a job of each person, and what became of them."""
    sbatch = (
        *("sbatch", "--parsable", "--chdir=/tmp", f"--job-name={NAME}", "--time=2"),
        *(f"--mem={MEMORY}M", f"--partition={partition}", "--output=/dev/null"),
    )
    submit = SUBMIT.format(sbatch=shlex.join(sbatch))
    users = ",".join(person.name for person in people)
    wait = WAIT.format(job=NAME, patience=PATIENCE, users=users)
    return "".join((submit, *_submissions(people), wait))


def _submissions(people: Sequence[Person]) -> Iterator[str]:
    for number, person in enumerate(people, start=1):
        job = shlex.quote(JOB.format(uid=person.uid, name=person.name))
        yield f"printf %s {job} | submit {person.name} &\n"
        if number % FEW == 0 or number == len(people):
            yield "wait\n"


def _judged(people: Sequence[Person], said: str) -> Iterator[Finding]:
    submitted = {name: (int(code), text.strip()) for name, code, text in _SUBMITTED.findall(said)}
    shown = (dict(_FIELD.findall(line)) for line in said.splitlines() if "JobId=" in line)
    jobs = {job["JobId"]: job for job in shown}
    for person in people:
        code, text = submitted.get(person.name, (1, "the head did not say"))
        number = text.partition(";")[0]
        if code != 0:
            yield _bad(person, f"Slurm takes no job: {text}", "wulfling apply")
        elif number not in jobs:
            yield _bad(person, f"nobody knows of job {number} any more", "wulfling verify")
        else:
            yield _of_job(person, jobs[number])


def _of_job(person: Person, job: Mapping[str, str]) -> Finding:
    number, state, node = job["JobId"], job.get("JobState", ""), job.get("NodeList", "")
    if state == "COMPLETED":
        words = f"job {number} ran on {node}, in the home and as number {person.uid}"
        return Finding(person.name, CHECK, Verdict.GOOD, words)
    if state == "PENDING":
        reason = job.get("Reason", "")
        words = f"job {number} did not start in {PATIENCE} s ({reason}) and was taken back"
        hint = f"sudo -u {person.name} srun hostname   # on the head, when there is room"
        if reason.startswith("Assoc"):
            return _bad(person, words, f"give {person.name} larger `limits:`")
        return Finding(person.name, CHECK, Verdict.UNKNOWN, words, hint)
    code = job.get("ExitCode", "").partition(":")[0]
    told, hint = WRONG.get(int(code) if code.isdigit() else 0, ("", ""))
    words = told.format(node=node) or f"job {number} ended as {state} on {node}"
    return _bad(person, words, hint or f"scontrol show job {number}   # on the head")


def _bad(person: Person, words: str, hint: str) -> Finding:
    return Finding(person.name, CHECK, Verdict.BAD, words, hint)
