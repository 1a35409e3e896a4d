"""Power, heat, load and memory, read from the kernel without starting a process."""

from __future__ import annotations

import re
from typing import Any

from wulfling.node.board import Board

# What `vcgencmd get_throttled` prints, where the Raspberry Pi's kernel says it as well.
THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
TEMPERATURE = "/sys/class/thermal/thermal_zone0/temp"
_HEX = re.compile(r"(0x)?[0-9a-fA-F]+")


def measure(board: Board) -> dict[str, Any]:
    """Load of the last minute, seconds since the start, degrees, throttling."""
    degrees, bits = _first(board, TEMPERATURE), _first(board, THROTTLED)
    return {
        "load": float(_first(board, "/proc/loadavg") or 0),
        "up_seconds": int(float(_first(board, "/proc/uptime") or 0)),
        "temperature": int(degrees) / 1000 if degrees.lstrip("-").isdigit() else None,
        "throttled": int(bits, 16) if _HEX.fullmatch(bits) else None,
    }


def memory(board: Board) -> dict[str, Any]:
    """MiB of memory, and those that are left."""
    known = {
        words[0].rstrip(":"): int(words[1])
        for words in (line.split() for line in board.lines("/proc/meminfo"))
        if len(words) > 1
    }
    return {
        "memory_mb": known.get("MemTotal", 0) // 1024,
        "free_mb": known.get("MemAvailable", 0) // 1024,
    }


def _first(board: Board, path: str) -> str:
    try:
        words = " ".join(board.lines(path)).split()
    except OSError:  # some sensors have nothing to say
        return ""
    return words[0] if words else ""
