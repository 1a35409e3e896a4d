"""A cluster of three boards, and small images with a real FAT partition in them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.model.cluster import Cards, Cluster
from wulfling.spec import document

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim's"
FILE = f"""\
wulfling: 1
cluster: raspi-hpc
network: 10.0.0.0/24
nodes:
  rpnode01: {{address: 10.0.0.1, roles: [head, compute]}}
  rpnode02: {{address: 10.0.0.2, roles: [compute]}}
  filenode01: {{address: 10.0.0.3, roles: [storage]}}
admin: {{keys: ["{KEY}"]}}
cards: {{gateway: 10.0.0.254, locale: ko_KR.UTF-8, timezone: Asia/Seoul, country: KR}}
"""

TRIXIE = {
    "cmdline.txt": "console=tty1 root=PARTUUID=1-02 rootfstype=ext4 rootwait resize\n",
    "config.txt": "[all]\nauto_initramfs=1\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "network-config": "#network:\n",
    "user-data": "#cloud-config\n#hostname: raspberrypi\n",
}
BOOKWORM = {
    "cmdline.txt": "console=tty1 root=PARTUUID=1-02 rootfstype=ext4 rootwait quiet"
    " init=/usr/lib/raspberrypi-sys-mods/firstboot\n",
    "config.txt": "# Automatically load initramfs files, if found\nauto_initramfs=1\n",
}

BOOT_START, BOOT_SIZE, ROOT_SIZE = 4 << 20, 8 << 20, 1 << 20


def program(name: str) -> str:
    """A tool of dosfstools or mtools; the test is skipped where it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt install dosfstools mtools")
    return found


def boot_files(image: Path) -> dict[str, str]:
    """The files of an image's boot partition, as mtools reads them."""
    place = f"{image}@@{BOOT_START}"
    listed = subprocess.run(
        [program("mdir"), "-b", "-i", place, "::"], capture_output=True, text=True, check=True
    ).stdout.split()
    return {
        name.removeprefix("::/"): subprocess.run(
            [program("mtype"), "-i", place, name], capture_output=True, text=True, check=True
        ).stdout
        for name in listed
    }


def is_clean(image: Path, tmp_path: Path) -> bool:
    """Whether fsck.vfat finds nothing wrong with the boot partition."""
    part = tmp_path / "part"
    part.write_bytes(image.read_bytes()[BOOT_START : BOOT_START + BOOT_SIZE])
    done = subprocess.run([program("fsck.vfat"), "-n", part], capture_output=True, check=False)
    return done.returncode == 0


Make = Callable[..., Path]


def make(folder: Path, files: Mapping[str, str], name: str) -> Path:
    """An image in ``folder``: MBR, FAT with ``files``, and a second partition of random bytes."""
    part, image = folder / "fat", folder / name
    part.write_bytes(b"")
    os.truncate(part, BOOT_SIZE)
    mkfs = [
        program("mkfs.vfat"),
        "-F",
        "16",
        "-s",
        "1",
        "-i",
        "1234abcd",
        "-n",
        "BOOTFS",
        str(part),
    ]
    subprocess.run(mkfs, capture_output=True, check=True)
    for file, text in files.items():
        mcopy = [program("mcopy"), "-i", str(part), "-", f"::{file}"]
        subprocess.run(mcopy, input=text, text=True, check=True)
    table = bytearray(512)
    struct.pack_into("<B3xB3xII", table, 446, 0, 0x0C, BOOT_START >> 9, BOOT_SIZE >> 9)
    root = (BOOT_START + BOOT_SIZE) >> 9
    struct.pack_into("<B3xB3xII", table, 462, 0, 0x83, root, ROOT_SIZE >> 9)
    table[510:] = b"\x55\xaa"
    head = bytes(table) + bytes(BOOT_START - 512)
    image.write_bytes(head + part.read_bytes() + os.urandom(ROOT_SIZE))
    return image


@pytest.fixture
def make_image(tmp_path: Path) -> Make:
    """Makes an image of these files, called raspios.img."""
    return lambda files: make(tmp_path, files, "raspios.img")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's keys and nobody's pins."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def cluster() -> Cluster:
    """Three boards with static addresses."""
    read = spec.check(document.parse(FILE.encode(), Path("cluster.yaml")))[0]
    return spec.resolve(read, {}, None, ())


@pytest.fixture
def by_dhcp(cluster: Cluster) -> Cluster:
    """The same, with a router that gives out addresses."""
    assert cluster.cards.gateway == IPv4Address("10.0.0.254")
    return replace(cluster, cards=replace(cluster.cards, gateway=None, dns=()))


@pytest.fixture
def plain(cluster: Cluster) -> Cluster:
    """The same with nothing said about cards."""
    return replace(cluster, cards=Cards())
