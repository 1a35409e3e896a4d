"""What a board finds wrong with itself, from planted files, and what it does about it."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.unit.node.conftest import TableBoard

from wulfling.node import self_check as health
from wulfling.node.health import background, disk, power
from wulfling.node.health.ailments import MOST_CGROUPS, MOST_STUCK, Ailment
from wulfling.node.health.clock import TRACKING
from wulfling.node.self_check import Expected, expected, found_here, give_up_lost_jobs, judge

NOW = 1_800_000_000.0
SHOW = ("scontrol", "--oneliner", "show", "node", "n1")
PING = ("scontrol", "ping")
RESUME = ("scontrol", "update", "NodeName=n1", "State=RESUME")
CONFIG = ("scontrol", "show", "config")


def drain(reason: str) -> tuple[str, ...]:
    return ("scontrol", "update", "NodeName=n1", "State=DRAIN", f"Reason={reason}")


def node(state: str, reason: str = "") -> str:
    why = f" Reason={reason} [root@2026-11-24T19:00:00]" if reason else ""
    return f"NodeName=n1 State={state} Weight=1{why}\n"


class Room(NamedTuple):
    f_bavail: int = 4000
    f_frsize: int = 1 << 20
    f_blocks: int = 8000
    f_files: int = 1000
    f_favail: int = 900


@pytest.fixture
def plant(root: Path) -> Callable[[str, str], None]:
    """Writes a file of the board."""

    def write(path: str, text: str) -> None:
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    return write


@pytest.fixture
def well(
    table: TableBoard, plant: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> TableBoard:
    """A board with which nothing is wrong."""
    plant("/proc/sys/kernel/hostname", "n1\n")
    plant("/proc/sys/kernel/random/boot_id", "boot-1\n")
    plant("/proc/uptime", "500.00 900.00\n")
    plant("/proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable:   500000 kB\n")
    plant("/proc/17/stat", "17 (sh (x) y) S 1 17\n")
    plant("/sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
    plant("/proc/self/mounts", "/dev/mmcblk0p2 / ext4 rw 0 0\n")
    plant("/sys/class/net/eth0/operstate", "up\n")
    plant("/sys/class/net/eth0/speed", "1000\n")
    plant("/sys/class/net/eth0/duplex", "full\n")
    plant("/sys/class/net/eth0/device/vendor", "x\n")
    plant("/var/lib/wulfling/manifest.json", "{}")
    monkeypatch.setattr(os, "statvfs", lambda path: Room())
    monkeypatch.setattr(time, "time", lambda: NOW)
    table.answers[TRACKING] = "0A000001,10.0.0.1,11,1.0,-0.2,0\n"
    return table


ANY = Expected()


def words(board: TableBoard, wanted: Expected = ANY) -> list[str]:
    return [ailment.words for ailment in found_here(board, wanted)]


def test_nothing_is_wrong(well: TableBoard) -> None:
    assert words(well) == []


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("/sys/fs/ext4/mmcblk0p2/errors_count", "3\n", "mmcblk0p2 has met 3 errors"),
        ("/sys/class/net/eth0/speed", "10\n", "eth0 gives 10 Mbit/s"),
        ("/sys/class/net/eth0/duplex", "half\n", "sends or receives"),
        (power.THROTTLED, "50005\n", "too little voltage"),
        (power.THROTTLED, "e0008\n", "too hot"),
        ("/proc/meminfo", "MemTotal: 9999 kB\nMemAvailable: 9000 kB\n", "8 MiB are left"),
    ],
)
def test_planted_files(
    well: TableBoard, plant: Callable[[str, str], None], path: str, text: str, said: str
) -> None:
    plant(path, text)
    assert said in words(well)[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (power.THROTTLED, "50000\n"),  # it was so, and is over
        ("/sys/class/net/eth0/speed", "-1\n"),  # no cable, or a virtual board
        ("/sys/class/net/lo/speed", "10\n"),  # no device behind it
        ("/sys/fs/ext4/mmcblk0p2/errors_count", "what?\n"),
    ],
)
def test_what_is_no_reason_to_rest(
    well: TableBoard, plant: Callable[[str, str], None], path: str, text: str
) -> None:
    plant(path, text)
    assert words(well) == []


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (Room(f_bavail=200), "200 MiB of 8000 MiB are free"),
        (Room(f_bavail=390), "390 MiB of 8000 MiB are free"),
        (Room(f_bavail=1000, f_blocks=10**6), "its disk is full: 1000 MiB"),
        (Room(f_favail=49), "no room for more files"),
        (Room(f_bavail=410), ""),
        (Room(f_bavail=1100, f_blocks=10**6), ""),
        (Room(f_files=0, f_favail=0), ""),  # btrfs counts none
    ],
)
def test_room_on_the_disk(
    well: TableBoard, monkeypatch: pytest.MonkeyPatch, room: Room, said: str
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    assert said in "".join(words(well))
    assert bool(words(well)) == bool(said)


def test_a_disk_that_takes_no_write(well: TableBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    (found,) = found_here(well, Expected())
    assert found == Ailment(
        "its disk cannot be written: Read-only file system", "disk", at_once=True
    )


def test_what_people_fill_up_makes_no_board_ill(
    well: TableBoard, plant: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant("/proc/self/mounts", "/dev/sda1 /home ext4 rw 0 0\n")
    monkeypatch.setattr(os, "statvfs", lambda path: Room(f_bavail=0))
    assert words(well) == []


def test_what_cannot_be_read_is_told_and_hides_nothing_else(
    well: TableBoard, plant: Callable[[str, str], None]
) -> None:
    """A virtual network card refuses to tell its duplex, and a dying disk refuses anything."""
    duplex = well.path("/sys/class/net/eth0/duplex")
    duplex.unlink()
    duplex.mkdir()
    meminfo = well.path("/proc/meminfo")
    meminfo.unlink()
    meminfo.mkdir()
    plant("/sys/class/net/eth1/operstate", "up\n")
    plant("/sys/class/net/eth1/speed", "10\n")
    plant("/sys/class/net/eth1/device/vendor", "x\n")
    assert words(well) == [
        f"{meminfo} cannot be read: Is a directory",
        "its cable at eth1 gives 10 Mbit/s: plug it in anew",
    ]


def test_processes_that_hang(well: TableBoard, plant: Callable[[str, str], None]) -> None:
    for number in range(100, 100 + MOST_STUCK):
        plant(f"/proc/{number}/stat", f"{number} (cp) D 1\n")
    assert words(well)[0].startswith("10 processes wait for a disk")


def test_cgroups_that_jobs_left(well: TableBoard) -> None:
    scope = well.path("/sys/fs/cgroup/system.slice/slurmstepd.scope")
    for number in range(MOST_CGROUPS):
        (scope / f"job_{number}").mkdir(parents=True)
    assert words(well) == ["500 jobs have left a cgroup behind: start it anew"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("ok nfs4", ""),
        ("ok ext4", "/home is not mounted"),
        ("ESTALE nfs4", "/home does not answer"),
        ("hangs nfs4", "/home does not answer"),
    ],
)
def test_mounts(
    well: TableBoard,
    plant: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    said: str,
) -> None:
    never = threading.Event()
    state, kind = state.split()
    monkeypatch.setattr(
        disk, "_look", lambda path: str(never.wait(9)) if state == "hangs" else state
    )
    monkeypatch.setattr(background, "PATIENCE", 0.1)
    plant("/proc/self/mounts", f"/dev/x / ext4 rw 0 0\nf:/home /home {kind} rw 0 0\n")
    found = words(well, Expected(mounts=("/home",)))
    never.set()
    assert said in "".join(found)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("0A000001,10.0.0.1,11,1.0,-0.2,0\n", ""),
        ("0A000001,10.0.0.1,11,1.0,-600.25,0\n", "its clock is 600.2 s from the head's"),
        ("00000000,,0,0.0,0.0,0\n", ""),  # it follows nobody yet
        ((1, "506 Cannot talk to daemon"), ""),
    ],
)
def test_clock(well: TableBoard, answer: str | tuple[int, str], said: str) -> None:
    well.answers[TRACKING] = answer
    assert "".join(words(well, Expected(clock=True))) == said


def test_people_have_the_same_number_everywhere(
    well: TableBoard, plant: Callable[[str, str], None]
) -> None:
    plant("/etc/passwd", "kim:x:2001:2001::/home/kim:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\n")
    wanted = Expected(people=(("kim", 2001), ("pi", 2002), ("lee", 2003)))
    assert words(well, wanted) == [
        "pi has the uid 1000 on it, and 2002 elsewhere",
        "there is no account lee on it",
    ]


def test_arguments_say_what_is_expected() -> None:
    wanted = Expected(mounts=("/home", "/a b"), people=(("kim", 2001),), clock=True)
    assert expected(wanted.words) == wanted
    assert expected(("--tell",)) == Expected()


# Starts


def starts(board: TableBoard, *ago: float) -> None:
    known = [[f"old-{n}", NOW - seconds] for n, seconds in enumerate(ago)]
    board.path(health.BOOTS).write_text(json.dumps({"boots": known}))


def controller(ago: float) -> str:
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(NOW - ago))
    return f"AuthType = auth/munge\nBOOT_TIME               = {when}\n"


def test_a_board_that_starts_again_and_again(well: TableBoard) -> None:
    starts(well, 590, 550)
    well.answers[CONFIG] = controller(86400)
    (found,) = found_here(well, Expected())
    assert found.words.startswith("it started 3 times within 10 minutes: look at its power supply")
    assert found.lasting


def test_when_the_power_of_all_was_cut_no_board_is_to_blame(well: TableBoard) -> None:
    starts(well, 590, 550)
    well.answers[CONFIG] = controller(510)
    assert words(well) == []


def test_starts_that_are_long_ago_do_not_count(well: TableBoard) -> None:
    starts(well, 4000, 3000)
    assert words(well) == []
    known = json.loads(well.text(health.BOOTS) or "")["boots"]
    assert [name for name, _ in known] == ["old-0", "old-1", "boot-1"]


# What comes of it


HOT = Ailment("it is too hot")
DEAD = Ailment("its disk cannot be written", at_once=True)


def rounds(board: TableBoard, *found: tuple[Ailment, ...], now: float = NOW) -> None:
    for number, one in enumerate(found):
        judge(board, one, now + 60 * number)


def did(board: TableBoard) -> list[tuple[str, ...]]:
    return [words for words in board.ran if words[1] == "update"]


def test_a_second_bad_round_drains(well: TableBoard) -> None:
    well.answers[SHOW] = node("IDLE")
    well.answers[drain("health: it is too hot")] = ""
    rounds(well, (HOT,))
    assert did(well) == []
    rounds(well, (HOT,))
    assert did(well) == [drain("health: it is too hot")]


def test_one_bad_round_between_good_ones_does_nothing(well: TableBoard) -> None:
    well.answers[SHOW], well.answers[PING] = node("IDLE"), "up"
    rounds(well, (HOT,), (), (HOT,), (), (), (HOT,))
    assert did(well) == []


def test_what_a_second_look_would_not_mend_drains_at_once(well: TableBoard) -> None:
    well.answers[SHOW] = node("IDLE")
    well.answers[drain("health: its disk cannot be written")] = ""
    rounds(well, (HOT, DEAD))
    assert did(well) == [drain("health: its disk cannot be written")]


def test_two_good_rounds_resume_what_it_drained_itself(well: TableBoard) -> None:
    well.answers[SHOW] = node("IDLE+DRAIN", "health: it is too hot")
    well.answers[RESUME] = ""
    rounds(well, ())
    assert did(well) == []
    rounds(well, ())
    assert did(well) == [RESUME]
    rounds(well, (), (), ())
    assert did(well) == [RESUME], "and then nobody is asked any more"


@pytest.mark.parametrize("reason", ["new fan", "wulfling reboot (kim@laptop)", ""])
def test_what_somebody_else_drained_is_left_alone(well: TableBoard, reason: str) -> None:
    well.answers[SHOW] = node("IDLE+DRAIN", reason)
    rounds(well, (), (), (), (HOT,), (HOT,), (), (), ())
    assert did(well) == []


def test_nothing_is_asked_while_all_is_well(well: TableBoard) -> None:
    well.answers[SHOW], well.answers[PING] = node("IDLE"), "up"
    rounds(well, *[()] * 20)
    assert well.ran == [SHOW, PING]


def test_while_the_controller_is_away_it_is_asked_again(well: TableBoard) -> None:
    well.answers[SHOW], well.answers[PING] = (1, "Unable to contact"), (1, "down")
    rounds(well, (), ())
    well.answers[SHOW], well.answers[RESUME] = node("IDLE+DRAIN", "health: hot"), ""
    rounds(well, ())
    assert did(well) == [RESUME]


def test_a_board_that_falls_ill_again_and_again_waits_for_a_person(well: TableBoard) -> None:
    well.answers[drain("health: it is too hot")] = ""
    last = drain("ill again and again, to be resumed by hand: it is too hot")
    well.answers[last], well.answers[RESUME] = "", ""
    for turn in range(3):
        well.answers[SHOW] = node("IDLE")
        rounds(well, (HOT,), (HOT,), now=NOW + 600 * turn)
        reason = "health: it is too hot" if turn < 2 else last[-1].removeprefix("Reason=")
        well.answers[SHOW] = node("IDLE+DRAIN", reason)
        rounds(well, (), (), (), now=NOW + 600 * turn + 200)
    ill = drain("health: it is too hot")
    assert did(well) == [ill, RESUME, ill, RESUME, last]


def test_what_a_person_has_to_look_at_is_not_resumed(well: TableBoard) -> None:
    flaps = Ailment("it started 3 times", at_once=True, lasting=True)
    well.answers[SHOW] = node("IDLE")
    well.answers[drain("it started 3 times")] = ""
    rounds(well, (flaps,))
    well.answers[SHOW] = node("IDLE+DRAIN", "it started 3 times")
    rounds(well, (), (), ())
    assert did(well) == [drain("it started 3 times")]


def test_tell_says_what_is_wrong_and_does_nothing(
    well: TableBoard, plant: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    plant("/sys/class/net/eth0/speed", "10\n")
    assert health.main(["--tell"], well) == 0
    assert capsys.readouterr().out == "its cable at eth0 gives 10 Mbit/s: plug it in anew\n"
    assert well.ran == [TRACKING]


# Jobs that a power cut ended

SQUEUE = (
    *("env", "SLURM_TIME_FORMAT=%s", "squeue", "--noheader", "--nodelist=n1"),
    *("--Format=JobID,BatchFlag,StartTime", "--states=running,suspended"),
)


def test_lost_jobs_are_given_up(well: TableBoard, plant: Callable[[str, str], None]) -> None:
    plant("/proc/stat", f"cpu 1\nbtime {int(NOW) - 100}\n")
    before, since, ahead = int(NOW) - 200, int(NOW) - 50, int(NOW) + 90
    well.answers[SQUEUE] = (
        f"7   1   {before}\n8   0   {before}\n9   1   {since}\n10  1   {before}\n11  0  {ahead}\n"
    )
    for job, code in (("7", 1), ("8", 1), ("10", 0), ("11", 1)):
        pgrep = ("pgrep", "-f", rf"^slurmstepd: \[{job}\.")
        well.answers[pgrep] = "" if code == 0 else (1, "")
    well.answers[("scontrol", "requeue", "7")] = ""
    well.answers[("scancel", "8")] = ""
    well.answers[("scancel", "11")] = ""
    give_up_lost_jobs(well, NOW)
    ended = [words for words in well.ran if words[0] in ("scontrol", "scancel")]
    assert ended == [("scontrol", "requeue", "7"), ("scancel", "8"), ("scancel", "11")]
