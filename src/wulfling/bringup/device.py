"""Whether a block device may be written: only a card that is whole, removable and not in use."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError

_LIST = "lsblk -o NAME,SIZE,MODEL,RM,MOUNTPOINTS"


def device_number(path: Path) -> str:
    """The number of the block device at ``path``, "8:16"; "" when it is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    if not stat.S_ISBLK(found.st_mode):
        return ""
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


@dataclass(frozen=True)
class Machine:
    """What of this machine says about its disks; a test makes its own."""

    sys: Path = Path("/sys")
    mountinfo: Path = Path("/proc/self/mountinfo")
    number: Callable[[Path], str] = device_number


@dataclass(frozen=True)
class Disk:
    """A card that may be written, if the person means this one. ``size`` is in bytes."""

    path: Path
    model: str
    size: int


def disk(path: Path, largest: int, machine: Machine) -> Disk:
    """The card at ``path``, which is no larger than ``largest`` bytes.

    Raises ``WulflingError`` when it is a partition, built in, mounted, in use, write protected
    or too large. Nothing is opened; the kernel refuses once more when it is (open(2), O_EXCL).
    """
    entry = (machine.sys / "dev" / "block" / machine.number(path)).resolve()
    if (entry / "partition").exists():
        whole = path.with_name(entry.parent.name)
        raise WulflingError(
            f"{path} is a partition, and an image is written to a whole card",
            hint=f"--to {whole}",
        )
    if _word(entry / "removable") != "1" and _word(entry / "device" / "type") != "SD":
        raise WulflingError(
            f"{path} ({_model(entry) or 'without a name'}) is no removable disk", hint=_LIST
        )
    _refuse_used(path, entry, machine)
    size = int(_word(entry / "size") or 0) * 512  # always 512, whatever the disk's own sector
    if not size:
        raise WulflingError(f"there is no card in {path}", hint=_LIST)
    if _word(entry / "ro") == "1":
        raise WulflingError(
            f"{path} is write protected", hint="slide the lock of the card or of its adapter"
        )
    if size > largest:
        raise WulflingError(
            f"{path} has {size / 1e9:.1f} GB, and a card of at most {largest / 1e9:.1f} GB was"
            " expected",
            hint=f"if it is the card: --expect {-(-size // (1 << 30))}G",
        )
    return Disk(path, _model(entry), size)


def _refuse_used(path: Path, entry: Path, machine: Machine) -> None:
    parts = [entry, *sorted(child.parent for child in entry.glob("*/partition"))]
    mounted = _mounts(machine, {_word(part / "dev") for part in parts})
    if mounted:
        raise WulflingError(
            f"{path} is mounted at {', '.join(mounted)}", hint=f"umount {shlex.join(mounted)}"
        )
    users = sorted(user.name for part in parts for user in part.glob("holders/*"))
    if users:
        raise WulflingError(f"{path} is in use by {', '.join(users)}", hint=_LIST)


def _mounts(machine: Machine, numbers: set[str]) -> tuple[str, ...]:
    """Where devices with these numbers are mounted (proc(5), mountinfo)."""
    lines = machine.mountinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    fields = [line.split() for line in lines]
    return tuple(field[4].replace("\\040", " ") for field in fields if field[2] in numbers)


def _model(entry: Path) -> str:
    words: Iterator[str] = (_word(entry / "device" / name) for name in ("vendor", "model", "name"))
    return " ".join(word for word in words if word)


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
