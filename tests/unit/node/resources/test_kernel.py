"""Kernel flags in a file of one line: one more line, or none, and the board does not boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.kernel import KernelFlags

FLAGS = KernelFlags(file="/boot/firmware/cmdline.txt", flags=("cgroup_enable=memory", "psi=1"))
PI = "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 rootwait"


@pytest.fixture
def line(root: Path) -> Path:
    (root / "boot/firmware").mkdir(parents=True)
    return root / "boot/firmware/cmdline.txt"


@pytest.mark.parametrize("before", [PI, f"{PI}\n", f"{PI}\n\n", f" {PI}  \n"])
def test_flags_are_added_to_the_one_line(board: Board, line: Path, before: str) -> None:
    line.write_text(before)
    observed = FLAGS.observe(board)
    assert FLAGS.difference(observed) == ("  flags: none -> cgroup_enable=memory psi=1",)
    FLAGS.converge(board, observed)
    assert line.read_text() == f"{PI} cgroup_enable=memory psi=1\n"
    assert FLAGS.observe(board) == FLAGS


def test_only_missing_ones_are_added_and_quotes_stay(board: Board, line: Path) -> None:
    line.write_text('root=/dev/sda1 dyndbg="file a.c  +p" psi=1\n')
    FLAGS.converge(board, FLAGS.observe(board))
    assert line.read_text() == 'root=/dev/sda1 dyndbg="file a.c  +p" psi=1 cgroup_enable=memory\n'


def test_part_of_another_flag_is_not_the_flag(board: Board, line: Path) -> None:
    line.write_text("cgroup_enable=memory2 xpsi=1\n")
    assert FLAGS.observe(board) == KernelFlags(file=FLAGS.file, flags=())


@pytest.mark.parametrize("text", ["", "# a note\nroot=/dev/sda1\n"])
def test_a_file_that_is_not_one_line_is_left_alone(board: Board, line: Path, text: str) -> None:
    line.write_text(text)
    with pytest.raises(WulflingError, match="to be one line"):
        FLAGS.converge(board, FLAGS.observe(board))
    assert line.read_text() == text


def test_a_reboot_is_asked_for_until_it_happened(board: Board, root: Path, line: Path) -> None:
    (root / "proc/cmdline").write_text(f"{PI} psi=1\n")
    assert FLAGS.note(board) == "cgroup_enable=memory will count after a reboot"
    (root / "proc/cmdline").write_text(f"{PI} psi=1 cgroup_enable=memory\n")
    assert FLAGS.note(board) == ""
