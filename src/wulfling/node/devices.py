"""The disks and network cards of this board, read from /sys without starting a process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wulfling.model.devices import Devices, Disk, Kind, Link
from wulfling.node.board import Board

_SECTOR = 512  # bytes in /sys/block/*/size, whatever the disk's own are
_NO_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock")
_VIRTUAL = ("ubd", "vd", "xvd")
_ETHERNET = "1"  # ARPHRD_ETHER


def measure(board: Board) -> Devices:
    """What is there now. Disks without a medium and cards that are down are left out."""
    return Devices(tuple(_disks(board)), tuple(_links(board)))


def as_json(devices: Devices) -> dict[str, Any]:
    """For the wire."""
    told = asdict(devices)
    for disk in told["disks"]:
        disk["kind"] = disk["kind"].value
    return told


def from_json(told: Any) -> Devices | None:
    """The same back; None for what no version of us said."""
    try:
        return Devices(
            tuple(Disk(**{**disk, "kind": Kind(disk["kind"])}) for disk in told["disks"]),
            tuple(Link(**link) for link in told["links"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _disks(board: Board) -> Iterator[Disk]:
    root = _root_disk(board)
    for place in _children(board, "/sys/block"):
        if place.name.startswith(_NO_DISKS) or place.name.count("boot"):
            continue
        size = _said(place / "size")
        if not size.isdigit() or not int(size):
            continue
        yield Disk(
            name=place.name,
            kind=_kind(place),
            gb=round(int(size) * _SECTOR / 1e9),
            root=place.name == root,
            usb="/usb" in str(place.resolve()),
        )


def _kind(place: Path) -> Kind:
    name = place.name
    if name.startswith(_VIRTUAL):
        return Kind.VIRTUAL
    if name.startswith("nvme"):
        return Kind.NVME
    if name.startswith("mmcblk"):
        return Kind.EMMC if _said(place / "device" / "type") == "MMC" else Kind.SD
    return {"0": Kind.SSD, "1": Kind.HDD}.get(_said(place / "queue" / "rotational"), Kind.OTHER)


def _root_disk(board: Board) -> str:
    """The name of the disk that ``/`` lies on, "" when it lies on none."""
    for line in board.lines("/proc/self/mountinfo"):  # proc(5)
        words = line.split()
        if len(words) > 4 and words[4] == "/":
            place = board.path(f"/sys/dev/block/{words[2]}")
            if not place.exists():
                return ""
            whole = place.resolve()
            return (whole.parent if (whole / "partition").exists() else whole).name
    return ""


def _links(board: Board) -> Iterator[Link]:
    for place in _children(board, "/sys/class/net"):
        # What has no device is made of software: bridges, tunnels, containers. The cards of
        # virtual boards have none either, and no other card is called vec.
        hardware = (place / "device").exists() or place.name.startswith("vec")
        if not hardware or _said(place / "type") != _ETHERNET:
            continue
        if _said(place / "operstate") == "down":
            continue
        speed = _said(place / "speed")
        yield Link(
            name=place.name,
            mac=_said(place / "address"),
            mbit=int(speed) if speed.isdigit() else 0,
            wireless=(place / "wireless").exists() or (place / "phy80211").exists(),
        )


def _children(board: Board, absolute: str) -> list[Path]:
    place = board.path(absolute)
    return sorted(place.iterdir()) if place.is_dir() else []


def _said(file: Path) -> str:
    """What a file of /sys says; "" also where asking is an error, as for a link's speed."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
