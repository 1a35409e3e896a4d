"""Which disks may be written: a /sys that is a folder, and no disk is ever opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wulfling.bringup.device import Disk, Machine, device_number, disk
from wulfling.errors import WulflingError

GIB = 1 << 30
SDB = {
    "removable": "1",
    "ro": "0",
    "size": str(32 * 10**9 // 512),
    "dev": "8:16",
    "device/vendor": "Generic ",
    "device/model": "SD/MMC",
    "sdb1/partition": "1",
    "sdb1/dev": "8:17",
    "sdb2/partition": "2",
    "sdb2/dev": "8:18",
}
ROOT = "25 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n"

Put = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path) -> Put:
    """A machine with a card reader at /dev/sdb; ``changed`` are files in /sys, None for no file."""

    def put(mounts: str = ROOT, number: str = "8:16", **changed: str | None) -> Machine:
        entry = tmp_path / "sys" / "devices" / "sdb"
        for name, text in {**SDB, **changed}.items():
            if text is not None:
                (entry / name).parent.mkdir(parents=True, exist_ok=True)
                (entry / name).write_text(f"{text}\n")
        numbers = tmp_path / "sys" / "dev" / "block"
        numbers.mkdir(parents=True)
        (numbers / "8:16").symlink_to(entry)
        (numbers / "8:17").symlink_to(entry / "sdb1")
        mountinfo = tmp_path / "mountinfo"
        mountinfo.write_text(mounts)
        return Machine(tmp_path / "sys", mountinfo, lambda path: number)

    return put


def test_a_card(machine: Put) -> None:
    found = disk(Path("/dev/sdb"), 64 * GIB, machine())
    assert found == Disk(Path("/dev/sdb"), "Generic SD/MMC", 32 * 10**9 // 512 * 512)


def test_a_card_in_a_reader_that_is_built_in(machine: Put) -> None:
    """The slot stays and is no removable disk; what is in it says that it is an SD card."""
    built_in = machine(**{"removable": "0", "device/type": "SD", "device/name": "SC32G"})
    assert disk(Path("/dev/mmcblk0"), 64 * GIB, built_in).model.endswith("SC32G")


@pytest.mark.parametrize(
    ("changed", "said", "hint"),
    [
        ({"removable": "0"}, "is no removable disk", "lsblk"),
        ({"removable": None}, "is no removable disk", "lsblk"),
        ({"removable": "0", "device/type": "MMC"}, "is no removable disk", "lsblk"),
        ({"number": "8:17"}, "is a partition", "--to /dev/sdb"),
        ({"size": "0"}, "there is no card in", "lsblk"),
        ({"ro": "1"}, "is write protected", "slide the lock"),
        ({"size": str(2 * 10**12 // 512)}, "has 2000.0 GB, and .* 68.7 GB", "--expect 1863G"),
        ({"sdb2/holders/dm-0": ""}, "in use by dm-0", "lsblk"),
        (
            {"mounts": f"{ROOT}30 25 8:17 / /media/me/boot\\040fs rw - vfat /dev/sdb1 rw\n"},
            "is mounted at /media/me/boot fs",
            "umount '/media/me/boot fs'",
        ),
        ({"mounts": f"{ROOT}30 25 8:16 / /mnt rw - vfat /dev/sdb rw\n"}, "mounted at /mnt", "/mnt"),
    ],
)
def test_what_is_no_card_is_refused(
    machine: Put, changed: dict[str, str | None], said: str, hint: str
) -> None:
    with pytest.raises(WulflingError, match=said) as caught:
        disk(Path("/dev/sdb1" if "number" in changed else "/dev/sdb"), 64 * GIB, machine(**changed))
    assert hint in caught.value.hint


def test_a_file_has_no_device_number(tmp_path: Path) -> None:
    assert device_number(tmp_path) == device_number(tmp_path / "nothing") == ""
    assert device_number(Path("/dev/null")) == ""
