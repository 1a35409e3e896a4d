"""The image of ``card build``: what it needs, its layout, and that cards of it are alike."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.bringup.conftest import program
from tests.unit.bringup.three_cards import boot_files, hold_differences

from wulfling.bringup import card, debian_image, mechanism, partitions
from wulfling.bringup import debian_recipe as recipe
from wulfling.bringup.card import Order
from wulfling.bringup.device import Machine
from wulfling.errors import WulflingError
from wulfling.lab import needs
from wulfling.lab.archive import DEBIAN
from wulfling.model.cluster import Cluster

GOOD = needs.Machine(
    architecture="x86_64",
    user="pi",
    uid=1000,
    has_program=lambda name: True,
    namespaces_work=lambda: True,
    subordinate_ids="pi:100000:65536\n",
    image_wanted=True,
)
CMDLINE = "console=tty0 root=LABEL=rootfs rw net.ifnames=0  rootwait cgroup_enable=memory\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A file that is there."""
    place = tmp_path / "here"
    place.write_text("")
    return place


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An image of a small tree, laid out as the whole one is."""
    tree, image = tmp_path / "tree", tmp_path / "debian.img"
    with tarfile.open(fileobj=io.BytesIO(recipe.late())) as tar:
        tar.extractall(tree)
    boot = tree / "boot" / "firmware"
    (boot / "cmdline.txt").write_text(CMDLINE)
    for number in range(40):  # more than the one cluster that the folder begins with
        (boot / f"bcm2711-rpi-{number}-with-a-long-name.dtb").write_bytes(b"dtb")
    (boot / "vmlinuz-6.1.0-50-arm64").write_bytes(os.urandom(1 << 20))
    environment = {
        **os.environ,
        "PATH": needs.search_path(),
        "tree": str(tree),
        "IMAGE": str(image),
        "BOOT_MB": "72",
        "ROOT_MB": "16",
    }
    for name in ("mkfs.vfat", "mcopy", "mke2fs", "sfdisk"):
        program(name)
    script = ["sh", "-euc", recipe.LAY_OUT]
    subprocess.run(script, env=environment, check=True, capture_output=True)
    return image


def refusal(machine: needs.Machine, architecture: str, emulator: Path, keys: Path) -> WulflingError:
    with pytest.raises(WulflingError) as refused:
        debian_image.check(machine, architecture, emulator, keys)
    return refused.value


def test_all_that_is_missing_is_said_at_once(here: Path) -> None:
    bare = replace(GOOD, has_program=lambda name: name not in ("mcopy", "mmdebstrap"))
    error = refusal(bare, "x86_64", here / "none", here / "none")
    for words in ("mcopy (mtools)", "mmdebstrap", "qemu-user-static", "debian-archive-keyring"):
        assert words in error.message
    assert error.hint == (
        "sudo apt install --no-install-recommends debian-archive-keyring mmdebstrap mtools"
        " qemu-user-static"
    )


def test_a_board_needs_no_emulator_of_itself(here: Path) -> None:
    debian_image.check(GOOD, "aarch64", here / "none", here)
    assert "qemu" in refusal(GOOD, "x86_64", here / "none", here).message


def test_namespaces_are_asked_for_as_for_virtual_boards(here: Path) -> None:
    closed = replace(GOOD, namespaces_work=lambda: False, subordinate_ids="")
    error = refusal(closed, "x86_64", here, here)
    assert error.message.startswith("no card can be built here: ")
    assert "/etc/subuid" in error.message and "namespace" in error.message


def test_the_mirrors_of_this_machine_get_the_component_of_the_firmware() -> None:
    """apt takes what one line offers; the firmware is in no other component."""
    lines = DEBIAN.mirrors("bookworm", "Packages|Debian|bookworm|main|http://mirror/debian")
    assert lines == ("deb http://mirror/debian bookworm main",)
    assert all(line.endswith(" main non-free-firmware") for line in recipe.public_sources())


def test_the_layout(base: Path, tmp_path: Path) -> None:
    with base.open("rb") as file:
        boot, root = partitions.read(file.read(partitions.HEAD))
    assert (boot.start, boot.size, boot.fat) == (1 << 20, 72 << 20, True)
    assert (root.start, root.size, root.fat) == (73 << 20, 16 << 20, False)
    assert base.stat().st_size == root.end
    part = tmp_path / "root"
    part.write_bytes(base.read_bytes()[root.start : root.end])
    checked = [program("e2fsck"), "-fn", str(part)]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0
    debugfs = [program("debugfs"), "-R", "stat /etc/machine-id", str(part)]
    told = subprocess.run(debugfs, capture_output=True, text=True, check=True).stdout
    assert "Size: 0" in told
    assert boot_files(base, tmp_path / "boot")["user-data"].startswith(b"#cloud-config\n")
    part.write_bytes(base.read_bytes()[boot.start : boot.end])
    checked = [program("fsck.vfat"), "-n", str(part)]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0


def test_three_cards_differ_only_where_they_must(
    base: Path, cluster: Cluster, tmp_path: Path
) -> None:
    cards = {}
    for node in cluster.nodes:
        target = tmp_path / f"{node.name}.img"
        wanted = Order(cluster, node, target, base, 64 << 30)
        with card.prepared(wanted, Machine(number=lambda path: ""), lambda told: None) as ready:
            assert ready.way is mechanism.Mechanism.CLOUD_INIT
            card.write(ready, Machine(number=lambda path: ""), lambda told: None)
        cards[node.name] = target
    hold_differences(cluster, base, cards, tmp_path / "compared")


def test_a_difference_that_must_not_be_is_seen(
    base: Path, cluster: Cluster, tmp_path: Path
) -> None:
    test_three_cards_differ_only_where_they_must(base, cluster, tmp_path)
    other = tmp_path / "rpnode02.img"
    with other.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    cards = {node.name: tmp_path / f"{node.name}.img" for node in cluster.nodes}
    with pytest.raises(AssertionError, match="rpnode02: something beside"):
        hold_differences(cluster, base, cards, tmp_path / "again")
