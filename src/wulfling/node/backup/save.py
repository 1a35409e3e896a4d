"""Saves what this board has: the head's state with the accounts of the same moment, and homes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wulfling.errors import WulflingError
from wulfling.node.backup import BLANK, FILES, HEAD, HOMES, SLURM_STATE, STAGE, Settings, accounts
from wulfling.node.backup.done import read_done
from wulfling.node.backup.repository import SOME_UNREADABLE, Hear, Repository
from wulfling.node.board import Board

TRIES = 20
QUEUE = "job_state"  # the file of the queue, in slurmctld's folder
BEGUN = "clustername"  # there from slurmctld's first start on


def save_head(board: Board, settings: Settings, repository: Repository, hear: Hear) -> Any:
    """Two snapshots of one moment. The queue comes first: so the accounts know every job that it
    knows, and a job that is in the accounts alone does no harm."""
    if board.path(BLANK).exists():
        raise WulflingError("this head has not got its own state back, so there is none to save")
    moment = _moment(board, HEAD)
    hear("copies the state of Slurm")
    stage = board.path(STAGE)
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(mode=0o700, parents=True)
    try:
        queue = copy_state(board.path(SLURM_STATE), stage / SLURM_STATE[1:])
        for name in FILES:
            _copy(board.path(name), stage / name[1:])
        before = accounts.rows(board, settings.cluster) if accounts.is_there(board) else {}
        hear("sends the state of Slurm and the secrets")
        words = ("--tag", HEAD, "--host", settings.node, STAGE)
        repository.run("backup", "--time", moment, *words)
        if accounts.is_there(board):
            hear("sends the accounts")
            accounts.save(repository, settings.node, moment)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return {"moment": _as_listed(moment), "files": queue, "rows": dict(before)}


def save_homes(board: Board, settings: Settings, repository: Repository, hear: Hear) -> Any:
    """One snapshot of the homes on this board's own disk. Files that go while they are read are
    left out, as is what is mounted below from elsewhere."""
    moment = _moment(board, HOMES)
    hear(f"saves {' and '.join(settings.homes)}")
    left_out = [word for path in _not_ours(board, settings) for word in ("--exclude", path)]
    words = ("--tag", HOMES, "--host", settings.node, *left_out, *settings.homes)
    told = repository.run("backup", "--json", "--time", moment, *words, good=(0, SOME_UNREADABLE))
    return {"moment": _as_listed(moment), **_summary(told)}


def copy_state(source: Path, target: Path) -> int:
    """Copy slurmctld's folder while it runs, and give the number of files.

    It replaces whole files by rename, the queue's some seconds after each change. Scripts of
    jobs lie in folders beside; those are copied after the queue, so that no job in it is
    without one. Raises ``WulflingError`` when the queue does not hold still.
    """
    if not (source / BEGUN).exists():
        return 0
    for _ in range(TRIES):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        before = _identity(source / QUEUE)
        number = sum(_copy(file, target / file.name) for file in _files(source))
        if before is not None and before == _identity(source / QUEUE):
            break
        if before is None and not (source / f"{QUEUE}.old").exists():
            break  # so new that there was no job yet
        time.sleep(0.5)
    else:
        raise WulflingError(f"{source / QUEUE} is written anew all the time")
    for folder in sorted(place for place in source.iterdir() if place.is_dir()):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                number += _copy(file, target / file.relative_to(source))
    return number


def _files(folder: Path) -> Iterator[Path]:
    return (place for place in sorted(folder.iterdir()) if place.is_file())


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _copy(source: Path, target: Path) -> int:
    """How many were copied; one that is gone by now is none."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(source, target)
    except FileNotFoundError:
        return 0
    return 1


def _not_ours(board: Board, settings: Settings) -> Iterator[str]:
    """Other boards' shares below ours (proc_mounts(5)), and the kernel's own count of quotas."""
    for line in board.lines("/proc/self/mounts"):
        _, path, kind, *_ = line.split()
        inside = any(f"{path}/".startswith(f"{home}/") for home in settings.homes)
        if inside and kind.startswith(("nfs", "autofs")):
            yield path
    for home in settings.homes:
        yield f"{home}/aquota.user"


def _moment(board: Board, what: str) -> str:
    """Now, as restic reads it; the repository's time zone is UTC. Raises ``WulflingError`` when
    that is before the last one: the newest moment is the one that is restored, and a board
    without a clock of its own may have woken in the past."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    last = read_done(board).get(what, {}).get("facts", {}).get("moment", "")
    if _as_listed(now) <= last:
        raise WulflingError(f"the clock says {_as_listed(now)}, and the last backup is of {last}")
    return now


def _as_listed(moment: str) -> str:
    return f"{moment.replace(' ', 'T')}Z"


def _summary(told: str) -> Mapping[str, int]:
    """The last line of ``restic backup --json``."""
    for line in reversed(told.splitlines()):
        said = json.loads(line)
        if said.get("message_type") == "summary":
            names = {"files": "total_files_processed", "bytes": "total_bytes_processed"}
            return {ours: int(said.get(theirs, 0)) for ours, theirs in names.items()}
    return {}
