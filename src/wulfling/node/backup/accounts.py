"""The accounting database on its way into the backup and out of it, without a file between."""

from __future__ import annotations

from collections.abc import Mapping

from wulfling.node.backup import ACCOUNTS, DATABASE, DUMP
from wulfling.node.backup.process import Program, pipe
from wulfling.node.backup.repository import Repository, Snapshot
from wulfling.node.board import Board

DUMPING = ("mariadb-dump", "--single-transaction", "--skip-dump-date", DATABASE)
GROWING = ("job_table", "step_table", "assoc_table")  # of a cluster: rows are only added


def is_there(board: Board) -> bool:
    """Whether there is a database."""
    return board.path(f"/var/lib/mysql/{DATABASE}").is_dir()


def rows(board: Board, cluster: str, database: str = DATABASE) -> Mapping[str, int]:
    """How many jobs, steps and associations a database has; nothing of a cluster that slurmdbd
    does not know yet."""
    names = {f"{cluster}_{table}": table for table in GROWING}
    wanted = ", ".join(f"'{name}'" for name in names)
    there = _asked(
        board,
        "SELECT table_name FROM information_schema.tables"
        f" WHERE table_schema = '{database}' AND table_name IN ({wanted})",
    ).split()
    if not there:
        return {}
    # Names of clusters may have a dash in them.
    counts = " UNION ALL ".join(
        f"SELECT '{name}', COUNT(*) FROM `{database}`.`{name}`" for name in sorted(there)
    )
    lines = (line.split() for line in _asked(board, counts).splitlines())
    return {names[name]: int(number) for name, number in lines}


def save(repository: Repository, host: str, moment: str) -> None:
    """Dump the database into a snapshot of this moment. A dump that was cut short makes none.

    Raises ``CommandFailed``.
    """
    words = ("--stdin", "--stdin-filename", DUMP, "--tag", ACCOUNTS, "--host", host)
    pipe(Program(DUMPING, DUMPING), repository.program("backup", "--time", moment, *words))


def load(
    board: Board, repository: Repository, snapshot: Snapshot, database: str = DATABASE
) -> None:
    """Make the database what the snapshot has; what it was before is lost.

    Raises ``CommandFailed``.
    """
    anew = f"DROP DATABASE IF EXISTS `{database}`; CREATE DATABASE `{database}`"
    board.run(["mariadb", "-e", anew])
    argv = ("mariadb", database)
    pipe(repository.program("dump", snapshot.id, f"/{DUMP}"), Program(argv, argv))


def _asked(board: Board, question: str) -> str:
    return board.run(["mariadb", "--batch", "--skip-column-names", "-e", question])
