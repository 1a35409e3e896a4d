"""The board's name, in its file and in its kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.node.board import Board
from wulfling.node.resources.hostname import Hostname

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

WANTED = Hostname(value="rpnode01")


def named(root: Path, kernel: str, file: str | None) -> None:
    (root / "proc/sys/kernel").mkdir(parents=True, exist_ok=True)
    (root / "proc/sys/kernel/hostname").write_text(f"{kernel}\n")
    if file is not None:
        (root / "etc/hostname").write_text(f"{file}\n")


@pytest.mark.parametrize(
    ("kernel", "file"),
    [("pi", "pi"), ("rpnode01", "pi"), ("pi", "rpnode01"), ("rpnode01", None)],
)
def test_both_have_to_be_right(
    board: Board, root: Path, answers: Answers, kernel: str, file: str | None
) -> None:
    named(root, kernel, file)
    observed = WANTED.observe(board)
    assert observed != WANTED
    assert len(WANTED.difference(observed)) == 1

    def hostname() -> str:
        named(root, "rpnode01", None)
        return ""

    answers["hostname", "rpnode01"] = hostname
    WANTED.converge(board, observed)
    assert WANTED.observe(board) == WANTED


def test_right(board: Board, root: Path, ran: list[tuple[str, ...]]) -> None:
    named(root, "rpnode01", "rpnode01")
    assert WANTED.observe(board) == WANTED
    assert ran == []
