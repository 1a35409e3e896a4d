"""The folder of a job: what was sent, what is there already, what the job made."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT = ".wulfling"
"""Where a job's folder keeps what the desk has to know: the list of what was sent, the job."""

Entry = dict[str, Any]


def make(folder: Path, files: list[Entry]) -> None:
    """Directories and symbolic links as the list has them; they need no bytes."""
    for entry in files:
        path = folder / entry["path"]
        if entry["kind"] == "dir":
            path.mkdir(exist_ok=True)
        elif entry["kind"] == "link" and not (
            path.is_symlink() and os.readlink(path) == entry["to"]
        ):
            path.unlink(missing_ok=True)
            path.symlink_to(entry["to"])


def is_there(path: Path, entry: Entry) -> bool:
    """Whether a file is the one of the list by size and time, as rsync(1) compares."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (entry["size"], entry["time"])


def copied(before: Path, folder: Path, entry: Entry) -> bool:
    """Whether an earlier folder had the same file; then it is copied, and never linked,
    because a job may write into what was sent."""
    old = before / entry["path"]
    if old.is_symlink() or not is_there(old, entry):
        return False
    fresh = folder / KEPT / "incoming"
    shutil.copyfile(old, fresh)
    put(fresh, folder / entry["path"], entry)
    return True


def put(fresh: Path, path: Path, entry: Entry) -> None:
    """Give a complete file its mode, time and name."""
    fresh.chmod(entry["mode"])
    os.utime(fresh, ns=(entry["time"], entry["time"]))
    fresh.replace(path)


def results(folder: Path) -> Iterator[Entry]:
    """What lies in a job's folder and was not sent like that."""
    sent = {entry["path"]: entry for entry in read_json(folder / KEPT / "sent.json") or ()}
    for place, names, files in os.walk(folder):
        if Path(place) == folder and KEPT in names:
            names.remove(KEPT)
        for name in sorted({*files, *(n for n in names if Path(place, n).is_symlink())}):
            path = Path(place, name)
            known = sent.get(str(path.relative_to(folder)))
            entry = as_found(folder, path)
            if entry is not None and entry != known:
                yield entry


def as_found(folder: Path, path: Path) -> Entry | None:
    """How a list has a file or a symbolic link; None for what is neither."""
    found = path.lstat()
    name = str(path.relative_to(folder))
    if stat.S_ISLNK(found.st_mode):
        return {"path": name, "kind": "link", "to": os.readlink(path)}
    if not stat.S_ISREG(found.st_mode):
        return None
    mode = stat.S_IMODE(found.st_mode) & 0o777
    return {
        "path": name,
        "kind": "file",
        "size": found.st_size,
        "time": found.st_mtime_ns,
        "mode": mode,
    }


def read_json(file: Path) -> Any:
    """What is in ``file``; None when it is not there."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def write_beside(file: Path, text: str) -> None:
    """The file is either the old or the new one, also after a power cut."""
    fresh = file.with_name(f".{file.name}.new")
    with open(fresh, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.replace(file)
