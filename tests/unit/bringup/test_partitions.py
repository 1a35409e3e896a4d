"""Partition tables, made by hand and by sfdisk."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from wulfling.bringup import partitions
from wulfling.bringup.partitions import HEAD, Partition
from wulfling.errors import WulflingError

MIB = 1 << 20
SFDISK = shutil.which("sfdisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def mbr(*entries: tuple[int, int, int], status: int = 0) -> bytes:
    table = bytearray(HEAD)
    for number, (kind, start, size) in enumerate(entries):
        struct.pack_into("<B3xB3xII", table, 446 + 16 * number, status, kind, start, size)
    table[510:512] = b"\x55\xaa"
    return bytes(table)


def test_an_mbr_is_read_in_bytes() -> None:
    found = partitions.read(mbr((0x0C, 8192, 2048), (0x83, 10240, 4096)))
    assert found == (
        Partition(8192 * 512, MIB, fat=True),
        Partition(10240 * 512, 2 * MIB, fat=False),
    )
    assert partitions.boot(found) is found[0]
    assert found[1].end == (10240 + 4096) * 512


@pytest.mark.skipif(SFDISK is None, reason="sfdisk is not installed: apt install fdisk")
@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_what_sfdisk_writes(label: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, 64 * MIB)
    kind = "c" if label == "dos" else "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
    script = f"label: {label}\nstart=4MiB, size=16MiB, type={kind}\nstart=20MiB, size=32MiB\n"
    subprocess.run([SFDISK or "", disk], input=script, text=True, capture_output=True, check=True)
    found = partitions.read(disk.read_bytes()[:HEAD])
    assert found == (
        Partition(4 * MIB, 16 * MIB, fat=True),
        Partition(20 * MIB, 32 * MIB, fat=False),
    )


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "no partition table"),
        (bytes(HEAD), "no partition table"),
        (b"MZ" + bytes(508), "no partition table"),
        (mbr(), "no partition table"),
        (mbr((0x0C, 1, 1), status=0x37), "no partition table"),
        (mbr((0xEE, 1, 1)), "GPT.* is damaged"),
        (mbr((0xEE, 1, 1))[:600], "GPT.* is cut short"),
        (mbr((0x83, 1, 1)), "no FAT partition"),
    ],
)
def test_no_table_and_no_boot_partition(head: bytes, said: str) -> None:
    with pytest.raises(WulflingError, match=said):
        partitions.boot(partitions.read(head))


def test_random_bytes_are_no_other_error() -> None:
    for _ in range(200):
        head = bytearray(os.urandom(HEAD))
        head[510:512] = b"\x55\xaa"
        for place in range(446, 510, 16):
            head[place] = 0
        head[450] = 0xEE
        head[512:520] = b"EFI PART"
        try:
            partitions.boot(partitions.read(bytes(head)))
        except WulflingError:
            pass
