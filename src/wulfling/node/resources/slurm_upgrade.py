"""The way from the installed Slurm to another version: refused, or made safe, beforehand."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.model.slurm_releases import SLURM, release_of, step_on_the_way, understands
from wulfling.node.board import STATE, Board
from wulfling.node.resources.file import sync_directory
from wulfling.node.resources.packages import DPKG_STATUS, versions

DUMPS = f"{STATE}/dumps"
DAEMONS = ("slurmdbd", "slurmctld", "slurmd")


@dataclass(frozen=True, kw_only=True)
class SlurmUpgrade(Resource):
    """What has to be so before the packages of ``version`` ("24.11.5") may be installed: Slurm
    can take over from what is there, and ``database`` was dumped, where there is one."""

    kind: ClassVar[str] = "slurm_upgrade"

    version: str
    database: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return "slurm"

    def observe(self, board: Board) -> SlurmUpgrade:
        """This one when nothing is left to do, else the version that is installed.

        Raises ``WulflingError`` for a step back and for one that is too long (upgrades.html of
        Slurm): daemons would throw away the jobs and accounts that they cannot read.
        """
        there = _installed(board)
        if not there or there == self.version:
            return self
        self._refuse(there)
        dumped = not self._has_database(board) or board.path(self._dump(there)).exists()
        return self if dumped else SlurmUpgrade(version=there, database=self.database)

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Dump the database, while its daemon still runs. Raises ``CommandFailed``."""
        assert isinstance(observed, SlurmUpgrade)
        dump = board.path(self._dump(observed.version))
        dump.parent.mkdir(mode=0o700, exist_ok=True)
        new = dump.with_name(f".{dump.name}.new")
        board.run(["sh", "-c", f'umask 077; {self._command()} > "$1"', "dump", str(new)])
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(dump)
        sync_directory(dump.parent)

    def commands(self) -> tuple[str, ...]:
        if not self.database:
            return ()
        return (f"sudo {self._command()} > {self.database}.sql   # before an upgrade",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo mariadb {self.database} < {self.database}.sql",) if self.database else ()

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        if not isinstance(observed, SlurmUpgrade) or observed.version == self.version:
            return ()
        return (f"  dump {self.database}, before {observed.version} -> {self.version}",)

    def _refuse(self, there: str) -> None:
        old, new = release_of(there), release_of(self.version)
        if old not in SLURM:
            raise WulflingError(f"Slurm {there} is installed, and this wulfling does not know it")
        if _numbers(self.version) < _numbers(there):
            raise WulflingError(
                f"Slurm {there} is installed, and Slurm cannot go back to {self.version}: it would"
                " not read the jobs and accounts that the newer one has saved",
                hint=f"ask for {there} or a newer one in `slurm: {{build: ...}}`",
            )
        if not understands(new, old):
            raise WulflingError(
                f"Slurm {there} is installed, and {new} cannot take over what {old} has saved:"
                " it is too many releases away",
                hint=f"go to {step_on_the_way(new, old)} first, or, when no job and no account is"
                " to be kept, `sudo apt-get purge slurmctld slurmdbd slurmd` on this board",
            )

    def _has_database(self, board: Board) -> bool:
        return bool(self.database) and board.path(f"/var/lib/mysql/{self.database}").is_dir()

    def _dump(self, there: str) -> str:
        return f"{DUMPS}/{self.database}-{there}-to-{self.version}.sql"

    def _command(self) -> str:
        return f"mariadb-dump --single-transaction {self.database}"


def _installed(board: Board) -> str:
    """The upstream version of Slurm's daemons, however their packages are called."""
    there = board.once(f"versions {DPKG_STATUS}", lambda: versions(board))
    for daemon in DAEMONS:
        for name in (f"slurm-smd-{daemon}", daemon):
            if name in there:
                return there[name].partition("-")[0]
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
