"""Newer versions of what is installed, as the board's own lists of packages have them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.model.resource import Resource
from wulfling.node.board import STATE, Board
from wulfling.node.resources.file import sync_directory
from wulfling.node.resources.packages import DPKG_STATUS, no_daemon_starts, upgrade

SYSTEM, SLURM = "system", "slurm"
DUMPS = f"{STATE}/dumps"

# In /run, so that a start of the board does what it asks for.
REBOOT = "/run/wulfling-reboot"
RESTART = "/run/wulfling-restart"

# slurmctld talks to the database's daemon when it starts, and slurmd to slurmctld: each is
# the newer one of its pair, at any moment (upgrades.html of Slurm).
DAEMONS = ("slurmdbd", "slurmctld", "slurmd")
DAEMON_PATIENCE = 120.0  # seconds until a daemon answers that was started anew

# apt-get(8), -s: `Inst name [old] (new Suite [arch])`, without [old] for one that comes along.
_INST = re.compile(r"^Inst (\S+)(?: \[(\S+)\])? \((\S+) ", re.MULTILINE)
SIMULATED = ("apt-get", "--simulate", "-q", "--with-new-pkgs", "upgrade")
# Debian-Security:12/stable-security, and Ubuntu:24.04/noble-security.
_SECURITY = re.compile(r"^Inst \S+ .*?-[Ss]ecurity[:/ \[,]", re.MULTILINE)
_SLURM = re.compile(r"slurm|libslurm|libpmi")

# What goes on as it was until the board starts anew; Debian itself says so only on desktops.
_NEEDS_START = re.compile(r"linux-image|linux-firmware|raspi|raspberrypi|libc6$|systemd$|dbus")


@dataclass(frozen=True, kw_only=True)
class Updates(Resource):
    """That none are left: ``what`` is ``slurm``, or ``system`` for all other packages. ``pending``
    is "NAME OLD -> NEW" for each that is; ``database`` is dumped before Slurm's are installed,
    where the board has it."""

    kind: ClassVar[str] = "updates"

    what: str
    pending: tuple[str, ...] = ()
    unfinished: str = ""  # what is still to be started anew after an earlier run
    database: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return self.what

    def observe(self, board: Board) -> Updates:
        """What the lists of packages have; whoever asks has brought them up to date."""
        out = board.run(SIMULATED)
        pending = [
            f"{name} {old} -> {new}" if old else f"{name} {new}"
            for name, old, new in _INST.findall(out)
            if (self.what == SLURM) == bool(_SLURM.match(name))
        ]
        left = board.lines(RESTART) if self.what == SLURM else ()
        return Updates(what=self.what, pending=tuple(pending), unfinished=" ".join(left))

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Install them. Slurm's daemons start in their order at the end; what needs a start of
        the board is noted for whoever brings that about. Raises ``CommandFailed``."""
        assert isinstance(observed, Updates)
        names = [line.split()[0] for line in observed.pending if " -> " in line]
        if self.what == SLURM:
            self._dump(board, observed.pending)
            self._note_restarts(board)
        if any(map(_NEEDS_START.match, names)):
            board.path(REBOOT).write_text("".join(f"{name}\n" for name in names))
        # Slurm's daemons would start in the order of their packages' names.
        with no_daemon_starts(board) if self.what == SLURM else nullcontext():
            if names:
                upgrade(board, names)
        board.forget(DPKG_STATUS, f"versions {DPKG_STATUS}", "units")
        if self.what == SLURM:
            _restart(board)

    def commands(self) -> tuple[str, ...]:
        return ("sudo apt-get update", "sudo apt-get --with-new-pkgs upgrade")

    def undo(self) -> tuple[str, ...]:
        return ("sudo apt-get install NAME=OLD   # while the mirror has it",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """A line for each."""
        if not isinstance(observed, Updates):
            return ()
        left = observed.unfinished
        anew = (f"  to be started anew: {left}",) if left else ()
        return (*(f"  {line}" for line in observed.pending), *anew)

    def _dump(self, board: Board, pending: Sequence[str]) -> None:
        """The accounting database as it was; named by the versions, so that a run that follows
        upon one that was cut off does not put a younger one in its place."""
        if not self.database or not pending:
            return
        if not board.path(f"/var/lib/mysql/{self.database}").is_dir():
            return
        step = re.sub(r"[^0-9a-zA-Z.+~-]+", "_", pending[0])
        dump = board.path(f"{DUMPS}/{self.database}-{step}.sql")
        dump.parent.mkdir(mode=0o700, exist_ok=True)
        if dump.exists():
            return
        new = dump.with_name(f".{dump.name}.new")
        command = f'umask 077; mariadb-dump --single-transaction {self.database} > "$1"'
        board.run(["sh", "-c", command, "dump", str(new)])
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(dump)
        sync_directory(dump.parent)

    def _note_restarts(self, board: Board) -> None:
        running = [
            unit for unit in DAEMONS if board.ask(["systemctl", "is-active", "-q", unit])[0] == 0
        ]
        units = dict.fromkeys((*board.lines(RESTART), *running))
        board.path(RESTART).write_text("".join(f"{unit}\n" for unit in units))


def waiting(board: Board, timeout: float) -> tuple[int, int] | None:
    """How many packages have newer versions by the lists that the board has, and how many of
    those are for security; None when apt does not say."""
    code, said, _ = board.ask(SIMULATED, timeout=timeout)
    return (len(_INST.findall(said)), len(_SECURITY.findall(said))) if code == 0 else None


def _restart(board: Board) -> None:
    """Start the noted daemons anew, each when the one before it answers."""
    noted = board.lines(RESTART)
    for unit in DAEMONS:
        if unit in noted:
            board.run(["systemctl", "restart", unit])
            _wait(board, unit)
    board.path(RESTART).unlink(missing_ok=True)


def _wait(board: Board, unit: str) -> None:
    questions = {
        "slurmdbd": ("sacctmgr", "-n", "show", "cluster", "format=cluster"),
        "slurmctld": ("scontrol", "ping"),
        "slurmd": ("systemctl", "is-active", "-q", "slurmd"),
    }
    deadline = time.monotonic() + DAEMON_PATIENCE
    while board.ask(questions[unit], timeout=30)[0] != 0 and time.monotonic() < deadline:
        time.sleep(1)
