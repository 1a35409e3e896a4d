"""Whole cards, from an image to bytes that dosfstools and mtools read."""

from __future__ import annotations

import lzma
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.bringup.conftest import (
    BOOKWORM,
    BOOT_SIZE,
    BOOT_START,
    TRIXIE,
    Make,
    boot_files,
    is_clean,
)

from wulfling.bringup import card, host_key
from wulfling.bringup.card import Order, Progress, Written
from wulfling.bringup.device import Machine
from wulfling.bringup.host_key import HostKey
from wulfling.bringup.mechanism import Mechanism
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster
from wulfling.transport import pins

NO_DISKS = Machine(number=lambda path: "")
LARGEST = 64 << 30


def order(cluster: Cluster, target: Path, image: Path | None, node: str = "rpnode02") -> Order:
    return Order(cluster, cluster.node(node), target, image, LARGEST)


def write(
    wanted: Order, machine: Machine = NO_DISKS, told: list[Progress] | None = None
) -> Written:
    tell = told.append if told is not None else lambda progress: None
    with card.prepared(wanted, machine, tell) as ready:
        return card.write(ready, machine, tell)


@pytest.mark.parametrize("files", [TRIXIE, BOOKWORM], ids=["trixie", "bookworm"])
@pytest.mark.parametrize("packed", [False, True], ids=["img", "img.xz"])
def test_an_image_for_a_node(
    files: Mapping[str, str], packed: bool, cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    image = make_image(files)
    original = image.read_bytes()
    if packed:
        image = tmp_path / "raspios.img.xz"
        image.write_bytes(lzma.compress(original, preset=0))
    target, told = tmp_path / "rpnode02.img", list[Progress]()
    written = write(order(cluster, target, image), told=told)
    content = target.read_bytes()
    assert written.size == len(content) == len(original)
    assert content[:BOOT_START] == original[:BOOT_START]
    assert content[BOOT_START + BOOT_SIZE :] == original[BOOT_START + BOOT_SIZE :]
    assert is_clean(target, tmp_path)
    found = boot_files(target)
    assert found["config.txt"] == files["config.txt"]
    assert set(written.files) <= found.keys()
    assert "cgroup_enable=memory" in found["cmdline.txt"].split()
    assert pins.pinned("raspi-hpc", "10.0.0.2")
    assert {progress.stage for progress in told} == {"read", "write", "verify"}
    for stage in ("write", "verify"):
        last = [progress for progress in told if progress.stage == stage][-1]
        assert last.done == last.total == len(content)


def test_the_pinned_key_is_the_one_on_the_card(
    cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    """So that the first connection is already verified."""
    target = tmp_path / "rpnode02.img"
    written = write(order(cluster, target, make_image(TRIXIE)))
    (pinned,) = pins.pinned("raspi-hpc", "10.0.0.2")
    user_data = boot_files(target)["user-data"]
    block = user_data.split("ed25519_private: |\n")[1].split("  ed25519_public")[0]
    private = tmp_path / "private"
    private.touch(mode=0o600)
    private.write_text("".join(f"{line.strip()}\n" for line in block.splitlines()))
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True
    ).stdout.split()
    assert derived[:2] == pinned.split()
    assert pins.fingerprint(pinned) == written.host_key


def test_three_nodes_differ_only_where_they_must(
    cluster: Cluster, make_image: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(TRIXIE)
    contents = []
    for node in cluster.nodes:
        target = tmp_path / f"{node.name}.img"
        write(order(cluster, target, image, node.name))
        contents.append((target.read_bytes(), boot_files(target)))
    (first, files), *others = contents
    for content, its in others:
        assert content[:BOOT_START] == first[:BOOT_START]
        assert content[BOOT_START + BOOT_SIZE :] == first[BOOT_START + BOOT_SIZE :]
        different = {name for name in files if its[name] != files[name]}
        assert different == {"user-data", "network-config", "meta-data"}
    # And with the same key, the same node is the same card, to the last byte.
    key = host_key.new("raspi-hpc", "rpnode01")
    monkeypatch.setattr(host_key, "new", lambda cluster, node: key)
    twice = [tmp_path / "a.img", tmp_path / "b.img"]
    for target in twice:
        write(order(cluster, target, image))
        time.sleep(0.01)
    assert twice[0].read_bytes() == twice[1].read_bytes()


def test_a_mounted_boot_folder_also_twice(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "bootfs"
    folder.mkdir()
    for name, text in BOOKWORM.items():
        (folder / name).write_text(text)
    first = write(order(cluster, folder, None))
    assert (first.mechanism, first.size, first.sha256) == ("firstrun", 0, "")
    script = (folder / "firstrun.sh").read_text()
    line = (folder / "cmdline.txt").read_text()
    second = write(order(cluster, folder, None))
    assert (folder / "cmdline.txt").read_text() == line
    assert (folder / "firstrun.sh").read_text() != script, "a new card has a new host key"
    assert second.host_key != first.host_key
    assert sorted(file.name for file in folder.iterdir()) == [
        "cmdline.txt",
        "config.txt",
        "firstrun.sh",
    ]
    (pinned,) = pins.pinned("raspi-hpc", "10.0.0.2")
    assert pins.fingerprint(pinned) == second.host_key


def test_custom_toml_forgets_the_pin_of_the_board_before(by_dhcp: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "bootfs"
    folder.mkdir()
    for name, text in BOOKWORM.items():
        (folder / name).write_text(text)
    key = HostKey(by_dhcp.admin_keys[0], "")
    pins.pin("raspi-hpc", "10.0.0.2", [key.public])
    wanted = replace(order(by_dhcp, folder, None), asked=Mechanism.CUSTOM_TOML)
    written = write(wanted)
    assert (written.mechanism, written.host_key) == ("custom.toml", "")
    assert not pins.pinned("raspi-hpc", "10.0.0.2")
    assert any("pin the host key" in step for step in written.remaining)


def reader(tmp_path: Path, card: Path, size: int) -> Machine:
    """A machine on which ``card`` is what is in the card reader."""
    entry = tmp_path / "sys" / "dev" / "block" / "8:16"
    (entry / "device").mkdir(parents=True)
    for name, text in {
        "removable": "1",
        "ro": "0",
        "dev": "8:16",
        "size": f"{size // 512}",
    }.items():
        (entry / name).write_text(text)
    (entry / "device" / "model").write_text("Reader")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("")
    return Machine(tmp_path / "sys", mountinfo, lambda path: "8:16" if path == card else "")


def test_a_card_is_written_in_place(cluster: Cluster, make_image: Make, tmp_path: Path) -> None:
    target = tmp_path / "sdb"
    target.write_bytes(os.urandom(16 << 20))
    inode = target.stat().st_ino
    written = write(order(cluster, target, make_image(TRIXIE)), reader(tmp_path, target, 16 << 20))
    assert target.stat().st_ino == inode
    assert written.size < target.stat().st_size == 16 << 20
    assert boot_files(target)["user-data"].startswith("#cloud-config\n# rpnode02")


def test_a_card_that_was_exchanged_is_not_touched(
    cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    target = tmp_path / "sdb"
    target.write_bytes(b"precious")
    machine = reader(tmp_path, target, 16 << 20)
    with card.prepared(order(cluster, target, make_image(TRIXIE)), machine, print) as ready:
        (tmp_path / "sys" / "dev" / "block" / "8:16" / "size").write_text("65536")
        with pytest.raises(WulflingError, match="is not the one that was there"):
            card.write(ready, machine, print)
    assert target.read_bytes() == b"precious"


def test_a_card_that_is_too_small_is_not_touched(
    cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    target = tmp_path / "sdb"
    target.write_bytes(b"precious")
    machine = reader(tmp_path, target, 8 << 20)
    with pytest.raises(WulflingError, match="is too small: the image has"):
        write(order(cluster, target, make_image(TRIXIE)), machine)
    assert target.read_bytes() == b"precious"


def truncated(image: Path) -> None:
    os.truncate(image, image.stat().st_size - 4096)


def no_fat(image: Path) -> None:
    with image.open("r+b") as file:
        file.seek(BOOT_START)
        file.write(bytes(1 << 16))


def no_table(image: Path) -> None:
    with image.open("r+b") as file:
        file.write(bytes(512))


def a_text(image: Path) -> None:
    image.write_text("<html>404</html>\n")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncated, "is cut short: it has 13627392 bytes, and its partitions end at 13631488"),
        (no_fat, "is no FAT file system"),
        (no_table, "is no image that a Raspberry Pi boots: there is no partition table"),
        (a_text, "is no image that a Raspberry Pi boots: there is no partition table"),
    ],
)
def test_a_wrong_image_is_refused_before_the_card_changes(
    damage: object, said: str, cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    image = make_image(TRIXIE)
    assert callable(damage)
    damage(image)
    target = tmp_path / "sdb"
    target.write_bytes(b"precious")
    with pytest.raises(WulflingError, match=said) as caught:
        write(order(cluster, target, image), reader(tmp_path, target, 16 << 20))
    assert caught.value.hint
    assert target.read_bytes() == b"precious"
    assert not pins.pinned("raspi-hpc", "10.0.0.2")


def test_a_boot_partition_without_room(cluster: Cluster, make_image: Make, tmp_path: Path) -> None:
    filler = "x" * (BOOT_SIZE - (1 << 18))
    image = make_image({**TRIXIE, "filler": filler})
    many = replace(cluster, admin_keys=tuple(f"{cluster.admin_keys[0]} {n}" for n in range(3000)))
    with pytest.raises(WulflingError, match="is full: there is no room for user-data"):
        write(order(many, tmp_path / "x.img", image))
    assert not (tmp_path / "x.img").exists()


def test_orders_that_make_no_sense(
    cluster: Cluster, make_image: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, folder = make_image(TRIXIE), tmp_path / "folder"
    folder.mkdir()
    base = order(cluster, tmp_path / "x.img", image)
    control = (f"{cluster.admin_keys[0]}\x07",)
    refused = {
        "are virtual": replace(base, cluster=replace(cluster, virtual=True)),
        "nobody could log in": replace(base, cluster=replace(cluster, admin_keys=())),
        "control characters": replace(base, cluster=replace(cluster, admin_keys=control)),
        "is a folder, and an image": replace(base, target=folder),
        "is no boot folder, and nothing": replace(base, image=None),
        "is the image itself": replace(base, target=image),
        "there is no device": replace(base, target=Path("/dev/no-such-card")),
        "there is no folder": replace(base, target=tmp_path / "no" / "x.img"),
        "neither a card, nor a file": replace(base, target=Path("/dev/null")),
        "the image .* cannot be read": replace(base, image=tmp_path / "nowhere.img"),
        "no cmdline.txt in": replace(base, target=folder, image=None),
        "own boot folder": replace(base, target=Path("/boot"), image=None),
    }
    for said, wanted in refused.items():
        with pytest.raises(WulflingError, match=said) as caught:
            write(wanted)
        assert caught.value.hint, said
    assert not (tmp_path / "x.img").exists()


def test_without_mtools_it_says_what_to_install(
    cluster: Cluster, make_image: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(TRIXIE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WulflingError) as caught:
        write(order(cluster, tmp_path / "x.img", image))
    assert (caught.value.exit_code, caught.value.hint) == (1, "sudo apt-get install mtools")


KILLED = """\
import sys, time
from pathlib import Path
from wulfling.bringup import transfer

def pieces():
    yield b"new" * 1000
    print("half", flush=True)
    time.sleep(60)

place = Path(sys.argv[1])
with transfer.file(place) as handle:
    transfer.write(pieces(), handle, place, lambda done: None)
"""


def test_killed_in_the_middle_the_old_image_stays_and_the_next_run_mends(
    cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    target = tmp_path / "rpnode02.img"
    target.write_bytes(b"old")
    argv = [sys.executable, "-c", KILLED, str(target)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert target.read_bytes() == b"old"
    write(order(cluster, target, make_image(TRIXIE)))
    assert boot_files(target)["user-data"]
    assert not list(tmp_path.glob(".*.wulfling-new"))


def test_nothing_of_a_private_key_stays_on_this_machine(
    cluster: Cluster, make_image: Make, tmp_path: Path
) -> None:
    target = tmp_path / "rpnode02.img"
    write(order(cluster, target, make_image(TRIXIE)))
    for file in tmp_path.rglob("*"):
        if file.is_file() and file != target:
            assert b"OPENSSH PRIVATE KEY" not in file.read_bytes(), file
