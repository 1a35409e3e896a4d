"""That the head has its queue and its accounts: from the beginning, or back from the backup."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.backup import BLANK, DATABASE, SLURM_STATE, read_settings
from wulfling.node.board import Board
from wulfling.node.resources.file import sync_directory, write_atomically

BEGUN = (f"{SLURM_STATE}/clustername", f"/var/lib/mysql/{DATABASE}")
DONE_ONCE = "/var/lib/wulfling/backup/begun"


@dataclass(frozen=True, kw_only=True)
class StateKnown(Resource):
    """That it is known whether this board has a queue and accounts of its own. A board without
    is marked before any package comes, and while it is, their daemons do not start."""

    kind: ClassVar[str] = "state_known"

    @property
    def name(self) -> str:
        return "slurm"

    def observe(self, board: Board) -> StateKnown | None:
        """``None`` when the board is blank and not marked so."""
        return self if is_marked(board) or has_state(board) else None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Mark it, durably."""
        write_atomically(board.path(BLANK), "", mode=0o600, uid=0, gid=0)

    def commands(self) -> tuple[str, ...]:
        return (f"sudo touch {BLANK}   # where neither is there: {' '.join(BEGUN)}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rm {BLANK}",)


@dataclass(frozen=True, kw_only=True)
class Restored(Resource):
    """That a blank head got back what its backup has of the moment ``at``, or, where it has
    nothing, begins anew. Without a moment nothing is brought back, and nothing begins."""

    kind: ClassVar[str] = "restored"

    at: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return "slurm"

    def observe(self, board: Board) -> Restored | None:
        """``None`` while the board has nothing to go on with."""
        return self if has_state(board) and not is_marked(board) else None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Restore it. Raises ``WulflingError`` when there is a backup and nobody asked for it."""
        from wulfling.node.backup.repository import Repository
        from wulfling.node.backup.restore import restore

        settings = read_settings(board)
        assert settings is not None  # declared before this
        if self.at:
            restore(board, settings, self.at, board.say)
        else:
            repository = Repository(settings)
            found = repository.snapshots() if repository.is_there() else ()
            if found:
                raise WulflingError(
                    "this head has no queue and no accounts, and"
                    f" {settings.host}:{settings.path} has its backup of {found[-1].time}",
                    hint="`wulfling restore head` brings it back; for a new cluster, give `backup:`"
                    " another folder",
                )
        write_atomically(board.path(DONE_ONCE), "", mode=0o600, uid=0, gid=0)
        board.path(BLANK).unlink(missing_ok=True)
        sync_directory(board.path(BLANK).parent)
        board.forget("/etc/passwd", "/etc/group", "units", "sacctmgr")

    def commands(self) -> tuple[str, ...]:
        return ("wulfling restore head   # where the head's disk was lost",)

    def undo(self) -> tuple[str, ...]:
        return ("wulfling restore head --at MOMENT   # on another blank board",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        if self.at:
            return (f"+ queue, accounts and homes of {self.at}",)
        return ("+ a new queue and new accounts, if the backup has none",)


def is_marked(board: Board) -> bool:
    """Whether the board was found blank and has not got anything yet."""
    return board.path(BLANK).exists()


def has_state(board: Board) -> bool:
    """Whether there is a queue or a database here, or was it allowed to begin one."""
    return any(board.path(path).exists() for path in (*BEGUN, DONE_ONCE))
