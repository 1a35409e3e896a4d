"""How a board is: what it reads, what it asks, and what it says when something hangs."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wulfling.model.health import Health, SlurmNode, Space, from_json
from wulfling.node.board import Board
from wulfling.node.health import ailments, background, clock, disk, network, power, scheduler
from wulfling.node.health.clock import TRACKING
from wulfling.node.health.examination import ENCODE
from wulfling.node.repair import half_done_packages
from wulfling.node.resources import updates
from wulfling.node.resources.file import File
from wulfling.node.resources.service import PROPERTIES, Service

SYNCED = "0A000001,10.0.0.1,11,1795398406.1,0.25,0.0,0.0,0.2,0.0,0.3,0.0,0.0,16.3,Normal\n"
NOT_SYNCED = "00000000,,0,0.0,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"
NODE = (
    "NodeName=rpnode02 Arch=x86_64 CoresPerSocket=4  CPUAlloc=0 CPUTot=4 CPULoad=0.01"
    " AvailableFeatures=(null) ActiveFeatures=(null) Gres=(null) NodeAddr=10.0.0.2"
    " NodeHostName=rpnode02 Version=22.05.8 OS=Linux 6.1.0 #1 SMP Debian RealMemory=272"
    " AllocMem=0 FreeMem=180 State=IDLE+DRAIN ThreadsPerCore=1 Partitions=batch"
    " BootTime=2026-11-24T18:00:00 CfgTRES=cpu=4,mem=272M,billing=4 AllocTRES="
    " Reason=a new fan: see ticket=7 [root@2026-11-24T19:00:00]\n"
)


def put(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


# -- the controller


def test_a_drained_node_with_its_reason_and_who_gave_it() -> None:
    assert list(scheduler.parse_nodes(NODE)) == [
        SlurmNode("rpnode02", "IDLE+DRAIN", "a new fan: see ticket=7", "root", "22.05.8", 272)
    ]


def test_a_node_without_a_reason_and_what_is_no_node() -> None:
    said = "NodeName=a State=IDLE RealMemory=1 \nslurm_load_node error: Unable to contact\n\n"
    assert list(scheduler.parse_nodes(said)) == [SlurmNode("a", "IDLE", memory_mb=1)]


def test_partitions() -> None:
    said = "PartitionName=batch AllowGroups=ALL Default=YES State=DOWN TotalCPUs=8\n"
    assert list(scheduler.parse_partitions(said)) == [("batch", "DOWN")]


def test_a_controller_that_does_not_answer_tells_nothing(
    board: Board, answers: dict[tuple[str, ...], Any]
) -> None:
    answers[scheduler.NODES] = (1, "slurm_load_node error")
    assert scheduler.measure(board) == {}


def test_jobs_by_state_and_reason(board: Board, answers: dict[tuple[str, ...], Any]) -> None:
    answers[scheduler.QUEUE] = "PENDING Priority\nRUNNING None\nPENDING Priority\n\n"
    assert scheduler.queue(board) == (("PENDING", "Priority", 2), ("RUNNING", "None", 1))
    answers[scheduler.QUEUE] = (1, "slurm_load_jobs error: Unable to contact")
    assert scheduler.queue(board) == ()


# -- disks


def test_a_file_system_is_tried_and_left_as_it_was(root: Path) -> None:
    put(root, "/proc/self/mounts", "/dev/sda2 / ext4 rw 0 0\nfiles:/home /home nfs4 rw 0 0\n")
    before = sorted(os.listdir(root))
    (space,) = disk.spaces(Board(root))
    assert (space.path, space.state) == ("/", "ok")
    assert space.mb > space.free_mb > 0
    assert sorted(os.listdir(root)) == before


def test_a_file_system_that_takes_no_file(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    def refuse(*words: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    put(root, "/proc/self/mounts", "/dev/sda2 / ext4 rw 0 0\n")
    monkeypatch.setattr(os, "open", refuse)
    assert [space.state for space in disk.spaces(Board(root))] == ["EROFS"]


@pytest.mark.parametrize(
    ("mb", "free", "full"),
    [
        (29000, 1025, False),
        (29000, 1023, True),
        (8000, 401, False),
        (8000, 399, True),
        (2000, 299, True),
        (100, 26, False),
        (100, 24, True),
    ],
)
def test_full_is_a_part_and_an_amount(mb: int, free: int, full: bool) -> None:
    assert ailments.is_full(Space("/", "ok", mb, free, 10, 10)) is full


def test_what_fills_a_disk_is_told(root: Path) -> None:
    (root / "var/tmp").mkdir(parents=True)
    (root / "var/tmp/big").write_bytes(b"x" * (3 << 20))
    (root / "var/tmp/many").mkdir()
    for number in range(20):
        put(root, f"var/tmp/many/{number}", "")
    assert next(disk._largest_files(str(root))).endswith("/var/tmp/big (3 MB)")
    assert next(disk._crowded_folders(str(root))).endswith("/var/tmp/many (20 files)")


def test_a_slow_card_is_searched_where_files_pile_up_first(tmp_path: Path) -> None:
    """The four seconds were over in /usr, and what had filled the disk was not named."""
    for name in ("usr", "home", "boot", "var", "lib", "usr/lib"):
        (tmp_path / name).mkdir()
    walked = [Path(folder).name for folder, _ in disk._walk(str(tmp_path))]
    assert set(walked[1:3]) == {"home", "var"}


def test_errors_that_ext4_has_met(root: Path) -> None:
    put(root, "/sys/fs/ext4/sda2/errors_count", "3\n")
    put(root, "/sys/fs/ext4/sda1/errors_count", "0\n")
    put(root, "/sys/fs/ext4/features/batched_discard", "supported\n")
    assert disk.errors(Board(root)) == (("sda2", 3),)


def test_a_share_that_answers_and_one_that_hangs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "home").mkdir()
    put(root, "/proc/self/mounts", "systemd-1 /home autofs rw 0 0\nf:/home /home nfs4 rw 0 0\n")
    never = threading.Event()
    look = disk._look
    monkeypatch.setattr(disk, "_look", lambda p: look(p) if "home" in p else str(never.wait(9)))
    monkeypatch.setattr(background, "PATIENCE", 0.1)
    home, nfs = (asked.collect() for asked in disk.mounts(Board(root), ("/home", "/nfs")))
    never.set()
    assert (home.state, home.kind) == ("ok", "nfs4")
    assert (nfs.state, nfs.kind) == ("hangs", "")


def test_exports_as_the_kernel_has_them(root: Path) -> None:
    put(root, "/var/lib/nfs/etab", "/home\t10.0.0.1(rw,sync)\n/home\t10.0.0.2(rw,sync)\n")
    assert disk.exports(Board(root)) == (("/home", "10.0.0.1"), ("/home", "10.0.0.2"))


def test_how_old_a_disk_is(root: Path) -> None:
    put(root, "/sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", f"{412 << 20}\n")
    put(root, "/sys/fs/ext4/sda1/lifetime_write_kbytes", "what?\n")
    put(root, "/sys/block/mmcblk0/device/life_time", "0x01 0x03\n")
    put(root, "/sys/block/mmcblk1/device/life_time", "0x00 0x00\n")  # it does not tell
    assert disk.written(Board(root)) == (("mmcblk0p2", 412),)
    assert disk.worn(Board(root)) == (("mmcblk0", 30),)


def test_a_disk_with_a_share_is_looked_at_as_well(root: Path) -> None:
    (root / "data").mkdir()
    put(root, "/proc/self/mounts", "/dev/a / ext4 rw 0 0\n/dev/b /data ext4 rw 0 0\n")
    assert [space.path for space in disk.spaces(Board(root))] == ["/"]
    assert [space.path for space in disk.spaces(Board(root), ("/data",))] == ["/", "/data"]


# -- the network


def test_who_answers_and_who_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = network._call([("a", "127.0.0.1", port), ("b", "127.0.0.1", 1)])
    assert said == {"a": "open", "b": "ECONNREFUSED"}


def test_names_are_what_they_resolve_to() -> None:
    assert list(network._resolved(["localhost"])) == [("localhost", "127.0.0.1")]


def test_the_servers_behind_systemd_resolved(root: Path) -> None:
    put(root, "/etc/resolv.conf", "# by\nsearch lan\nnameserver 127.0.0.53\n")
    put(root, "/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.254\nnameserver\n")
    assert network.name_servers(Board(root)) == ("10.0.0.254",)


def test_a_name_server_that_nobody_is() -> None:
    assert network._answering(["127.0.0.1"]) == frozenset()


# -- power


def test_power_heat_load_and_memory(root: Path) -> None:
    put(root, power.THROTTLED, "50005\n")
    put(root, power.TEMPERATURE, "61234\n")
    put(root, "/proc/loadavg", "0.42 0.1 0.0 1/90 4711\n")
    put(root, "/proc/uptime", "3600.25 100.0\n")
    put(root, "/proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n")
    assert {**power.measure(Board(root)), **power.memory(Board(root))} == {
        "load": 0.42,
        "up_seconds": 3600,
        "memory_mb": 2000,
        "free_mb": 1000,
        "temperature": 61.234,
        "throttled": 0x50005,
    }


def test_a_board_without_sensors(root: Path) -> None:
    said = power.measure(Board(root))
    assert (said["temperature"], said["throttled"]) == (None, None)


# -- the clock


def test_how_long_chrony_has_looked_for_a_source(root: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    put(root, "/run/chrony/chronyd.pid", "77\n")
    put(root, "/proc/77/stat", f"77 (chronyd (x) y) S {' '.join(['0'] * 18)} {100 * ticks} 0 0\n")
    put(root, "/proc/uptime", "3600.25 100.0\n")
    assert clock.asking(Board(root)) == 3500


def test_a_chrony_that_does_not_run_asks_nobody(root: Path) -> None:
    assert clock.asking(Board(root)) == 0


# -- packages


def test_half_done_packages_by_name(root: Path) -> None:
    put(
        root,
        "/var/lib/dpkg/status",
        "Package: good\nStatus: install ok installed\n\n"
        "Package: bad\nEssential: yes\nStatus: install ok half-configured\n\n"
        "Package: gone\nStatus: deinstall ok config-files\n",
    )
    assert half_done_packages(Board(root)) == ("bad",)


def test_newer_packages_and_those_for_security(
    board: Board, answers: dict[tuple[str, ...], Any]
) -> None:
    answers[updates.SIMULATED] = (
        "Reading package lists...\n"
        "Inst bash [5.2-1] (5.2-2 Debian:12.9/stable [amd64])\n"
        "Inst tzdata [2024a] (2025b Debian:12.9/stable, Debian:12-updates/stable [all])\n"
        "Inst libc6 [2.36-8] (2.36-9 Debian-Security:12/stable-security [amd64]) []\n"
        "Inst vim [9.0] (9.1 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [amd64])\n"
        "Conf bash (5.2-2 Debian:12.9/stable [amd64])\n"
    )
    assert updates.waiting(board, 9) == (4, 2)
    answers[updates.SIMULATED] = (100, "E: The package cache file is corrupted")
    assert updates.waiting(board, 9) is None


# -- the conversation


def test_health_is_told_beside_the_plan_and_nothing_is_written(
    root: Path, answers: dict[tuple[str, ...], Any], talk: Callable[[], Any]
) -> None:
    units = ("systemctl", "show", "--property", PROPERTIES, "munge.service")
    answers[ENCODE] = "MUNGE:AwQF:\n"
    answers[TRACKING] = SYNCED
    answers["slurmd", "-V"] = "slurm-wlm 22.05.8\n"
    answers[("unmunge",)] = (15, "unmunge: Error: Expired credential")
    answers[units] = "Id=munge.service\nLoadState=loaded\nActiveState=failed\n"
    journal = ("journalctl", "--no-pager", "-o", "cat", "-n", "3", "-u", "munge.service")
    answers[journal] = "start\nError: no key\n"
    before = sorted(root.rglob("*"))
    one = talk()
    one.say(
        do="plan",
        operator="kim@laptop",
        examine={"munge": True, "programs": ["slurmd"], "names": {}, "mounts": []},
    )
    hello = one.hear("hello")
    one.declare(
        File(path="/etc/x", content=""),
        Service(unit="munge.service"),
        credentials={"head": "MUNGE:BwQF:"},
    )
    health = from_json(one.hear("health")["facts"])
    one.hear("done")
    assert one.rest() == 0
    assert hello["credential"] == "MUNGE:AwQF:"
    assert isinstance(health, Health)
    assert health.now == hello["now"]
    assert (health.clock, health.munge) == (0.25, "ok")
    assert health.versions == (("slurmd", "22.05.8"),)
    assert health.decoded == (("head", "unmunge: Error: Expired credential"),)
    assert health.ended == (("munge.service", "Error: no key"),)
    assert sorted(root.rglob("*")) == before


def test_a_glance_is_told_without_a_plan(
    answers: dict[tuple[str, ...], Any], talk: Callable[[], Any]
) -> None:
    answers[TRACKING] = NOT_SYNCED
    one = talk()
    one.say(do="check", operator="", examine={"mounts": []})
    health = from_json(one.hear("health")["facts"])
    one.hear("done")
    assert one.rest() == 0
    assert health is not None
    assert (health.clock, health.munge, health.slurm_nodes) == (None, "ok", ())


def test_who_only_plans_is_not_examined(run: Callable[..., Any]) -> None:
    one = run("plan", File(path="/etc/x", content=""))
    assert "health" not in {event["event"] for event in one.events}
    assert "credential" not in one.events[0]


@pytest.mark.parametrize("told", [None, [], {"unheard": 1}, {"mounts": [{"odd": 1}]}])
def test_the_health_of_another_version_of_us_is_not_understood(told: Any) -> None:
    assert from_json(told) is None


def test_a_clock_that_follows_nobody(board: Board, answers: dict[tuple[str, ...], Any]) -> None:
    answers[TRACKING] = NOT_SYNCED
    assert clock.offset(board) is None
    answers[TRACKING] = (1, "506 Cannot talk to daemon")
    assert clock.offset(board) is None
