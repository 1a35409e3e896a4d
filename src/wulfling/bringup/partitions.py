"""Reads the partition table of a disk image, MBR or GPT, from its first bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from wulfling.errors import WulflingError

SECTOR = 512
HEAD = 34 * SECTOR
"""How many bytes ``read`` needs: an MBR, a GPT header and its 128 entries."""

_FAT_TYPES = frozenset((0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E, 0xEF))
_GPT_TYPE = 0xEE
_FAT_GUIDS = frozenset(
    UUID(text).bytes_le
    for text in (
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",  # EFI system
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",  # basic data
    )
)


@dataclass(frozen=True)
class Partition:
    """Where a partition is, in bytes, and whether its type says that it is FAT."""

    start: int
    size: int
    fat: bool

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + self.size


def read(head: bytes) -> tuple[Partition, ...]:
    """The partitions of a disk that begins with ``head``, in the order of the table.

    Raises ``WulflingError`` when there is no table.
    """
    found = _mbr(head)
    if any(kind == _GPT_TYPE for kind, _, _ in found):
        return _gpt(head)
    if not found:
        raise WulflingError("there is no partition table in it")
    return tuple(Partition(start, size, kind in _FAT_TYPES) for kind, start, size in found)


def boot(partitions: tuple[Partition, ...]) -> Partition:
    """The partition that the firmware reads: the first FAT one. Raises ``WulflingError``."""
    for partition in partitions:
        if partition.fat:
            return partition
    raise WulflingError("there is no FAT partition in it, and a Raspberry Pi boots from one")


def _mbr(head: bytes) -> list[tuple[int, int, int]]:
    """Type, start and size of the used entries; none when these bytes are no MBR."""
    if len(head) < SECTOR or head[510:512] != b"\x55\xaa":
        return []
    found = []
    for place in range(446, 510, 16):
        status, kind, start, size = struct.unpack_from("<B3xB3xII", head, place)
        if status not in (0, 0x80):  # a FAT file system without a table has code here
            return []
        if kind and size:
            found.append((kind, start * SECTOR, size * SECTOR))
    return found


def _gpt(head: bytes) -> tuple[Partition, ...]:
    if len(head) < 2 * SECTOR:
        raise WulflingError("its partition table (GPT) is cut short")
    signature, entries, count, length = struct.unpack_from("<8s64xQII", head, SECTOR)
    if signature != b"EFI PART" or entries != 2 or length < 48 or count * length > HEAD:
        raise WulflingError("its partition table (GPT) is damaged")
    found = []
    for place in range(2 * SECTOR, min(2 * SECTOR + count * length, len(head) - 47), length):
        kind, first, last = struct.unpack_from("<16s16xQQ", head, place)
        if any(kind):
            size = (last - first + 1) * SECTOR
            found.append(Partition(first * SECTOR, size, kind in _FAT_GUIDS))
    return tuple(found)
