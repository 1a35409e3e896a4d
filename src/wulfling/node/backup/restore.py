"""Gives a blank head back what its backup has: accounts, queue, and homes that were on its disk."""

from __future__ import annotations

import os
import shutil
import time

from wulfling.errors import WulflingError
from wulfling.node.backup import (
    FOLDER,
    HOMES,
    SLURM_STATE,
    SLURM_STATE_OF,
    STAGE,
    Settings,
    accounts,
)
from wulfling.node.backup.repository import Hear, Repository, Snapshot
from wulfling.node.board import Board

SCRATCH = f"{FOLDER}/restore"
DAEMONS = ("slurmctld", "slurmdbd")
PATIENCE = 120.0  # seconds until MariaDB answers at its first start


def restore(board: Board, settings: Settings, at: str, wait_for: Hear) -> None:
    """Bring back the moment ``at``. Whatever is there of it is overwritten, so it can be done
    again after it was cut off. ``wait_for`` hears what is waited for. Raises ``WulflingError``."""
    repository = Repository(settings)
    repository.run("unlock")
    files, dump = repository.moment(at)
    board.run(["systemctl", "stop", *DAEMONS], check=False)
    wait_for(f"the accounts of {dump.time}")
    _wait_for_mariadb(board)
    accounts.load(board, repository, dump)
    wait_for(f"the queue of {files.time}")
    _queue(board, repository, files)
    if settings.homes:
        _homes(board, repository, wait_for)
    os.sync()


def _wait_for_mariadb(board: Board) -> None:
    board.run(["systemctl", "start", "mariadb"])
    deadline = time.monotonic() + PATIENCE
    while board.ask(["mariadb", "-e", "SELECT 1"])[0] != 0:
        if time.monotonic() > deadline:
            raise WulflingError(
                f"MariaDB does not answer after {PATIENCE:g} s", hint="journalctl -u mariadb"
            )
        time.sleep(1)


def _queue(board: Board, repository: Repository, files: Snapshot) -> None:
    scratch = board.path(SCRATCH)
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        repository.run("restore", files.id, "--target", str(scratch))
        saved = scratch / STAGE[1:] / SLURM_STATE[1:]
        place = board.path(SLURM_STATE)
        shutil.rmtree(place, ignore_errors=True)
        if saved.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(saved, place)
            board.run(["chown", "-R", f"{SLURM_STATE_OF}:{SLURM_STATE_OF}", str(place)])
            place.chmod(0o700)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _homes(board: Board, repository: Repository, wait_for: Hear) -> None:
    """The newest of homes, if they were ever saved: files stand for themselves."""
    for newest in repository.snapshots(HOMES)[-1:]:
        wait_for(f"the homes of {newest.time}")
        repository.run("restore", newest.id, "--target", str(board.root))
