"""Which processes of ours belong to a folder, read from /proc, and how to end them for certain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One live process: its number, its group, when it was started, and how it was called."""

    pid: int
    group: int
    started: int
    argv: tuple[str, ...]

    def mentions(self, folder: Path) -> bool:
        """Whether an argument names ``folder`` or something in it, and not a longer name."""
        path = str(folder)
        return any(_names(argument, path) for argument in self.argv)


def _names(argument: str, path: str) -> bool:
    at = argument.find(path)
    while at >= 0:
        before, after = argument[:at], argument[at + len(path) :]
        if (not before or before[-1] in "=,:") and (not after or after[0] in "/,:"):
            return True
        at = argument.find(path, at + 1)
    return False


def own_processes(proc: Path = _PROC) -> tuple[Process, ...]:
    """Every live process of this user, zombies left out."""
    uid = os.getuid()
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            process = _read(entry, uid)
            if process is not None:
                found.append(process)
    return tuple(found)


def members(processes: Iterable[Process], folder: Path) -> tuple[Process, ...]:
    """Those that mention ``folder``, and all others of their process groups.

    Our own group is never taken whole: a shell that was given the path is not a board.
    """
    everyone = tuple(processes)
    mine = os.getpgrp()
    hits = [p for p in everyone if p.mentions(folder) and p.group != mine and _is_ours(p)]
    groups = {p.group for p in hits}
    return tuple(p for p in everyone if p.group in groups)


_PROGRAMS = frozenset({"linux.uml", "relay.py", "mirror.py", "nsenter", "unshare"})


def _is_ours(process: Process) -> bool:
    """Whether it is one of the programs a lab is made of, not an editor with its log open."""
    return any(os.path.basename(argument) in _PROGRAMS for argument in process.argv[:12])


def end_group(process: Process) -> None:
    """End the group of ``process`` and wait until it is gone."""
    _end(lambda: tuple(p for p in own_processes() if p.group == process.group), str(process.pid))


def end(folder: Path, *, patience: float = 20.0) -> bool:
    """End every process that belongs to ``folder`` with SIGKILL and wait until none is left.

    Returns whether there was any. Raises ``WulflingError`` when one is still there after
    ``patience`` seconds.
    """
    return end_all((folder,), patience=patience)


def end_all(folders: Sequence[Path], *, patience: float = 20.0) -> bool:
    """As ``end``, for several folders at once."""

    def left() -> tuple[Process, ...]:
        everyone = own_processes()
        return tuple({p.pid: p for f in folders for p in members(everyone, f)}.values())

    return _end(left, str(folders[0]), patience)


def _end(left: Callable[[], tuple[Process, ...]], what: str, patience: float = 20.0) -> bool:
    """Kill whatever ``left`` finds until it finds nothing; whether it ever found something."""
    found = remaining = left()
    deadline = time.monotonic() + patience
    while remaining:
        for process in remaining:
            _kill(process)
        if time.monotonic() > deadline:
            raise WulflingError(
                f"process {remaining[0].pid} of {what} does not end",
                hint=f"ps -fp {','.join(str(p.pid) for p in remaining)}",
            )
        time.sleep(0.02)
        reap()
        remaining = left()
    return bool(found)


def is_alive(process: Process) -> bool:
    """Whether this very process still runs."""
    now = _read(_PROC / str(process.pid), os.getuid())
    return now is not None and now.started == process.started


def reap() -> None:
    """Take note of our own children that ended, so that they do not stay as zombies."""
    for child in list(_STARTED):
        if child() is not None:
            _STARTED.remove(child)


_STARTED: list[Callable[[], int | None]] = []


def adopt(poll: Callable[[], int | None]) -> None:
    """Remember how to ask a child started by us whether it ended."""
    _STARTED.append(poll)


def _kill(process: Process) -> None:
    """Kill one process, unless its number has meanwhile gone to another one."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(process):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


_KERNEL_THREAD = 0x00200000


def _read(entry: Path, uid: int) -> Process | None:
    """What /proc says of one process of ``uid``; nothing when it is gone or a zombie.

    A process in the middle of ``exec`` has no arguments for a moment; it is asked again, since
    a board that is overlooked would be started twice on one disk.
    """
    for _ in range(200):
        try:
            if entry.stat().st_uid != uid and _real_uid(entry) != uid:
                return None
            line = (entry / "stat").read_text(errors="replace")
            argv = (entry / "cmdline").read_bytes()
        except OSError:
            return None
        fields = line[line.rindex(")") + 2 :].split()
        if fields[0] in "ZX" or int(fields[6]) & _KERNEL_THREAD:
            return None
        if argv:
            break
        time.sleep(0.001)
    words = tuple(os.fsdecode(word) for word in argv.split(b"\0") if word)
    return Process(int(entry.name), int(fields[2]), int(fields[19]), words)


def _real_uid(entry: Path) -> int:
    """The owner by status: a process that may not be traced has files owned by root."""
    for line in (entry / "status").read_text(errors="replace").splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    return -1
