"""Restores the newest backup of this board beside what is there, and compares: a backup that was
never restored is none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wulfling.errors import WulflingError
from wulfling.node.backup import FOLDER, HOMES, SLURM_STATE, STAGE, Settings, accounts
from wulfling.node.backup.repository import Hear, Repository, Snapshot
from wulfling.node.backup.save import BEGUN, QUEUE
from wulfling.node.board import STATE, Board

SCRATCH = f"{FOLDER}/drill"
DATABASE = "wulfling_drill"
ROOM = 1.2  # times what a snapshot takes has to be free
SAME = ("/etc/munge/munge.key", f"{STATE}/secrets/munge_key")  # never change


@dataclass(frozen=True)
class Saved:
    """A file as a snapshot has it."""

    path: str
    size: int
    mtime: str


def drill(board: Board, settings: Settings, repository: Repository, hear: Hear) -> Any:
    """Everything that this board saves. Raises ``WulflingError`` with the first that is not as
    it was; what was compared is counted in the answer."""
    told: dict[str, Any] = {}
    try:
        if settings.head:
            told.update(_head(board, settings, repository, hear))
        if settings.homes:
            told.update(_homes(board, repository, hear))
    finally:
        shutil.rmtree(board.path(SCRATCH), ignore_errors=True)
    return told


def keep(settings: Settings, repository: Repository, hear: Hear) -> None:
    """Drop what is older than the cluster file asks for. The newest is always kept."""
    hear("drops old backups")
    kept = [word for name, n in settings.keep if n for word in (f"--keep-{name}", str(n))]
    mine = ("--host", settings.node, "--group-by", "host,paths")
    repository.run("forget", *mine, "--keep-last", "2", *kept, "--prune")


def _head(
    board: Board, settings: Settings, repository: Repository, hear: Hear
) -> Mapping[str, Any]:
    files, dump = repository.moment("latest")
    hear(f"restores the state of Slurm of {files.time}")
    scratch = _fresh(board)
    repository.run("restore", files.id, "--target", str(scratch))
    restored = scratch / STAGE[1:]
    state = restored / SLURM_STATE[1:]
    began = board.path(f"{SLURM_STATE}/{BEGUN}").exists()
    if began and not (state / QUEUE).is_file():
        raise WulflingError(f"the backup of {files.time} has no queue ({QUEUE})")
    for name in SAME:
        if _sha256(restored / name[1:]) != _sha256(board.path(name)):
            raise WulflingError(f"the backup of {files.time} has another {name}")
    hear(f"restores the accounts of {dump.time}")
    try:
        accounts.load(board, repository, dump, DATABASE)
        rows = accounts.rows(board, settings.cluster, DATABASE)
    finally:
        board.run(["mariadb", "-e", f"DROP DATABASE IF EXISTS `{DATABASE}`"])
    check_rows(_rows_before(board, dump), rows, accounts.rows(board, settings.cluster))
    found = sum(len(names) for _, _, names in os.walk(restored))
    return {"moment": files.time, "rows": dict(rows), "files": found}


def check_rows(
    before: Mapping[str, int], restored: Mapping[str, int], now: Mapping[str, int]
) -> None:
    """Rows are only added: there are as many as before the dump, and no more than now. Raises
    ``WulflingError``."""
    for table, number in restored.items():
        if not before.get(table, 0) <= number <= now.get(table, number):
            raise WulflingError(
                f"the restored {table} has {number} rows; there were {before.get(table, 0)} when"
                f" it was saved, and there are {now.get(table, 0)} now"
            )
    if missing := sorted(before.keys() - restored.keys()):
        raise WulflingError(f"the restored accounts have no {missing[0]}")


def _rows_before(board: Board, dump: Snapshot) -> Mapping[str, int]:
    """How many there were at the beginning of that backup, if it was this board's last."""
    from wulfling.node.backup.done import read_done

    facts = read_done(board).get("head", {}).get("facts", {})
    return facts.get("rows", {}) if facts.get("moment") == dump.time else {}


def _homes(board: Board, repository: Repository, hear: Hear) -> Mapping[str, Any]:
    found = repository.snapshots(HOMES)
    if not found:
        raise WulflingError("the homes were never saved", hint="wulfling backup now")
    newest = found[-1]
    saved = tuple(parse_listing(repository.run("ls", "--json", newest.id)))
    size = sum(file.size for file in saved)
    scratch = _fresh(board)
    free = shutil.disk_usage(scratch).free
    if size * ROOM > free:
        hear("reads a part of the homes' backup: there is no room to restore them")
        repository.run("check", "--read-data-subset=5%")
        return {"homes": newest.time, "home_files": 0, "home_bytes": 0}
    hear(f"restores the homes of {newest.time}")
    repository.run("restore", newest.id, "--target", str(scratch))
    compared = sum(_compare(board, scratch, file) for file in saved)
    return {
        "homes": newest.time,
        "home_files": len(saved),
        "home_bytes": size,
        "home_compared": compared,
    }


def _compare(board: Board, scratch: Path, file: Saved) -> int:
    """1 when the restored file is the same as the one that is there now, 0 when that has been
    changed since it was saved."""
    restored = scratch / file.path[1:]
    if not restored.is_file() or restored.stat().st_size != file.size:
        raise WulflingError(f"{file.path} was not restored as it was saved")
    there = board.path(file.path)
    try:
        now = there.lstat()
        if not stat.S_ISREG(now.st_mode) or _told(now.st_mtime_ns) != _told_time(file.mtime):
            return 0
        same = _sha256(there) == _sha256(restored)
    except FileNotFoundError:
        return 0
    if not same and there.lstat().st_mtime_ns == now.st_mtime_ns:
        raise WulflingError(f"{file.path} is not what the backup has, and nobody changed it since")
    return int(same)


def _told(mtime_ns: int) -> int:
    """Seconds: what a listing says of the rest depends on the file system."""
    return mtime_ns // 1_000_000_000


def _told_time(text: str) -> int:
    """Seconds since 1970 of ``2026-11-27T15:00:00.123456789+01:00``."""
    import re
    from datetime import datetime

    return int(
        datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00")).timestamp()
    )


def parse_listing(text: str) -> Iterator[Saved]:
    """The regular files of ``restic ls --json``."""
    for line in text.splitlines():
        said = json.loads(line)
        if said.get("struct_type") == "node" and said.get("type") == "file":
            yield Saved(said["path"], int(said.get("size", 0)), said["mtime"])


def _fresh(board: Board) -> Path:
    scratch = board.path(SCRATCH)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    return scratch


def _sha256(file: Path) -> str:
    """Of a file's content, "" when there is none."""
    found = hashlib.sha256()
    try:
        with file.open("rb") as source:
            while piece := source.read(1 << 20):
                found.update(piece)
    except FileNotFoundError:
        return ""
    return found.hexdigest()
