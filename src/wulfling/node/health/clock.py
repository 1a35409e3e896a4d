"""The clock: how far it is from the one that it follows, as chrony tells."""

from __future__ import annotations

import os
from typing import Any

from wulfling.node.board import Board

CHRONYD = "/run/chrony/chronyd.pid"
TRACKING = ("chronyc", "-c", "tracking")
PATIENCE = 8.0  # seconds


def measure(board: Board) -> dict[str, Any]:
    """Its offset, and for how long somebody to follow has been looked for."""
    return {"clock": offset(board), "asking_seconds": asking(board)}


def offset(board: Board) -> float | None:
    """Seconds between this clock and the one it follows; None when it follows nobody."""
    code, said, _ = board.ask(TRACKING, timeout=PATIENCE)
    return parse(said) if code == 0 else None


def parse(said: str) -> float | None:
    """The same from what chrony said: following nobody it tells as a source of 00000000 and an
    offset of 0 (chronyc(1), tracking)."""
    words = said.strip().split(",")
    try:
        return abs(float(words[4])) if int(words[0], 16) else None
    except (IndexError, ValueError):
        return None


def asking(board: Board) -> int:
    """Seconds that chronyd runs (proc_pid_stat(5), starttime); 0 when it does not."""
    try:
        (pid,) = board.lines(CHRONYD)
        (stat,) = board.lines(f"/proc/{pid.strip()}/stat")
        up = float(board.lines("/proc/uptime")[0].split()[0])
        ticks = int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
    return int(up - ticks / os.sysconf("SC_CLK_TCK"))
