"""Which of several programs of one name is meant by it, as Debian's alternatives decide."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import Board

ADMIN = "/var/lib/dpkg/alternatives"
LINKS = "/etc/alternatives"


@dataclass(frozen=True, kw_only=True)
class Alternative(Resource):
    """The choice called ``choice`` means ``path``, with all that comes along with it, whatever
    else is installed later: ``fixed`` says that no package may change it."""

    kind: ClassVar[str] = "alternative"

    choice: str
    path: str
    fixed: bool = True

    @property
    def name(self) -> str:
        return self.choice

    def observe(self, board: Board) -> Alternative:
        """What is meant now, from the files of update-alternatives(1). Raises ``NotYet`` when
        no package that is installed offers such a choice."""
        state = board.lines(f"{ADMIN}/{self.choice}")
        link = board.path(f"{LINKS}/{self.choice}")
        if not state or not link.is_symlink():
            raise NotYet("packages:apt")
        return Alternative(
            choice=self.choice, path=os.readlink(link), fixed=state[0].strip() == "manual"
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Choose it. Raises ``CommandFailed`` when it is not among the choices."""
        board.run(["update-alternatives", "--quiet", "--set", self.choice, self.path])

    def commands(self) -> tuple[str, ...]:
        return (f"sudo update-alternatives --set {self.choice} {self.path}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo update-alternatives --auto {self.choice}",)
