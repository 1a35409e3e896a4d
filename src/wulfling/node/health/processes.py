"""Processes that hang, and what jobs have left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wulfling.node.board import Board

SCOPE = "system.slice/*slurmstepd.scope/job_*"  # since 23.11 the node's name comes first


def measure(board: Board) -> dict[str, Any]:
    """How many processes are in an uninterruptible wait, and how many jobs have a cgroup."""
    states = [_state(place) for place in board.path("/proc").glob("[0-9]*/stat")]
    cgroups = tuple(board.path("/sys/fs/cgroup").glob(SCOPE))
    return {"stuck": states.count("D"), "job_cgroups": len(cgroups)}


def _state(stat: Path) -> str:
    """The state letter of proc(5), "" for a process that has just ended."""
    try:
        return stat.read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
