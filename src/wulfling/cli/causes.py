"""What the reference says of doctor: every cause it knows, and what its JSON holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wulfling.cli.doctor import as_json
from wulfling.converge.checks import CHECKS
from wulfling.converge.checks.check import bad
from wulfling.model.finding import Finding, Mend

DIAGNOSIS: Mapping[str, str] = {
    "findings": "The causes that were found and are left; empty when nothing is wrong",
    "mended": "With `--fix`: those that are gone",
    "failed": "With `--fix`: `subject` and `words` of what could not be done",
}
CAUSE: Mapping[str, str] = {
    "subject": "A node, or the cluster",
    "check": "The [cause](causes.md)",
    "verdict": "`bad`",
    "words": "The sentence",
    "hint": "What a person can do",
    "evidence": "The facts behind it",
    "fix": "What `--fix` does; empty when it cannot do anything",
    "cannot": "Why it cannot do all of it, or anything",
}
STATUS: Mapping[str, str] = {
    "disk_mb": "Size of its root file system in MiB",
    "disk_free_mb": "What is free of that, in MiB",
    "link_mbit": "Speed of its fastest wired link in Mbit/s; 0 when it is not known",
    "temperature": "Degrees Celsius, where the board tells them",
    "throttled": "Whether it has slowed itself down, or had too little voltage",
    "wrong": "What is wrong with it, in sentences; the head's are also the cluster's",
    "cpus": "Its CPUs, as measured; 0 when it does not answer",
    "written_gib": "GiB that were ever written to its ext4 disk; `null`: it does not tell",
    "worn_percent": "Percent of the disk's life gone, at most; `null`: SD cards do not tell",
    "updates": "Newer packages, by its lists from the last upgrade; `null`: not known",
    "security_updates": "Those of them for security",
    "serves": "Its shares: `path`, `mb` of the file system they lie on, `free_mb`",
    "queue": "On the head, jobs by `state` and `reason` of squeue(1), and how many `jobs`",
    "seen_seconds": "Seconds since its last answer; `null`: there was none",
}


def example() -> Finding:
    """One cause, for the page about JSON."""
    return bad(
        "rpnode02",
        "munge",
        "munge: munge.service does not run",
        "running: no -> yes",
        hint="wulfling explain rpnode02 munge.service",
        mend=Mend("apply what the cluster file declares (service:munge.service)", applies=True),
    )


def example_json() -> dict[str, Any]:
    """The whole of what `doctor -o json` prints, with that cause."""
    return as_json([example()])


def lines() -> Iterator[str]:
    """Every check in its order, as a table."""
    yield "`wulfling doctor` looks at these in this order, from cause to symptom. Of what is wrong"
    yield "with a node it tells the first, and leaves out what follows from it: the clock before"
    yield "munge, munge before slurmd, the file server before the mounts of all others."
    yield ""
    yield "| cause | what is looked at | what `--fix` does |"
    yield "| --- | --- | --- |"
    for check in CHECKS:
        yield f"| `{check.name}` | {check.asks} | {check.mends} |"
    yield ""
