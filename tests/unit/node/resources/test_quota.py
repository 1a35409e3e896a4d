"""Disk quotas, as repquota of quota 4.06 (Debian 12) tells them on a virtual board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.model.resource import NotYet
from wulfling.node.board import Board
from wulfling.node.resources.quota import REPORT, Quota, disk_of_homes, parse_report

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

RECORDED = """\
User,BlockStatus,FileStatus,BlockUsed,BlockSoftLimit,BlockHardLimit,BlockGrace,FileUsed,\
FileSoftLimit,FileHardLimit,FileGrace
root,ok,ok,603480,0,0,,21837,0,0,
pi,ok,ok,4,10485760,10485760,,1,0,0,
#2077,ok,ok,8,0,0,,2,0,0,
"""
PI = Quota(user="pi", limit_mb=10240)
ASKED = (*REPORT, "/")


def test_as_declared(board: Board, answers: Answers, ran: list[tuple[str, ...]]) -> None:
    answers[ASKED] = RECORDED
    assert PI.observe(board) == PI
    assert Quota(user="kim", limit_mb=5).observe(board) == Quota(user="kim", limit_mb=0)
    assert len(ran) == 1, "one question for everybody"


def test_it_is_set_and_lifted(board: Board, answers: Answers) -> None:
    answers[ASKED] = RECORDED
    less, none = Quota(user="pi", limit_mb=2048), Quota(user="pi", limit_mb=0)
    assert less.difference(less.observe(board)) == ("  limit: 10240M -> 2048M",)
    assert none.difference(none.observe(board)) == ("  limit: 10240M -> none",)
    answers["setquota", "--user", "pi", "2097152", "2097152", "0", "0", "/"] = ""
    less.converge(board, PI)
    answers["setquota", "--user", "pi", "0", "0", "0", "0", "/"] = ""
    none.converge(board, PI)


@pytest.mark.parametrize("answer", [(1, "repquota: Mountpoint not found"), (127, "no such file")])
def test_while_nobody_counts(board: Board, answers: Answers, answer: tuple[int, str]) -> None:
    answers[ASKED] = answer
    with pytest.raises(NotYet, match=r"service:wulfling-quota\.service"):
        PI.observe(board)
    none = Quota(user="pi", limit_mb=0)
    assert none.observe(board) == none, "an apply that takes it back must not fail"


@pytest.mark.parametrize("text", ["", "nonsense\n", "User,BlockHardLimit\nroot\n"])
def test_what_makes_no_sense_is_left_out(text: str) -> None:
    assert parse_report(text) == ()


@pytest.mark.parametrize(
    ("mounts", "disk"),
    [
        ("", "/"),
        ("/dev/root / ext4 rw 0 0\nproc /proc proc rw 0 0\n", "/"),
        ("/dev/root / ext4 rw 0 0\n/dev/sda1 /home ext4 rw 0 0\n", "/home"),
        ("/dev/root / ext4 rw 0 0\n/dev/sda1 /home2 ext4 rw 0 0\n", "/"),
        ("/dev/root / ext4 rw 0 0\n/dev/sda1 /home/kim ext4 rw 0 0\n", "/"),
    ],
)
def test_the_disk_of_the_homes(board: Board, root: Path, mounts: str, disk: str) -> None:
    (root / "proc/self").mkdir()
    (root / "proc/self/mounts").write_text(mounts)
    assert disk_of_homes(board) == disk
