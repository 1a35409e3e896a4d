"""The copy of the program that an apply leaves on a board: whole, with byte code, and alone."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wulfling.node.board import Board
from wulfling.node.install import install

PLACE = "var/lib/wulfling/program"


@pytest.fixture
def from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As the loader does it: the program is a zip in memory, first on the path."""
    handle = os.memfd_create("wulfling")
    with open(handle, "wb", closefd=False) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("wulfling/__init__.py", "")
        archive.writestr("wulfling/node/program.py", "def main(): return 7\n")
    monkeypatch.setattr(sys, "path", [f"/proc/self/fd/{handle}", *sys.path])
    yield
    os.close(handle)


@pytest.mark.usefixtures("from_memory")
def test_unpacked_with_byte_code(board: Board, root: Path) -> None:
    install(board, "abc")
    files = {str(f.relative_to(root / PLACE)) for f in (root / PLACE).rglob("*") if f.is_file()}
    tag = sys.implementation.cache_tag
    assert files == {
        "abc/wulfling/__init__.py",
        f"abc/wulfling/__pycache__/__init__.{tag}.pyc",
        "abc/wulfling/node/program.py",
        f"abc/wulfling/node/__pycache__/program.{tag}.pyc",
    }


@pytest.mark.usefixtures("from_memory")
def test_older_ones_go(board: Board, root: Path) -> None:
    for old in ("old", ".new"):
        (root / PLACE / old / "wulfling").mkdir(parents=True)
    install(board, "abc")
    assert os.listdir(root / PLACE) == ["abc"]


@pytest.mark.usefixtures("from_memory")
def test_on_the_disk_before_it_has_its_name(
    board: Board, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut leaves a program of empty files, which every later run would trust."""
    synced: list[list[str]] = []
    monkeypatch.setattr(os, "sync", lambda: synced.append(os.listdir(root / PLACE)))
    install(board, "abc")
    assert synced == [[".new"]]


def test_one_that_is_there_stays(board: Board, root: Path) -> None:
    (root / PLACE / "abc").mkdir(parents=True)
    before = (root / PLACE / "abc").stat()
    install(board, "abc")
    assert (root / PLACE / "abc").stat() == before


def test_not_from_a_checkout(board: Board, root: Path) -> None:
    install(board, "abc")
    assert not (root / PLACE / "abc").exists()
