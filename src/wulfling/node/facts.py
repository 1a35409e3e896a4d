"""What this board is made of, measured without starting a single process."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Any

from wulfling.model.cluster import Hardware
from wulfling.node.board import Board

# What the kernel calls a machine and what dpkg does (dpkg-architecture(1)).
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "armv6l": "armhf",
    "i686": "i386",
}
COMMAND_LINES = ("/boot/firmware/cmdline.txt", "/boot/cmdline.txt")


def measure(board: Board) -> Hardware:
    """The board's hardware and operating system."""
    release = _os_release(board)
    memory = _memory(board)
    cores, threads = _cores(board)
    machine = os.uname().machine
    return Hardware(
        arch=_first(board, "/var/lib/dpkg/arch-native") or _architecture(machine),
        cores=cores,
        threads_per_core=threads,
        memory_mb=memory.get("MemTotal", 0) // 1024,
        swap_mb=memory.get("SwapTotal", 0) // 1024,
        os_id=release.get("ID", ""),
        os_version=release.get("VERSION_ID", ""),
        os_codename=release.get("VERSION_CODENAME", ""),
        kernel=os.uname().release,
        python=".".join(map(str, sys.version_info[:3])),
        model=_model(board),
        cgroup_controllers=tuple(_first(board, "/sys/fs/cgroup/cgroup.controllers").split()),
        cmdline_file=_command_line(board),
        machine_id=_first(board, "/etc/machine-id"),
        host_keys=_host_keys(board),
    )


def as_json(hardware: Hardware) -> dict[str, Any]:
    """For the wire."""
    return asdict(hardware)


def from_json(facts: Any) -> Hardware | None:
    """A board as it was told; None when it was told by a version that measured other things."""
    try:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        return Hardware(**values)
    except (AttributeError, TypeError):
        return None


def _first(board: Board, path: str) -> str:
    return next(iter(board.lines(path)), "").strip()


def _os_release(board: Board) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in board.lines("/etc/os-release") if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def _memory(board: Board) -> dict[str, int]:
    """/proc/meminfo in KiB."""
    words = (line.split() for line in board.lines("/proc/meminfo"))
    return {word[0].rstrip(":"): int(word[1]) for word in words if len(word) > 1}


def _cores(board: Board) -> tuple[int, int]:
    """Physical cores and threads for each. A kernel without topology has plain CPUs."""
    siblings = set()
    cpus = 0
    for place in board.path("/sys/devices/system/cpu").glob("cpu[0-9]*"):
        if "0" in board.lines(f"/sys/devices/system/cpu/{place.name}/online"):
            continue
        cpus += 1
        shared = place / "topology" / "thread_siblings_list"
        siblings.add(shared.read_text() if shared.exists() else place.name)
    cpus = cpus or os.cpu_count() or 1
    cores = len(siblings) or cpus
    # Laptops mix cores of two threads and of one; Slurm knows one number, so each CPU counts.
    return (cores, cpus // cores) if cpus % cores == 0 else (cpus, 1)


def _architecture(machine: str) -> str:
    """dpkg's name. Raspberry Pi OS has a 64-bit kernel under a 32-bit system: what counts is
    what this Python was built for."""
    if sys.maxsize < 2**32:
        machine = {"aarch64": "armv7l", "x86_64": "i686"}.get(machine, machine)
    return ARCHITECTURES.get(machine, machine)


def _command_line(board: Board) -> str:
    """The file that the firmware reads. Since Debian 12 the old place holds a note instead."""
    for file in COMMAND_LINES:
        if "root=" in (board.text(file) or ""):
            return file
    return ""


def _model(board: Board) -> str:
    for path in ("/proc/device-tree/model", "/sys/class/dmi/id/product_name"):
        if words := _first(board, path).strip("\0"):
            return words
    return ""


def _host_keys(board: Board) -> tuple[str, ...]:
    keys = []
    for place in sorted(board.path("/etc/ssh").glob("ssh_host_*_key.pub")):
        words = place.read_text(encoding="utf-8").split()
        keys.append(" ".join(words[:2]))
    return tuple(keys)
