"""The disks and network cards of a board, as they decide what it is good for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(str, Enum):
    """What a disk is made of. The value is the word for people."""

    NVME = "NVMe SSD"
    SSD = "SSD"
    HDD = "hard disk"
    EMMC = "eMMC"
    SD = "SD card"
    VIRTUAL = "virtual disk"
    OTHER = "disk"


@dataclass(frozen=True)
class Disk:
    """One disk. ``root`` says whether the system lies on it; ``usb`` whether a cable can go."""

    name: str
    kind: Kind
    gb: int  # 10^9 bytes, as it stands on the box
    root: bool = False
    usb: bool = False

    def __str__(self) -> str:
        return f"{'USB ' if self.usb else ''}{self.kind.value} of {self.gb} GB"


@dataclass(frozen=True)
class Link:
    """One network card. ``mbit`` is its speed now, 0 when it does not say."""

    name: str
    mac: str
    mbit: int
    wireless: bool = False

    def __str__(self) -> str:
        if self.wireless:
            return "Wi-Fi"
        return f"{self.mbit} Mbit/s" if self.mbit else "wired"


@dataclass(frozen=True)
class Devices:
    """All disks, and all network cards that are up."""

    disks: tuple[Disk, ...]
    links: tuple[Link, ...]
