"""Directories: that they exist, and whose they are."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board


@dataclass(frozen=True, kw_only=True)
class Directory(Resource):
    """A directory; what is in it is not our business."""

    kind: ClassVar[str] = "directory"

    path: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o755

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Directory | None:
        """The directory at ``path``. Raises ``WulflingError`` when a file is in its place."""
        try:
            status = board.path(self.path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise WulflingError(f"{self.path} is there but is no directory")
        return Directory(
            path=self.path,
            owner=board.user_name(status.st_uid),
            group=board.group_name(status.st_gid),
            mode=stat.S_IMODE(status.st_mode),
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Make it, or give it the declared owner and mode."""
        place = board.path(self.path)
        uid, gid = board.uid(self.owner), board.gid(self.group)
        if observed is None:
            place.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            os.chown(place, uid, gid)
        place.chmod(self.mode)

    def commands(self) -> tuple[str, ...]:
        # Five digits: with fewer, install(1) keeps the set-group-ID bit that Debian's /var/local
        # hands down (GNU coreutils, "Directories and the Set-User-ID and Set-Group-ID Bits").
        return (f"sudo install -d -m {self.mode:05o} -o {self.owner} -g {self.group} {self.path}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rmdir {self.path}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        lines = super().difference(observed)
        return tuple(line for line in lines if not line.startswith("  mode:")) + (
            (f"  mode: {observed.mode:04o} -> {self.mode:04o}",)
            if isinstance(observed, Directory) and observed.mode != self.mode
            else ()
        )
