"""Newer packages: which there are, the dump before Slurm's, and its daemons in their order."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.node.conftest import TableBoard

from wulfling.node.resources import updates
from wulfling.node.resources.updates import REBOOT, RESTART, Updates

ASK = ("apt-get", "--simulate", "-q", "--with-new-pkgs", "upgrade")
SAID = """\
Reading package lists...
The following packages will be upgraded:
  libc6 slurmd
Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.9/stable [amd64])
Inst linux-image-6.1.0-28-amd64 (6.1.119-1 Debian-Security:12/stable-security [amd64])
Inst slurmctld [22.05.8-4+deb12u2] (22.05.8-4+deb12u3 Debian-Security:12/stable-security [amd64])
Inst slurmdbd [22.05.8-4+deb12u2] (22.05.8-4+deb12u3 Debian-Security:12/stable-security [amd64])
Conf libc6 (2.36-9+deb12u10 Debian:12.9/stable [amd64])
"""
SYSTEM = ("libc6 2.36-9+deb12u9 -> 2.36-9+deb12u10", "linux-image-6.1.0-28-amd64 6.1.119-1")
SLURM = (
    "slurmctld 22.05.8-4+deb12u2 -> 22.05.8-4+deb12u3",
    "slurmdbd 22.05.8-4+deb12u2 -> 22.05.8-4+deb12u3",
)
DUMP = "slurm_acct_db-slurmctld_22.05.8-4+deb12u2_-_22.05.8-4+deb12u3.sql"


@pytest.fixture
def board(root: Path, monkeypatch: pytest.MonkeyPatch) -> TableBoard:
    """A head on which Slurm's three daemons run."""
    board = TableBoard(root)
    board.answers[ASK] = SAID
    for unit in updates.DAEMONS:
        board.answers[("systemctl", "is-active", "-q", unit)] = ""
        board.answers[("systemctl", "restart", unit)] = ""
    board.answers[("sacctmgr", "-n", "show", "cluster", "format=cluster")] = "c\n"
    board.answers[("scontrol", "ping")] = "UP\n"
    monkeypatch.setattr(updates, "upgrade", lambda board, names: board.ran.append(tuple(names)))
    (root / "var/lib/wulfling").mkdir(parents=True)
    return board


def test_slurm_is_apart_from_the_rest(board: TableBoard) -> None:
    assert Updates(what="system").observe(board) == Updates(what="system", pending=SYSTEM)
    assert Updates(what="slurm").observe(board) == Updates(what="slurm", pending=SLURM)
    board.answers[ASK] = "Reading package lists...\n"
    assert Updates(what="system").observe(board) == Updates(what="system")


def test_the_plan_shows_versions() -> None:
    observed = Updates(what="slurm", pending=SLURM, unfinished="slurmd")
    assert Updates(what="slurm").difference(observed) == (
        *(f"  {line}" for line in SLURM),
        "  to be started anew: slurmd",
    )


def test_what_needs_a_start_is_noted_before_it_is_installed(board: TableBoard) -> None:
    wish = Updates(what="system")
    wish.converge(board, Updates(what="system", pending=SYSTEM))
    assert board.ran == [("libc6",)]
    assert board.text(REBOOT) == "libc6\n"


def test_other_packages_need_no_start(board: TableBoard) -> None:
    Updates(what="system").converge(board, Updates(what="system", pending=("nano 1 -> 2",)))
    assert not board.path(REBOOT).exists()


def test_slurms_daemons_start_in_their_order_each_when_the_one_before_answers(
    board: TableBoard,
) -> None:
    Updates(what="slurm").converge(board, Updates(what="slurm", pending=SLURM))
    after = board.ran[board.ran.index(("slurmctld", "slurmdbd")) + 1 :]
    assert [" ".join(words[:2]) for words in after] == [
        *("systemctl restart", "sacctmgr -n"),
        *("systemctl restart", "scontrol ping"),
        *("systemctl restart", "systemctl is-active"),
    ]
    assert [words[2] for words in after if words[1] == "restart"] == [
        *("slurmdbd", "slurmctld", "slurmd")
    ]
    assert not board.path(RESTART).exists()


def test_a_run_that_was_cut_off_before_the_starts_is_gone_on_with(board: TableBoard) -> None:
    board.path(RESTART).write_text("slurmctld\nslurmd\n")
    board.answers[ASK] = ""
    wish = Updates(what="slurm")
    observed = wish.observe(board)
    assert observed == Updates(what="slurm", unfinished="slurmctld slurmd")
    wish.converge(board, observed)
    assert ("systemctl", "restart", "slurmctld") in board.ran
    assert wish.observe(board) == wish


def test_only_what_ran_is_started(board: TableBoard) -> None:
    for unit in ("slurmdbd", "slurmctld"):
        board.answers[("systemctl", "is-active", "-q", unit)] = (3, "")
    Updates(what="slurm").converge(board, Updates(what="slurm", pending=SLURM[:1]))
    assert [words[2] for words in board.ran if words[:2] == ("systemctl", "restart")] == ["slurmd"]


def test_the_database_is_dumped_first_and_once(board: TableBoard, root: Path) -> None:
    (root / "var/lib/mysql/slurm_acct_db").mkdir(parents=True)
    folder = root / "var/lib/wulfling/dumps"
    new = folder / f".{DUMP}.new"
    script = 'umask 077; mariadb-dump --single-transaction slurm_acct_db > "$1"'

    def dump() -> str:
        assert ("slurmctld", "slurmdbd") not in board.ran, "installed before it was dumped"
        new.write_text("all of it")
        return ""

    board.answers[("sh", "-c", script, "dump", str(new))] = dump
    wish = Updates(what="slurm", database="slurm_acct_db")
    wish.converge(board, Updates(what="slurm", pending=SLURM))
    assert [place.name for place in folder.iterdir()] == [DUMP]
    (folder / DUMP).write_text("the first")
    wish.converge(board, Updates(what="slurm", pending=SLURM))
    assert (folder / DUMP).read_text() == "the first"
