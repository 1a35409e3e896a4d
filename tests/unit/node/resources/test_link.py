"""Symbolic links on a board in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.file import unfinished
from wulfling.node.resources.link import Link

LINK = Link(path="/usr/lib/libmpi.so.12", target="libmpich.so.12")


def test_made_although_the_target_is_not_there(board: Board) -> None:
    assert LINK.observe(board) is None
    LINK.converge(board, None)
    assert LINK.observe(board) == LINK


def test_turned_to_another_target(board: Board, root: Path) -> None:
    (root / "usr/lib").mkdir()
    (root / "usr/lib/libmpi.so.12").symlink_to("libopenmpi.so")
    observed = LINK.observe(board)
    assert LINK.difference(observed) == ("  target: libopenmpi.so -> libmpich.so.12",)
    LINK.converge(board, observed)
    assert LINK.observe(board) == LINK


def test_what_a_crash_left_is_in_nobodys_way(board: Board, root: Path) -> None:
    (root / "usr/lib").mkdir()
    unfinished(root / "usr/lib/libmpi.so.12").symlink_to("half")
    LINK.converge(board, None)
    assert LINK.observe(board) == LINK


def test_a_file_in_its_place_is_an_error(board: Board, root: Path) -> None:
    (root / "usr/lib").mkdir()
    (root / "usr/lib/libmpi.so.12").write_text("a library")
    with pytest.raises(WulflingError, match="is no link"):
        LINK.observe(board)
