"""Slurm as its own commands tell of it, to the person whose jobs they are."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wulfling.errors import WulflingError

Job = dict[str, Any]

_TASK = "4294967294"
"""What Slurm shows in a path where the number of a task of an array will be (slurm.h, NO_VAL)."""

_REMEMBERED = 240.0  # less than the seconds that the controller knows an ended job (MinJobAge)
_SINCE = ("-S", "now-7days")
_UNDER_WAY = frozenset(
    "PENDING CONFIGURING RUNNING COMPLETING STAGE_OUT SIGNALING SUSPENDED STOPPED RESIZING"
    " REQUEUED REQUEUE_HOLD REQUEUE_FED SPECIAL_EXIT PREEMPTED".split()
)
_SILENT = (
    "Unable to contact",
    "Connection refused",
    "Connection timed out",
    "Socket timed out",
    "Transport endpoint is not connected",
)
_FIELDS = ("job", "state", "elapsed", "nodes", "submitted")
_PATHS = ("StdOut", "StdErr", "StdIn", "WorkDir", "Command")


class Silent(WulflingError):
    """Slurm does not answer; it may do so later."""


def say(*argv: str, cwd: Path | None = None, keep: tuple[int, ...] = ()) -> str:
    """What a command printed; ``keep`` are open files that it holds as well.

    Raises ``WulflingError`` with its words, ``Silent`` when its server does not answer.
    """
    ours = ("SSH_", "SUDO_")  # of this connection, and nothing for a job
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env={k: v for k, v in os.environ.items() if not k.startswith(ours)},
            pass_fds=keep,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise WulflingError(f"{socket.gethostname()} has no {argv[0]}") from None
    if done.returncode == 0:
        return done.stdout
    words = (done.stderr or done.stdout).strip()
    if any(word in words for word in _SILENT):
        raise Silent(words)
    raise WulflingError(f"{argv[0]} ended with {done.returncode}: {words or 'and said nothing'}")


def working_in(folder: Path, age: float) -> str | None:
    """The job whose working directory is ``folder``, submitted ``age`` seconds ago or less.

    Raises ``WulflingError`` when nobody can know.
    """
    here = os.path.realpath(folder)
    known = say("squeue", "--me", "--states=all", "--noheader", "--format=%A|%Z").splitlines()
    if age > _REMEMBERED:
        known += say("sacct", "-X", "-n", "-P", *_SINCE, "-o", "JobID,WorkDir").splitlines()
    for line in known:
        job, _, place = line.partition("|")
        if place == here:
            return job.split("_")[0]
    return None


def show(job: str) -> dict[str, str] | None:
    """What the controller knows of a job; None when it has forgotten it."""
    try:
        return shown_pairs(say("scontrol", "show", "job", job))
    except WulflingError as error:
        if "Invalid job id" in error.message:
            return None
        raise


def shown_pairs(said: str) -> dict[str, str]:
    """The first record of ``scontrol show job``. Paths stand on lines of their own, where a
    blank is a part of them."""
    pairs: dict[str, str] = {}
    for line in said.split("\n\n", maxsplit=1)[0].splitlines():
        name, _, value = line.strip().partition("=")
        if name in _PATHS:
            pairs[name] = value
            continue
        for word in line.split():
            name, _, value = word.partition("=")
            pairs.setdefault(name, value)
    return pairs


def state_of(shown: Mapping[str, str]) -> Job:
    """How a job is, in the controller's words. ``paths`` has stderr only when that has a file
    of its own."""
    out, err = shown.get("StdOut", ""), shown.get("StdErr", "")
    nodes = shown.get("NodeList", "")
    return {
        **_state(shown["JobState"], shown.get("ExitCode", "0:0")),
        "reason": shown.get("Reason", "None").replace("None", ""),
        "host": shown.get("BatchHost", ""),
        "nodes": "" if nodes == "(null)" else nodes,
        "restarts": int(shown.get("Restarts", 0)),
        "array": "ArrayJobId" in shown,
        "paths": {
            s: path for s, path in (("out", out), ("err", err if err != out else "")) if path
        },
    }


def accounted(job: str) -> Job | None:
    """A job as the accounting knows it, without ``paths``."""
    said = say("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,ExitCode,NodeList")
    if not said.strip():
        return None
    state, exit_code, nodes = said.splitlines()[-1].split("|")
    rest = {"reason": "", "host": "", "nodes": nodes, "restarts": 0, "array": False}
    return {**_state(state, exit_code), **rest}


def _state(state: str, exit_code: str) -> Job:
    """``CANCELLED by 2001`` and ``0:15`` as data."""
    word = state.split(maxsplit=1)[0].split("+", maxsplit=1)[0]
    code, _, signal = exit_code.partition(":")
    return {
        "state": word,
        "ended": word not in _UNDER_WAY,
        "code": int(code or 0),
        "signal": int(signal or 0),
    }


def paths_of_task(paths: Mapping[str, str], job: str) -> dict[str, str]:
    """The files of one task ("12_3"), from those that were noted for its array."""
    task = job.partition("_")[2]
    return {stream: path.replace(_TASK, task or _TASK) for stream, path in paths.items()}


def runs_elsewhere(state: Job) -> bool:
    """Whether a job writes its output on another board: NFS shows that here half a minute
    late, and there at once."""
    return state["state"] == "RUNNING" and state["host"] not in ("", socket.gethostname())


def from_queue() -> Iterator[Job]:
    """The person's jobs that the controller knows, also the waiting ones."""
    fields = "--format=%i|%T|%M|%N|%V|%r|%j"
    for line in say("squeue", "--me", "--states=all", "--noheader", fields).splitlines():
        *cells, reason, name = line.split("|", len(_FIELDS) + 1)
        reason = reason.replace("None", "")
        yield {**dict(zip(_FIELDS, cells, strict=True)), "reason": reason, "name": name}


def from_accounting() -> Iterator[Job]:
    """The person's jobs of the last days; none while the database is away."""
    fields = "JobID,State,Elapsed,NodeList,Submit,JobName"
    try:
        said = say("sacct", "-X", "-n", "-P", *_SINCE, "-o", fields)
    except WulflingError:
        return
    for line in said.splitlines():
        *cells, name = line.split("|", len(_FIELDS))
        job = dict(zip(_FIELDS, cells, strict=True))
        state, nodes = job["state"].split()[0], job["nodes"].replace("None assigned", "")
        yield {**job, "state": state, "nodes": nodes, "reason": "", "name": name}
