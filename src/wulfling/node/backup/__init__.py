"""What a board saves, where it keeps what it needs for that, and how it tells what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from wulfling.node.board import STATE, Board

PROGRAM = "/usr/local/sbin/wulfling-backup"
FOLDER = f"{STATE}/backup"
SETTINGS = f"{FOLDER}/settings.json"
DONE = f"{FOLDER}/status.json"
STAGE = f"{FOLDER}/stage"
BLANK = f"{FOLDER}/blank"
"""There while this board has not got back yet, or begun, what slurmctld and slurmdbd go on with."""

PASSWORD = f"{STATE}/secrets/backup_password"
KEY = f"{STATE}/secrets/backup_key"
PROGRESS = "/run/wulfling-backup"

SLURM_STATE = "/var/lib/slurm/slurmctld"
SLURM_STATE_OF = "slurm"  # the account that owns it
DATABASE = "slurm_acct_db"
DUMP = f"{DATABASE}.sql"

# Besides Slurm's state: what a new head could not make again.
FILES = (
    "/etc/munge/munge.key",
    "/etc/slurm/slurm.conf",
    "/etc/slurm/slurmdbd.conf",
    "/etc/slurm/cgroup.conf",
    f"{STATE}/secrets/munge_key",
    f"{STATE}/cluster/hardware.json",
)

HEAD, ACCOUNTS, HOMES = "head", "accounts", "homes"
"""The tags of snapshots. Of one moment there are two for the head: its files, and the accounts."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the cluster file says, for the program of this board. ``keep`` are pairs of hourly,
    daily, weekly or monthly, and how many."""

    cluster: str
    node: str
    host: str
    account: str
    path: str
    head: bool
    homes: tuple[str, ...] = ()
    keep: tuple[tuple[str, int], ...] = ()

    @property
    def saves(self) -> bool:
        """Whether there is anything here to save."""
        return self.head or bool(self.homes)

    def as_json(self) -> dict[str, Any]:
        """For the file on the board."""
        return asdict(self)


def read_settings(board: Board) -> Settings | None:
    """Those of this board, ``None`` when it saves nothing."""
    text = board.text(SETTINGS)
    if text is None:
        return None
    values = json.loads(text)
    values["homes"] = tuple(values["homes"])
    values["keep"] = tuple((name, number) for name, number in values["keep"])
    return Settings(**values)
