"""Flags on the kernel's command line, for boards that need one to offer memory limits."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import write_atomically


@dataclass(frozen=True, kw_only=True)
class KernelFlags(Resource):
    """Flags in a one-line file such as /boot/firmware/cmdline.txt (2-10).

    They count from the next boot on, and ``note`` says so until then.
    """

    kind: ClassVar[str] = "kernel"

    file: str
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.file

    def observe(self, board: Board) -> KernelFlags:
        """Those of ``flags`` that are in the file."""
        words = " ".join(board.lines(self.file)).split()
        return KernelFlags(
            file=self.file, flags=tuple(flag for flag in self.flags if flag in words)
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Append what is missing; the file stays one line, or the board would not boot."""
        place = board.path(self.file)
        line = (board.text(self.file) or "").strip()
        lines = len(line.splitlines())
        if lines != 1:
            raise WulflingError(f"{self.file} is to be one line, and has {lines}")
        missing = [flag for flag in self.flags if flag not in line.split()]
        mode = stat.S_IMODE(place.stat().st_mode)
        write_atomically(place, " ".join([line, *missing]) + "\n", mode=mode, uid=0, gid=0)

    def note(self, board: Board) -> str:
        """What is left to do: the flags in the file are not those of the running kernel."""
        running = " ".join(board.lines("/proc/cmdline")).split()
        late = [flag for flag in self.flags if flag not in running]
        return f"{' '.join(late)} will count after a reboot" if late else ""

    def commands(self) -> tuple[str, ...]:
        return (f"sudo sed -i '1 s/$/ {' '.join(self.flags)}/' {self.file}", "sudo reboot")

    def undo(self) -> tuple[str, ...]:
        return tuple(f"sudo sed -i 's/ {flag}//' {self.file}" for flag in self.flags)
