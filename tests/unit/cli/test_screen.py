"""The screen of ``status`` as text: in a wide terminal, in one of 80 columns, and on a phone."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest

from wulfling.cli import screen
from wulfling.converge.checks.check import span
from wulfling.converge.status import Glance, NodeStatus, Queued, Served

HEAD = NodeStatus(
    node="rpnode01",
    address="10.0.0.1",
    roles=("head", "compute"),
    reachable=True,
    state="mixed",
    load=1.82,
    memory_mb=3792,
    free_mb=1500,
    up_seconds=950400,
    disk_mb=29000,
    disk_free_mb=20000,
    link_mbit=1000,
    temperature=61.2,
    cpus=4,
    written_gib=412,
    updates=12,
    security_updates=3,
    queue=(
        Queued("PENDING", "Priority", 2),
        Queued("PENDING", "Resources", 1),
        Queued("RUNNING", "None", 2),
    ),
    backups=(("head", 240.0), ("homes", 10800.0)),
    seen_seconds=0,
)
FULL = "its disk is full: 199 MiB of 29000 MiB are free"
ILL = replace(
    HEAD,
    node="rpnode02",
    address="10.0.0.2",
    roles=("compute",),
    state="drained",
    reason=f"health: {FULL}",
    load=0.02,
    disk_free_mb=199,
    temperature=83.0,
    throttled=True,
    wrong=(FULL,),
    written_gib=98,
    updates=0,
    security_updates=0,
    queue=(),
    backups=(),
)
AWAY = NodeStatus(
    node="rpnode03",
    address="10.0.0.4",
    roles=("compute",),
    reachable=False,
    reason="Connection timed out during banner exchange",
    seen_seconds=340,
)
FILES = replace(
    HEAD,
    node="filenode01",
    address="10.0.0.3",
    roles=("storage",),
    state="-",
    load=0.0,
    worn_percent=30,
    serves=(Served("/home", 29000, 12000),),
    queue=(),
    updates=None,
    security_updates=None,
    backups=(),
)
GLANCE = Glance("raspi-hpc", (HEAD, ILL, AWAY, FILES), ())

HEADS = "NODE ROLES ADDRESS STATE LOAD MEMORY DISK HEAT LINK WRITTEN UPDATES UP"
AT_80 = """\
raspi-hpc: 2 of 4 well, 1 ill, 1 away

NODE        STATE    LOAD         MEMORY      DISK        HEAT             UP
rpnode01    mixed    ███░░░ 1.82  ████░░ 60%  ██░░░░ 31%  61 °C            11 d
rpnode02    drained  █░░░░░ 0.02  ████░░ 60%  █████░ 99%  83 °C throttled  11 d
    takes no new jobs
    its disk is full: 199 MiB of 29000 MiB are free
rpnode03    away
    unreachable: Connection timed out during banner exchange
    last answer 5 min ago
filenode01  up       ░░░░░░ 0.00  ████░░ 60%  ██░░░░ 31%  61 °C            11 d

queue   2 running, 3 pending (Priority 2, Resources 1)
/home   ████░░ 59%, 12 GiB free on filenode01
backup  head 4 min ago, homes 3 h ago, by rpnode01
"""
PHONE = """\
raspi-hpc: 2 of 4 well, 1 ill, 1 away

rpnode01  mixed             head,compute
  load ███░░░ 1.82  mem ████░░ 60%
  disk ██░░░░ 31%, 61 °C, link 1 Gb/s
  written 412 GiB, updates 12 (3 sec.)
  up 11 d
rpnode02  drained                compute
  load █░░░░░ 0.02  mem ████░░ 60%
  disk █████░ 99%, 83 °C throttled
  link 1 Gb/s, written 98 GiB, updates 0
  up 11 d
  ! takes no new jobs
  ! its disk is full: 199 MiB of 29000
    MiB are free
rpnode03  away                   compute
  ! unreachable: Connection timed out
    during banner exchange
  ! last answer 5 min ago
filenode01  up                   storage
  load ░░░░░░ 0.00  mem ████░░ 60%
  disk ██░░░░ 31%, 61 °C, link 1 Gb/s
  disk is 30% worn, up 11 d

queue   2 running, 3 pending (Priority
        2, Resources 1)
/home   ████░░ 59%, 12 GiB free on
        filenode01
backup  head 4 min ago, homes 3 h ago,
        by rpnode01
"""


def drawn(width: int, glance: Glance = GLANCE) -> str:
    return "".join(f"{click.unstyle(line)}\n" for line in screen.lines(glance, width))


def test_a_wide_terminal_shows_every_column() -> None:
    told = drawn(200)
    assert told.splitlines()[2].split() == HEADS.split()
    assert "99%  83 °C throttled  1 Gb/s  98 GiB    0            11 d\n" in told
    assert "  30% worn  " in told


def test_eighty_columns() -> None:
    assert drawn(80) == AT_80


def test_a_phone() -> None:
    """40 columns must be readable (issue 4, item 2)."""
    assert drawn(40) == PHONE


def test_on_a_small_screen_what_is_well_takes_one_line() -> None:
    told = [click.unstyle(line) for line in screen.lines(GLANCE, 40, 24)]
    assert len(told) <= 24
    assert [line for line in told if line.startswith(("rpnode01", "filenode01"))] == [
        "rpnode01  mixed             head,compute",
        "filenode01  up                   storage",
    ]
    assert "  ! its disk is full: 199 MiB of 29000" in told


@pytest.mark.parametrize("width", range(30, 201, 10))
def test_no_line_is_longer_than_the_screen(width: int) -> None:
    assert max(map(len, drawn(max(width, 38)).splitlines())) <= max(width, 38)


def test_before_anybody_has_answered() -> None:
    assert drawn(80, Glance("c", (), ())).startswith("c: nobody has answered yet\n")
    assert drawn(40, Glance("c", (), ()))


def test_what_nobody_knows_has_no_column() -> None:
    plain = replace(HEAD, temperature=None, link_mbit=0, updates=None, written_gib=None)
    told = drawn(200, Glance("c", (replace(plain, backups=(), queue=()),), ()))
    assert "HEAT" not in told and "LINK" not in told and "UPDATES" not in told
    assert "backup" not in told
    assert told.endswith("queue  no jobs\n")


@pytest.mark.parametrize(
    ("part", "whole", "marks"),
    [
        (0, 4, "░░░░░░"),
        (0.01, 4, "█░░░░░"),
        (2, 4, "███░░░"),
        (3.99, 4, "█████░"),
        (4, 4, "██████"),
        (9, 4, "██████"),
        (1, 0, ""),
    ],
)
def test_a_bar_is_empty_or_full_only_when_it_is_so(part: float, whole: float, marks: str) -> None:
    assert screen.bar(part, whole) == marks


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172799, "47 h"),
        (172800, "2 d"),
    ],
)
def test_a_time_in_one_unit(seconds: int, words: str) -> None:
    assert span(seconds) == words


def test_reasons_in_words() -> None:
    mine = replace(ILL, wrong=(), reason="new fan, says kim", state="draining")
    assert [words for words, _ in screen.remarks(mine)] == [
        "takes no new jobs; what runs there goes on: new fan, says kim"
    ]
    late = replace(HEAD, seen_seconds=44)
    assert [words for words, _ in screen.remarks(late)] == [
        "no answer for 44 s; these figures are older"
    ]
    assert [*screen.remarks(late, 30)] == []


def test_a_colour_only_repeats_what_a_word_says() -> None:
    coloured = [line for line in screen.lines(GLANCE, 80) if line != click.unstyle(line)]
    for line in coloured:
        said = click.unstyle(line)
        assert any(
            word in said
            for word in ("ill", "NODE", "drained", "away", "no new jobs", "full", "answer")
        ) or said.startswith("    unreachable"), said


def test_all_that_is_known_of_one_node() -> None:
    told = [click.unstyle(line) for line in screen.details(ILL, 80)]
    assert told[0] == "rpnode02  10.0.0.2  compute  drained"
    assert "  load █░░░░░ 0.02 of 4 CPUs, memory ████░░ 60% of 3792 MiB" in told
    assert "  /home ████░░ 59%, 12 GiB free" in [*screen.details(FILES, 80)]
