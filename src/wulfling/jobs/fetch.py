"""Brings back what a job made: file by file, each from the byte where it broke off."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.jobs.again import Tell, again
from wulfling.jobs.door import Door, Session
from wulfling.jobs.folder import FETCHED
from wulfling.node.desk.tree import is_there, put

Entry = dict[str, Any]


@dataclass(frozen=True)
class Fetched:
    """``brought`` and ``bytes`` count what came now; ``files`` is how many results there are.
    ``ended`` says whether the job was over when they were listed."""

    folder: Path
    files: int
    brought: int
    bytes: int
    ended: bool


async def fetch(
    door: Door, job: str, to: Path | None, tell: Tell, step: Callable[[int], None]
) -> Fetched:
    """Bring what ``job`` made or changed into ``to``, or into the folder ``job-42`` in the
    folder that was sent. What is there already is not brought again.

    ``step`` hears of bytes. Raises ``WulflingError`` when the job's folder is gone.
    """
    counts = {"brought": 0, "bytes": 0}

    def arrived(size: int) -> None:
        counts["bytes"] += size
        step(size)

    async def attempt() -> Fetched:
        async with door.session({"do": "fetch", "job": job}) as session:
            listed = await _listed(session)
            folder = to or _home_of(listed["origin"]) / f"job-{job}"
            _mark(folder, door, job, listed)
            for entry in listed["files"]:
                counts["brought"] += await _bring(session, folder, entry, arrived)
            ended = listed["state"]["ended"]
            return Fetched(folder, len(listed["files"]), counts["brought"], counts["bytes"], ended)

    return await again(door, tell, attempt)


async def read(door: Door, job: str, pattern: str) -> dict[str, bytes]:
    """What is in those files of a job's folder whose path fits ``pattern``, by path."""

    async def attempt() -> dict[str, bytes]:
        async with door.session({"do": "fetch", "job": job}) as session:
            listed = await _listed(session)
            paths = [entry["path"] for entry in listed["files"] if entry["kind"] == "file"]
            kept: dict[str, bytes] = {}
            for path in paths:
                if fnmatchcase(path, pattern):
                    parts = [data async for data in _content(session, path, 0)]
                    kept[path] = b"".join(parts)
            return kept

    return await again(door, lambda words: None, attempt)


async def _listed(session: Session) -> dict[str, Any]:
    heard = await session.hear()
    if heard is None:
        raise Unreachable("the connection ended at once")
    return heard[0]


async def _content(session: Session, path: str, start: int) -> AsyncIterator[bytes]:
    """A file of the job from byte ``start`` on."""
    await session.send(json.dumps({"path": path, "from": start}).encode() + b"\n")
    while True:
        heard = await session.hear()
        if heard is None:
            raise Unreachable("the connection ended in a file")
        if not heard[1]:
            return
        yield heard[1]


def _home_of(origin: Mapping[str, Any]) -> Path:
    """The folder that was sent, if it was from this machine and is still there; else ours."""
    folder = Path(origin["folder"])
    return folder if origin["host"] == socket.gethostname() and folder.is_dir() else Path.cwd()


def _mark(folder: Path, door: Door, job: str, listed: Mapping[str, Any]) -> None:
    """A folder with the results of another job is left alone."""
    mark = folder / FETCHED
    said = {"cluster": door.cluster, "job": job, "folder": listed["folder"]}
    if mark.exists():
        if json.loads(mark.read_text(encoding="utf-8")) == said:
            return
        raise WulflingError(
            f"{folder} has the results of another job", hint="name another folder with --to"
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(said) + "\n", encoding="utf-8")


async def _bring(
    session: Session, folder: Path, entry: Entry, arrived: Callable[[int], None]
) -> bool:
    """Whether ``entry`` had to be brought."""
    path = folder / entry["path"]
    if entry["kind"] == "link":
        _inside(folder, path)
        if path.is_symlink() and os.readlink(path) == entry["to"]:
            return False
        path.unlink(missing_ok=True)
        path.symlink_to(entry["to"])
        return True
    if is_there(path, entry):
        return False
    _inside(folder, path)
    # Its time names the version of the file: a job that still runs may write another.
    part = path.with_name(f".{path.name}.{entry['time']}.part")
    with open(part, "ab") as file:
        async for data in _content(session, entry["path"], file.tell()):
            file.write(data)
            arrived(len(data))
    put(part, path, {**entry, "mode": entry["mode"] | 0o600})
    return True


def _inside(folder: Path, path: Path) -> None:
    """Make the folders above ``path``; a list may not lead out of ours."""
    root = folder.resolve()
    if path.parent.resolve().is_relative_to(root) and ".." not in path.parts[len(folder.parts) :]:
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    raise NodeFailed(f"the list of results has {path}, which is not in {folder}")
