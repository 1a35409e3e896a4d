"""What is wrong with one board, judged from what it saw of itself: in the words of its own health
check, which are Slurm's reason for the drain, and of doctor and status alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from wulfling.model.health import Health, Space

LEAST_DISK = 300  # MiB that have to be free, or a twentieth of the disk; a gigabyte is enough
MOST_DISK = 1024
LEAST_INODES = 0.05
LEAST_MEMORY = 16  # MiB; what jobs may have leaves the board 64 and more
LARGEST_OFFSET = 1.0  # seconds; munge gives up at 300
MOST_STUCK = 10  # processes in an uninterruptible wait
MOST_CGROUPS = 500
SLOWEST_LINK = 100  # Mbit/s

# The bits of `vcgencmd get_throttled` (Raspberry Pi's documentation of it): now, and since start.
UNDER_VOLTAGE, UNDER_VOLTAGE_BEFORE = 1 << 0, 1 << 16
TOO_HOT, TOO_HOT_BEFORE = 1 << 2 | 1 << 3, 1 << 18 | 1 << 19


@dataclass(frozen=True)
class Ailment:
    """What is wrong, and the name of the check that found it. ``at_once`` is for what a second
    look would not make better, ``lasting`` for what a person has to look at, however well the
    board is meanwhile; ``over`` is what was so since the start and is not so now. ``remedy``
    is what a person can do there."""

    words: str
    check: str = ""
    at_once: bool = False
    lasting: bool = False
    over: bool = False
    remedy: str = ""


def ailments(health: Health) -> Iterator[Ailment]:
    """Everything that is wrong with this board, the cause before what follows from it."""
    yield from _power(health)
    yield from _disk(health)
    yield from map(_space, filter(is_short, health.spaces))
    yield from _cables(health)
    if health.clock is not None and health.clock >= LARGEST_OFFSET:
        yield Ailment(f"its clock is {health.clock:.1f} s from the head's", "clock")
    yield from _mounts(health)
    yield from _strain(health)


def is_full(space: Space) -> bool:
    """Whether too little is left for others than root; of a small disk, a quarter has to be."""
    least = max(LEAST_DISK, min(space.mb // 20, MOST_DISK))
    return space.free_mb < min(least, space.mb / 4)


def lacks_inodes(space: Space) -> bool:
    """No new file can be made soon, however much room there is."""
    return space.inodes > 0 and space.free_inodes < LEAST_INODES * space.inodes


def is_short(space: Space) -> bool:
    """Whether it is full in one way or the other."""
    return is_full(space) or lacks_inodes(space)


def _power(health: Health) -> Iterator[Ailment]:
    bits = health.throttled or 0
    remedy = "a supply of its own with 3 A, and a short cable"
    if bits & UNDER_VOLTAGE:
        yield Ailment("its power supply or cable gives too little voltage", "power", remedy=remedy)
    elif bits & UNDER_VOLTAGE_BEFORE:
        words = "its power supply or cable has given too little voltage since it was switched on"
        yield Ailment(words, "power", over=True, remedy=remedy)
    remedy = "a heat sink, a fan, or room between the boards"
    heat = f", {health.temperature:.0f} degrees" if health.temperature else ""
    if bits & TOO_HOT:
        yield Ailment(f"it is too hot and slows itself down{heat}", "power", remedy=remedy)
    elif bits & TOO_HOT_BEFORE:
        words = f"it was too hot and has slowed itself down since it was switched on{heat}"
        yield Ailment(words, "power", over=True, remedy=remedy)


def _disk(health: Health) -> Iterator[Ailment]:
    """A file system that met an error may still say that it is writable: so it was tried."""
    for words in health.unread:
        yield Ailment(words, "disk")
    for space in health.spaces:
        if space.state not in ("ok", "ENOSPC"):
            why = os.strerror(getattr(errno, space.state, 0)) if space.state[:1] == "E" else ""
            words = f"{_name(space)} cannot be written: {why or space.state}"
            failed = ", and has met errors" if health.disk_errors else ""
            yield Ailment(f"{words}{failed}", "disk", at_once=True)
            break
    for device, count in health.disk_errors:
        words = f"the file system on {device} has met {count} errors; its disk may be dying"
        yield Ailment(words, "card", at_once=True)


def _name(space: Space) -> str:
    return "its disk" if space.path == "/" else f"its disk at {space.path}"


def _space(space: Space) -> Ailment:
    if is_full(space):
        words = f"{_name(space)} is full: {space.free_mb} MiB of {space.mb} MiB are free"
        return Ailment(words, "space")
    left = f"{space.free_inodes} of {space.inodes} inodes are left"
    return Ailment(f"{_name(space)} has no room for more files: {left}", "space")


def _cables(health: Health) -> Iterator[Ailment]:
    for name, mbit in health.links:
        if 0 < mbit < SLOWEST_LINK:
            yield Ailment(f"its cable at {name} gives {mbit} Mbit/s: plug it in anew", "link")
        elif name in health.half_duplex:
            words = f"its cable at {name} sends or receives, never both: try another"
            yield Ailment(words, "link")


def _mounts(health: Health) -> Iterator[Ailment]:
    for mount in health.mounts:
        if mount.state != "ok":
            words = f"{mount.path} does not answer: its file server, or the way there, is away"
            yield Ailment(words, "mount")
        elif not mount.well:
            yield Ailment(f"{mount.path} is not mounted", "mount")


def _strain(health: Health) -> Iterator[Ailment]:
    if health.memory_mb and health.free_mb < LEAST_MEMORY:
        yield Ailment(f"its memory is used up: {health.free_mb} MiB are left", "strain")
    if health.stuck >= MOST_STUCK:
        words = f"{health.stuck} processes wait for a disk or a file server that does not answer"
        yield Ailment(words, "strain")
    if health.job_cgroups >= MOST_CGROUPS:
        words = f"{health.job_cgroups} jobs have left a cgroup behind: start it anew"
        yield Ailment(words, "strain")
