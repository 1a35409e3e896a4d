"""Disks and shares: can something be written, how much room is there, does the server answer?"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from wulfling.model.health import Mount, Space
from wulfling.node.board import Board
from wulfling.node.health.ailments import is_full, lacks_inodes
from wulfling.node.health.background import Background

LOCAL = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "xfs")
LOOKED_AT = ("/", "/home", "/nfs", "/srv", "/tmp", "/var", "/var/lib", "/var/log")
ETAB = "/var/lib/nfs/etab"  # what exportfs(8) has told the kernel

SEARCH = 4.0  # seconds that the search for what fills a disk may take
OF_PACKAGES = ("boot", "lib", "usr")  # searched last: much to walk through, and nothing grows
LARGEST = 3  # how many of them are told


def measure(board: Board) -> dict[str, Any]:
    """Errors and wear."""
    return {"disk_errors": errors(board), "written": written(board), "worn": worn(board)}


def room(board: Board, served: Iterable[str] = ()) -> dict[str, Any]:
    """File systems, also those mounted on ``served``."""
    return {"spaces": spaces(board, served)}


def errors(board: Board) -> tuple[tuple[str, int], ...]:
    """Devices on which ext4 met errors, and how many. It remembers them until e2fsck(8) ran."""
    return tuple((name, count) for name, count in _ext4(board, "errors_count") if count)


def written(board: Board) -> tuple[tuple[str, int], ...]:
    """GiB that ext4 has ever written to its devices (ext4(5), lifetime_write_kbytes)."""
    return tuple((name, kb >> 20) for name, kb in _ext4(board, "lifetime_write_kbytes"))


def _ext4(board: Board, what: str) -> Iterator[tuple[str, int]]:
    for place in sorted(board.path("/sys/fs/ext4").glob(f"*/{what}")):
        with suppress(OSError, ValueError):
            yield place.parent.name, int(place.read_text())


def worn(board: Board) -> tuple[tuple[str, int], ...]:
    """Percent of its life that an eMMC has gone through, at most: it tells tenths, of each kind
    of cell (JEDEC 84-B51, DEVICE_LIFE_TIME_EST). SD cards do not tell it."""
    found = []
    for place in sorted(board.path("/sys/block").glob("*/device/life_time")):
        with suppress(OSError, ValueError):
            tenths = max(int(word, 16) for word in place.read_text().split())
            if tenths:  # 0 is "not told"
                found.append((place.parent.parent.name, tenths * 10))
    return tuple(found)


def spaces(board: Board, served: Iterable[str] = ()) -> tuple[Space, ...]:
    """The local file systems where a cluster writes."""
    found = []
    looked_at = (*LOOKED_AT, *served)
    for line in board.lines("/proc/self/mounts"):
        words = line.split()
        if len(words) > 2 and words[1] in looked_at and words[2] in LOCAL:
            found.append(_space(board, words[1]))
    return tuple(found)


def _space(board: Board, path: str) -> Space:
    place = board.path(path)
    state = _writable(str(place))
    sizes = os.statvfs(place)
    unit = sizes.f_frsize / (1 << 20)
    return Space(
        path=path,
        state=state,
        mb=int(sizes.f_blocks * unit),
        free_mb=int(sizes.f_bavail * unit),
        inodes=sizes.f_files,
        free_inodes=sizes.f_favail,
    )


def searched(board: Board, space: Space) -> Space:
    """The same with what takes the most, when it is full."""
    place = str(board.path(space.path))
    if is_full(space):
        return replace(space, largest=tuple(_largest_files(place)))
    if lacks_inodes(space):
        return replace(space, largest=tuple(_crowded_folders(place)))
    return space


def _writable(folder: str) -> str:
    """Begins a file without a name: the kernel drops it again, and nobody ever sees it."""
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        return "ok" if error.errno in (errno.EOPNOTSUPP, errno.EISDIR) else _name(error)
    try:
        os.write(handle, b"?")
    except OSError as error:
        return _name(error)
    finally:
        os.close(handle)
    return "ok"


def _largest_files(top: str) -> Iterator[str]:
    found: list[tuple[int, str]] = []
    for folder, names in _walk(top):
        for name in names:
            with suppress(OSError):
                seen = os.lstat(f"{folder}/{name}")
                if stat.S_ISREG(seen.st_mode):
                    found.append((seen.st_blocks // 2048, os.path.normpath(f"{folder}/{name}")))
        found = sorted(found, reverse=True)[:LARGEST]
    yield from (f"{path} ({mb} MB)" for mb, path in found if mb)


def _crowded_folders(top: str) -> Iterator[str]:
    found: list[tuple[int, str]] = []
    for folder, names in _walk(top):
        found = sorted([*found, (len(names), os.path.normpath(folder))], reverse=True)[:LARGEST]
    yield from (f"{path} ({count} files)" for count, path in found)


def _walk(top: str) -> Iterator[tuple[str, list[str]]]:
    """Folders and the files in them, on this file system alone, for as long as there is time."""
    device = os.lstat(top).st_dev
    deadline = time.monotonic() + SEARCH
    for folder, folders, names in os.walk(top):
        if time.monotonic() > deadline:
            return
        own = [name for name in folders if _device(f"{folder}/{name}") == device]
        folders[:] = sorted(own, key=lambda name: folder == top and name in OF_PACKAGES)
        yield folder, names


def _device(path: str) -> int:
    """An automount is a file system of its own already, so nothing is mounted by looking."""
    try:
        return os.lstat(path).st_dev
    except OSError:
        return -1


class Asked(NamedTuple):
    """A share that is being looked at."""

    path: str
    looking: Background[str]
    board: Board

    def collect(self) -> Mount:
        """How it is; the kind of file system is read from the kernel's table, which never hangs."""
        kinds = {}
        for line in self.board.lines("/proc/self/mounts"):
            words = line.split()
            if len(words) > 2 and words[2] != "autofs":
                kinds[words[1]] = words[2]
        return Mount(self.path, self.looking.result("hangs"), kinds.get(self.path, ""))


def mounts(board: Board, paths: Sequence[str]) -> tuple[Asked, ...]:
    """Start to look into shares; an automount is mounted by that."""
    return tuple(
        Asked(path, Background(partial(_look, f"{board.path(path)}/.")), board) for path in paths
    )


def _look(path: str) -> str:
    try:
        os.statvfs(path)
        os.stat(path)
        with os.scandir(path) as inside:
            next(inside, None)
    except PermissionError:  # our root is nobody there
        return "ok"
    except OSError as error:
        return _name(error)
    return "ok"


def exports(board: Board) -> tuple[tuple[str, str], ...]:
    """Path and client of all that is exported now."""
    return tuple(_exported(board.lines(ETAB)))


def _exported(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        path, _, client = line.partition("\t")
        yield path, client.partition("(")[0]


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))
