"""Debian's alternatives on a board in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.node.conftest import TableBoard

from wulfling.model.resource import NotYet
from wulfling.node.resources.alternative import Alternative

MPIRUN = Alternative(choice="mpirun", path="/usr/bin/mpirun.mpich")
SET = ("update-alternatives", "--quiet", "--set", "mpirun", "/usr/bin/mpirun.mpich")


def say(root: Path, status: str, path: str) -> None:
    """As update-alternatives keeps it."""
    for folder, name in (("var/lib/dpkg/alternatives", "mpirun"), ("etc/alternatives", "mpirun")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).unlink(missing_ok=True)
    (root / "var/lib/dpkg/alternatives/mpirun").write_text(f"{status}\n/usr/bin/mpirun\n\n")
    (root / "etc/alternatives/mpirun").symlink_to(path)


def test_what_was_chosen_by_itself_may_change_with_the_next_package(
    board: TableBoard, root: Path
) -> None:
    say(root, "auto", "/usr/bin/mpirun.mpich")
    assert MPIRUN.difference(MPIRUN.observe(board)) == ("  fixed: no -> yes",)


def test_another_package_took_the_name(board: TableBoard, root: Path) -> None:
    say(root, "auto", "/usr/bin/mpirun.openmpi")
    observed = MPIRUN.observe(board)

    def chosen() -> str:
        say(root, "manual", "/usr/bin/mpirun.mpich")
        return ""

    board.answers[SET] = chosen
    MPIRUN.converge(board, observed)
    assert MPIRUN.observe(board) == MPIRUN


def test_before_its_package_there_is_nothing_to_choose(board: TableBoard) -> None:
    with pytest.raises(NotYet, match="packages:apt"):
        MPIRUN.observe(board)
