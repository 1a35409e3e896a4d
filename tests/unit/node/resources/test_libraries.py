"""Libraries of our own: the loader's list is what counts, and a real loader takes the stand-in."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import sys
from pathlib import Path

import pytest
from tests.unit.node.conftest import Answers

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.libraries import Libraries, stand_in

ONE = Libraries(
    path="/etc/ld.so.conf.d/00-one.conf",
    folder="/opt/one/lib",
    names=(("libold.so.12", "libnew.so.12"),),
)
GONE = Libraries(path=ONE.path, folder="")

OURS = """2 libs found in cache `/etc/ld.so.cache'
\tlibold.so.12 (libc6,x86-64) => /opt/one/lib/names/libold.so.12
\tlibold.so.12 (libc6,x86-64) => /lib/x86_64-linux-gnu/libold.so.12
\tlibnew.so.12 (libc6,x86-64) => /opt/one/lib/libnew.so.12
"""
THEIRS = "\tlibold.so.12 (libc6,x86-64) => /lib/x86_64-linux-gnu/libold.so.12\n" + OURS


@pytest.fixture
def elf(root: Path) -> bytes:
    """The board has the new library; this is how it begins."""
    start = b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" + bytes(44)
    (root / "opt/one/lib").mkdir(parents=True)
    (root / "opt/one/lib/libnew.so.12").write_bytes(start)
    (root / "etc/ld.so.conf.d").mkdir()
    return start


def test_made_and_found_first(board: Board, answers: Answers, elf: bytes, root: Path) -> None:
    answers["ldconfig",] = ""
    assert ONE.observe(board) == GONE
    ONE.converge(board, GONE)
    answers["ldconfig", "-p"] = OURS
    assert ONE.observe(board) == ONE
    assert (root / "etc/ld.so.conf.d/00-one.conf").read_text().splitlines() == [
        "/opt/one/lib",
        "/opt/one/lib/names",
    ]


def test_where_the_loader_finds_another_first_it_is_not_done(
    board: Board, answers: Answers, elf: bytes
) -> None:
    answers["ldconfig",] = ""
    ONE.converge(board, GONE)
    answers["ldconfig", "-p"] = THEIRS
    observed = ONE.observe(board)
    assert observed == Libraries(path=ONE.path, folder=ONE.folder)
    assert ONE.difference(observed) == ("  names: none -> libold.so.12 libnew.so.12",)


def test_cut_off_before_the_loader_read_it(board: Board, answers: Answers, elf: bytes) -> None:
    answers["ldconfig",] = (1, "the power went")
    with pytest.raises(WulflingError):
        ONE.converge(board, GONE)
    answers["ldconfig", "-p"] = "\tlibc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6\n"
    assert ONE.observe(board) != ONE


def test_taken_back_in_two_steps_of_which_each_may_be_the_last(
    board: Board, answers: Answers, elf: bytes, root: Path
) -> None:
    answers["ldconfig",] = ""
    ONE.converge(board, GONE)
    answers["ldconfig",] = (1, "the power went")
    with pytest.raises(WulflingError):
        GONE.converge(board, GONE.observe(board))
    assert GONE.observe(board) != GONE
    answers["ldconfig",] = ""
    GONE.converge(board, GONE.observe(board))
    assert GONE.observe(board) == GONE
    assert not (root / "etc/ld.so.conf.d/00-one.conf").exists()


def test_a_library_that_is_none_is_refused(board: Board, elf: bytes, root: Path) -> None:
    (root / "opt/one/lib/libnew.so.12").write_text("a text")
    with pytest.raises(WulflingError, match=r"libnew\.so\.12 is no shared library of 64 bits"):
        ONE.converge(board, GONE)


@pytest.mark.skipif(sys.maxsize < 2**32, reason="of 32 bits")
def test_a_real_loader_finds_the_functions_behind_the_stand_in(tmp_path: Path) -> None:
    library = ctypes.util.find_library("m")
    assert library
    start = Path(sys.executable).resolve().read_bytes()[:64]
    made = tmp_path / "libstandin.so.1"
    made.write_bytes(stand_in(start, made.name, library))
    cosine = ctypes.CDLL(str(made)).cos
    cosine.restype, cosine.argtypes = ctypes.c_double, [ctypes.c_double]
    assert cosine(0.0) == 1.0, platform.machine()
