"""Directories on a board in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.directory import Directory


def test_made_with_its_parents(board: Board) -> None:
    directory = Directory(path="/srv/a/b", mode=0o2775)
    assert directory.observe(board) is None
    directory.converge(board, None)
    assert directory.observe(board) == directory


def test_only_what_differs_is_told(board: Board, root: Path) -> None:
    (root / "srv").mkdir(mode=0o755)
    directory = Directory(path="/srv", mode=0o700)
    observed = directory.observe(board)
    assert directory.difference(observed) == ("  mode: 0755 -> 0700",)
    directory.converge(board, observed)
    assert directory.observe(board) == directory


def test_what_is_in_it_stays(board: Board, root: Path) -> None:
    (root / "srv").mkdir(mode=0o700)
    (root / "srv/data").write_text("1")
    Directory(path="/srv").converge(board, Directory(path="/srv", mode=0o700))
    assert (root / "srv/data").read_text() == "1"


def test_a_link_to_a_directory_is_one(board: Board, root: Path) -> None:
    (root / "disk").mkdir(mode=0o755)
    (root / "srv").symlink_to(root / "disk")
    assert Directory(path="/srv").observe(board) == Directory(path="/srv")


def test_a_file_in_its_place_is_an_error(board: Board) -> None:
    with pytest.raises(WulflingError, match="is no directory"):
        Directory(path="/etc/passwd").observe(board)


def test_an_owner_that_is_not_there(board: Board) -> None:
    directory = Directory(path="/srv", owner="slurm", group="slurm")
    assert directory.observe(board) is None
    with pytest.raises(CommandFailed, match="there is no slurm"):
        directory.converge(board, None)


def test_commands() -> None:
    directory = Directory(path="/srv", owner="pi", group="pi", mode=0o700)
    assert directory.commands() == ("sudo install -d -m 00700 -o pi -g pi /srv",)
    assert directory.undo() == ("sudo rmdir /srv",)
