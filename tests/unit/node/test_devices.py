"""Disks and network cards, as /sys of different boards shows them."""

from __future__ import annotations

from pathlib import Path

from wulfling.model.devices import Devices, Disk, Kind, Link
from wulfling.node.board import Board
from wulfling.node.devices import as_json, from_json, measure


def put(root: Path, path: str, text: str = "") -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def disk(root: Path, name: str, sectors: int, rotational: str = "0", bus: str = "soc") -> Path:
    """A disk in /sys/block, which is a link to where its bus is."""
    place = root / "sys" / "devices" / bus / name
    put(root, f"sys/devices/{bus}/{name}/size", f"{sectors}\n")
    put(root, f"sys/devices/{bus}/{name}/queue/rotational", f"{rotational}\n")
    (root / "sys" / "block").mkdir(exist_ok=True)
    (root / "sys" / "block" / name).symlink_to(place)
    return place


def card(root: Path, name: str, mac: str, *, state: str = "up", speed: str = "1000") -> None:
    where = f"sys/class/net/{name}"
    for file, text in (("address", mac), ("operstate", state), ("type", "1"), ("speed", speed)):
        put(root, f"{where}/{file}", f"{text}\n")
    put(root, f"{where}/device/uevent")


def test_a_pi_with_a_disk_on_usb(root: Path) -> None:
    sd = disk(root, "mmcblk0", 62_333_952)
    put(root, "sys/block/mmcblk0/device/type", "SD\n")
    put(root, "sys/block/mmcblk0/mmcblk0p2/partition", "2\n")
    disk(root, "sda", 976_773_168, bus="usb2")
    disk(root, "sdb", 0)  # a card reader without a card
    disk(root, "loop0", 100)
    disk(root, "mmcblk0boot0", 8192)
    put(root, "proc/self/mountinfo", "22 1 179:2 / / rw,noatime - ext4 /dev/mmcblk0p2 rw\n")
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block/179:2").symlink_to(sd / "mmcblk0p2")
    card(root, "eth0", "dc:a6:32:01:02:03")
    card(root, "eth1", "dc:a6:32:01:02:05", state="down")
    card(root, "wlan0", "dc:a6:32:01:02:04", speed="")
    put(root, "sys/class/net/wlan0/phy80211/name", "phy0")
    put(root, "sys/class/net/lo/type", "772\n")
    put(root, "sys/class/net/br0/type", "1\n")
    put(root, "sys/class/net/bonding_masters", "")
    found = measure(Board(root))
    assert found == Devices(
        (
            Disk("mmcblk0", Kind.SD, 32, root=True),
            Disk("sda", Kind.SSD, 500, usb=True),
        ),
        (
            Link("eth0", "dc:a6:32:01:02:03", 1000),
            Link("wlan0", "dc:a6:32:01:02:04", 0, wireless=True),
        ),
    )
    assert [str(d) for d in found.disks] == ["SD card of 32 GB", "USB SSD of 500 GB"]
    assert [str(link) for link in found.links] == ["1000 Mbit/s", "Wi-Fi"]
    assert from_json(as_json(found)) == found


def test_other_disks(root: Path) -> None:
    disk(root, "nvme0n1", 2_000_000)
    disk(root, "sda", 2_000_000, "1")
    disk(root, "vda", 2_000_000)
    disk(root, "mmcblk1", 2_000_000)
    put(root, "sys/block/mmcblk1/device/type", "MMC\n")
    kinds = {d.name: d.kind for d in measure(Board(root)).disks}
    assert kinds == {
        "mmcblk1": Kind.EMMC,
        "nvme0n1": Kind.NVME,
        "sda": Kind.HDD,
        "vda": Kind.VIRTUAL,
    }


def test_a_board_that_shows_nothing(root: Path) -> None:
    assert measure(Board(root)) == Devices((), ())
    assert from_json({"disks": [{"name": "x"}], "links": []}) is None
    assert from_json(None) is None
