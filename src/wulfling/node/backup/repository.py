"""restic as this board uses it: one repository on another board, reached by SFTP with a key."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.backup import ACCOUNTS, HEAD, KEY, PASSWORD, Settings
from wulfling.node.backup.process import Program, ask
from wulfling.node.board import ENVIRONMENT

CACHE = "/var/cache/wulfling-backup"
LOCK_PATIENCE = 1800.0  # seconds for another board that drops old snapshots
LOCKED = ("unable to create lock", "repository is already locked")
# What restic 0.14 to 0.18 say of an empty folder: the second part is SFTP's, or the kernel's.
NOT_THERE = "unable to open config file"
NO_FILE = ("does not exist", "no such file")
WRONG_PASSWORD = "wrong password"
SOME_UNREADABLE = 3  # exit code of `restic backup`: what could be read is saved

Hear = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """One snapshot. ``time`` is UTC, to the second, as ``2026-11-27T15:00:00Z``."""

    id: str
    time: str
    host: str
    tag: str
    paths: tuple[str, ...]


class Repository:
    """The backup's repository. Every method raises ``WulflingError`` when it cannot be reached
    or does not open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._base = ("restic", "--quiet", "-o", f"sftp.command={self._ssh()}")

    def _ssh(self) -> str:
        to = f"{self._settings.account}@{self._settings.host}"
        options = (
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "HostbasedAuthentication=no",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
        )
        words = [word for option in options for word in ("-o", option)]
        return shlex.join(["ssh", "-i", KEY, *words, to, "-s", "sftp"])

    @property
    def environment(self) -> dict[str, str]:
        """What restic is told beside its arguments. The password is in a file."""
        to = f"{self._settings.account}@{self._settings.host}"
        return {
            **os.environ,
            **ENVIRONMENT,
            "TZ": "UTC",
            "HOME": "/root",
            "RESTIC_REPOSITORY": f"sftp:{to}:{self._settings.path}",
            "RESTIC_PASSWORD_FILE": PASSWORD,
            "RESTIC_CACHE_DIR": CACHE,
        }

    def program(self, *words: str) -> Program:
        """A call of restic."""
        called = ("wulfling-backup", "restic", *words[:1])
        return Program((*self._base, *words), called, self.environment)

    def run(self, *words: str, good: Iterable[int] = (0,)) -> str:
        """What restic printed, once no other board keeps it out."""
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            code, out, said = ask(self.program(*words))
            if code in good:
                return out
            locked = any(word in said for word in LOCKED)
            if not locked or time.monotonic() > deadline:
                raise self._error(words, code, said)
            time.sleep(10)

    def _error(self, words: Sequence[str], code: int, said: str) -> WulflingError:
        if WRONG_PASSWORD in said:
            return WulflingError(
                f"the backup in {self._settings.host}:{self._settings.path} was made with another"
                " password",
                hint="it is in backup_password of the operator's folder of this cluster, on the"
                " machine that made it",
            )
        tail = "\n".join(said.strip().splitlines()[-5:])
        return CommandFailed(("wulfling-backup", "restic", *words[:1]), code, tail)

    def is_there(self) -> bool:
        """Whether anything was ever saved there."""
        try:
            self.run("cat", "config")
        except CommandFailed as failed:
            if NOT_THERE not in failed.output or not any(w in failed.output for w in NO_FILE):
                raise
            return False
        return True

    def prepare(self) -> None:
        """Make the repository if there is none, and forget the locks of runs that were cut off."""
        if not self.is_there():
            try:
                self.run("init")
            except CommandFailed:
                if not self.is_there():  # another board was faster
                    raise
        self.run("unlock")

    def snapshots(self, *tags: str) -> tuple[Snapshot, ...]:
        """Those of this board, the oldest first."""
        words = [word for tag in tags for word in ("--tag", tag)]
        found = json.loads(self.run("snapshots", "--json", "--host", self._settings.node, *words))
        read = (parse_snapshot(values) for values in found or ())
        return tuple(sorted(read, key=lambda snapshot: snapshot.time))

    def moment(self, at: str) -> tuple[Snapshot, Snapshot]:
        """The files and the accounts of one moment, ``latest`` or how it begins. Raises
        ``WulflingError`` when there is no such pair."""
        files, accounts = newest_pair(self.snapshots(), at)
        if files is None or accounts is None:
            when = "" if at == "latest" else f" of {at}"
            raise WulflingError(
                f"there is no backup{when} of {self._settings.node}",
                hint="wulfling backup list",
            )
        return files, accounts


def parse_snapshot(values: dict[str, Any]) -> Snapshot:
    """One entry of ``restic snapshots --json``."""
    tags = values.get("tags") or [""]
    return Snapshot(
        id=values["short_id"],
        time=f"{values['time'][:19]}Z",
        host=values["hostname"],
        tag=tags[0],
        paths=tuple(values["paths"]),
    )


def newest_pair(snapshots: Sequence[Snapshot], at: str) -> tuple[Snapshot | None, Snapshot | None]:
    """The newest moment that has both, the head's files and the accounts. They were begun as
    one: a queue and accounts of different moments would not agree about jobs."""
    wanted = "" if at == "latest" else at
    files = {found.time: found for found in snapshots if found.tag == HEAD}
    accounts = {found.time: found for found in snapshots if found.tag == ACCOUNTS}
    for time_ in sorted(files.keys() & accounts.keys(), reverse=True):
        if time_.startswith(wanted):
            return files[time_], accounts[time_]
    return None, None
