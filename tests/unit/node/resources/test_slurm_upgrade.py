"""Upgrades of Slurm: how far one may go, and the dump that comes before."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.node.conftest import TableBoard

from wulfling.errors import WulflingError
from wulfling.node.resources.slurm_upgrade import SlurmUpgrade

WANTED = SlurmUpgrade(version="24.11.5", database="slurm_acct_db")
DUMP = "var/lib/wulfling/dumps/slurm_acct_db-24.05.2-to-24.11.5.sql"


@pytest.fixture
def board(root: Path) -> TableBoard:
    return TableBoard(root)


def installed(root: Path, package: str, version: str, status: str = "installed") -> None:
    table = f"Package: {package}\nStatus: install ok {status}\nVersion: {version}\n\n"
    (root / "var/lib/dpkg/status").write_text(table)
    (root / "var/lib/mysql/slurm_acct_db").mkdir(parents=True, exist_ok=True)


def test_nothing_to_do_where_nothing_is_installed(board: TableBoard) -> None:
    assert WANTED.observe(board) == WANTED


@pytest.mark.parametrize("package", ["slurmdbd", "slurm-smd-slurmctld"])
def test_nothing_to_do_with_the_version_that_is_there(
    board: TableBoard, root: Path, package: str
) -> None:
    installed(root, package, "24.11.5-1~wulfling12+1")
    assert WANTED.observe(board) == WANTED


def test_the_database_is_dumped_before_an_upgrade_and_once(board: TableBoard, root: Path) -> None:
    installed(root, "slurmdbd", "24.05.2-1")
    observed = WANTED.observe(board)
    assert WANTED.difference(observed) == ("  dump slurm_acct_db, before 24.05.2 -> 24.11.5",)
    new = root / DUMP.replace("slurm_acct_db-", ".slurm_acct_db-")
    (root / "var/lib/wulfling").mkdir(parents=True)
    (root / "var/lib/wulfling/dumps").mkdir()
    script = 'umask 077; mariadb-dump --single-transaction slurm_acct_db > "$1"'

    def dump() -> str:
        new.with_name(f"{new.name}.new").write_text("all of it")
        return ""

    board.answers = {("sh", "-c", script, "dump", f"{new}.new"): dump}
    WANTED.converge(board, observed)
    assert (root / DUMP).read_text() == "all of it"
    assert WANTED.observe(board) == WANTED


@pytest.mark.parametrize("status", ["installed", "unpacked", "half-configured"])
@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("24.11.6-1", "cannot go back to 24.11.5"),
        ("25.05.1-1", "cannot go back to 24.11.5"),
        ("22.05.8-4", "24.11 cannot take over what 22.05 has saved"),
        ("19.05.1-1", "does not know it"),
    ],
)
def test_a_way_that_slurm_does_not_go_is_refused(
    board: TableBoard, root: Path, there: str, words: str, status: str
) -> None:
    installed(root, "slurmctld", there, status)
    with pytest.raises(WulflingError, match=words):
        WANTED.observe(board)


def test_the_refusal_names_the_step_between(board: TableBoard, root: Path) -> None:
    installed(root, "slurmctld", "22.05.8-4+deb12u3")
    with pytest.raises(WulflingError) as caught:
        WANTED.observe(board)
    assert caught.value.hint.startswith("go to 23.11 first")
