"""A file of any size that the controller brings, known by its hash, such as a package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import sync_directory, unfinished


@dataclass(frozen=True, kw_only=True)
class Blob(Resource):
    """The file at ``path`` whose content has this ``sha256``. Everybody may read it."""

    kind: ClassVar[str] = "blob"

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Blob | None:
        """The file as it is; ``None`` when there is none."""
        place = board.path(self.path)
        if not place.is_file() or place.is_symlink():
            return None
        import hashlib  # loads OpenSSL, and most boards have no such file

        with place.open("rb") as file:
            found = hashlib.sha256()
            while piece := file.read(1 << 20):
                found.update(piece)
        return Blob(path=self.path, sha256=found.hexdigest())

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Write beside, sync, rename. Raises ``WulflingError`` when something else came."""
        import hashlib

        data = board.blob(self.sha256)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise WulflingError(f"what came for {self.path} has not the sha256 it has to have")
        place = board.path(self.path)
        new = unfinished(place)
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(place)
        sync_directory(place.parent)

    def commands(self) -> tuple[str, ...]:
        return (f"sudo cp {self.path.rpartition('/')[2]} {self.path}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rm {self.path}",)
