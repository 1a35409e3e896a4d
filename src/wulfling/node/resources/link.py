"""Symbolic links."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import sync_directory, unfinished


@dataclass(frozen=True, kw_only=True)
class Link(Resource):
    """A symbolic link at ``path`` that says ``target``."""

    kind: ClassVar[str] = "link"

    path: str
    target: str

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Link | None:
        """The link at ``path``. Raises ``WulflingError`` when something else is there."""
        place = board.path(self.path)
        if place.is_symlink():
            return Link(path=self.path, target=os.readlink(place))
        if place.exists():
            raise WulflingError(f"{self.path} is there but is no link")
        return None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Put the link in place in one step."""
        place = board.path(self.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        new = unfinished(place)
        new.unlink(missing_ok=True)
        new.symlink_to(self.target)
        new.replace(place)
        sync_directory(place.parent)

    def commands(self) -> tuple[str, ...]:
        return (f"sudo ln -sfn {self.target} {self.path}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rm {self.path}",)
