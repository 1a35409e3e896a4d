"""Puts right what a killed apply or a power cut left, before anything else is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wulfling.errors import CommandFailed
from wulfling.node.board import STATE, Board
from wulfling.node.resources.file import unfinished
from wulfling.node.resources.packages import (
    DPKG_STATUS,
    POLICY,
    POLICY_TEXT,
    finish_installation,
    wait_for_dpkg,
)

JOURNAL = f"{STATE}/journal"
ACCOUNT_LOCKS = tuple(
    f"{table}.lock" for table in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
)
ACCOUNT_TOOLS = re.compile(
    "(user|group)(add|del|mod|mems)|(pw|grp)(ck|conv|unconv)|ch(age|fn|sh|passwd|gpasswd)"
    "|g?passwd|newusers|vipw|vigr"
)
_HALF_DONE = re.compile(
    r"^Package: (\S+)\n(?:(?:Essential|Protected): \S+\n)*"
    r"Status: \S+ \S+ (?:half-installed|unpacked|half-configured|triggers-\w+)$",
    re.MULTILINE,
)


def repair(board: Board) -> tuple[str, ...]:
    """What was put right, in words for people; nothing on a board that ended its last run."""
    return tuple(
        word
        for step in (_policy, _account_locks, _half_done_packages, _journal)
        for word in step(board)
    )


def _policy(board: Board) -> Iterator[str]:
    place = board.path(POLICY)
    if place.exists() and place.read_text(encoding="utf-8", errors="replace") == POLICY_TEXT:
        place.unlink()
        yield f"removed {POLICY}, which a killed installation left"


def _account_locks(board: Board) -> Iterator[str]:
    """useradd(8) locks by files that hold its process number. After a power cut that number
    belongs to somebody else, and useradd would wait for the wrong process for ever. The time
    of the file does not help: many boards have no clock of their own."""
    for name in ACCOUNT_LOCKS:
        lock = board.text(f"/etc/{name}")
        if lock is None:
            continue
        number = lock.strip("\0\n ")
        holder = " ".join(board.lines(f"/proc/{number}/comm")) if number.isdigit() else ""
        if not ACCOUNT_TOOLS.fullmatch(holder):
            board.path(f"/etc/{name}").unlink(missing_ok=True)
            yield f"removed /etc/{name}, which an interrupted useradd left"


def _half_done_packages(board: Board) -> Iterator[str]:
    if not _is_half_done(board):
        return
    wait_for_dpkg(board)
    if not _is_half_done(board):
        return
    board.say("an installation that was cut off to be finished")
    try:
        finish_installation(board)
    except CommandFailed as failed:  # perhaps by a package that is none of ours
        yield f"could not finish an installation that was cut off: {failed}"
    else:
        yield "finished an installation that was cut off (dpkg --configure -a)"


def half_done_packages(board: Board) -> tuple[str, ...]:
    """The packages that an installation has left between out and in, by dpkg's own table."""
    return tuple(_HALF_DONE.findall(board.text(DPKG_STATUS) or ""))


def _is_half_done(board: Board) -> bool:
    """dpkg keeps changes that are not yet in its table in numbered files (dpkg's updates/)."""
    updates = board.path("/var/lib/dpkg/updates")
    pending = updates.is_dir() and any(place.name.isdigit() for place in updates.iterdir())
    return pending or bool(half_done_packages(board))


def _journal(board: Board) -> Iterator[str]:
    keys = board.lines(JOURNAL)
    for key in keys:
        kind, _, path = key.partition(":")
        if kind in ("file", "blob", "block", "link", "kernel"):
            unfinished(board.path(path)).unlink(missing_ok=True)
        yield f"the last run was cut off at {key}, which is looked at again"
    if keys:
        board.path(JOURNAL).unlink()
