"""The board's own name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import write_atomically


@dataclass(frozen=True, kw_only=True)
class Hostname(Resource):
    """The name in /etc/hostname and in the kernel (hostname(5)); "old / new" when they differ."""

    kind: ClassVar[str] = "hostname"

    value: str

    @property
    def name(self) -> str:
        return self.value

    def observe(self, board: Board) -> Hostname:
        """The name the board has now."""
        kept = " ".join(board.lines("/etc/hostname")).strip()
        running = " ".join(board.lines("/proc/sys/kernel/hostname")).strip() or os.uname().nodename
        return Hostname(value=kept if kept == running else f"{running} / {kept}")

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Set both, without a reboot."""
        write_atomically(board.path("/etc/hostname"), f"{self.value}\n", mode=0o644, uid=0, gid=0)
        board.run(["hostname", self.value])

    def commands(self) -> tuple[str, ...]:
        return (f"sudo hostnamectl set-hostname {self.value}",)

    def undo(self) -> tuple[str, ...]:
        return ("sudo hostnamectl set-hostname raspberrypi   # or whatever it was",)
