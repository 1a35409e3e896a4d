"""A few lines of ours in a file that belongs to somebody else, between two marks."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import unified, write_atomically


@dataclass(frozen=True, kw_only=True)
class Block(Resource):
    """``text`` between ``# BEGIN wulfling`` and ``# END wulfling`` in the file at ``path``.

    ``without`` are regular expressions: no line outside the block may match one whole.
    An empty ``text`` declares that there is no block. An observed block that differs holds the
    whole file, with ``without`` saying so.
    """

    kind: ClassVar[str] = "block"

    path: str
    text: str
    without: tuple[str, ...] = ()
    label: str = "wulfling"

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Block | None:
        """The block as it is; equal to this one when the whole file is as it should be. Raises
        ``WulflingError`` when the marks do not come in pairs: what lies between them is then
        anybody's guess."""
        before = self._read(board)
        if before == self._edited(before):
            return self
        return Block(path=self.path, text=before, without=("the file as it is",), label=self.label)

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Write the file with the block in place and the unwanted lines gone."""
        place = board.path(self.path).resolve()  # a link stays a link: the file is not ours
        status = place.stat() if place.exists() else None
        write_atomically(
            place,
            self._edited(self._read(board)),
            mode=stat.S_IMODE(status.st_mode) if status else 0o644,
            uid=status.st_uid if status else 0,
            gid=status.st_gid if status else 0,
        )

    def commands(self) -> tuple[str, ...]:
        drop = tuple(f"sudo sed -i -E '/^{line}$/d' {self.path}" for line in self.without)
        return (*drop, f"sudo tee -a {self.path} > /dev/null <<'EOF'\n{self._marked()}EOF")

    def undo(self) -> tuple[str, ...]:
        return (f"sudo sed -i '/^# BEGIN {self.label}/,/^# END {self.label}/d' {self.path}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """A unified diff of the whole file."""
        assert isinstance(observed, Block)
        return tuple(unified(self.path, observed.text, self._edited(observed.text)))

    def _read(self, board: Board) -> str:
        text = board.text(self.path) or ""
        marks = re.findall(rf"^# (BEGIN|END) {re.escape(self.label)}$", text, re.MULTILINE)
        if marks != ["BEGIN", "END"] * (len(marks) // 2):
            raise WulflingError(
                f"{self.path} has {marks.count('BEGIN')} marks `# BEGIN {self.label}` and"
                f" {marks.count('END')} marks `# END {self.label}`, or in another order",
                hint=f"on the board: sudo nano {self.path}, and take out the lines with the marks",
            )
        return text

    def _marked(self) -> str:
        if not self.text:
            return ""
        return f"# BEGIN {self.label}\n{self.text}# END {self.label}\n"

    def _pattern(self) -> re.Pattern[str]:
        label = re.escape(self.label)
        return re.compile(
            rf"^# BEGIN {label}\n.*?^# END {label}(?:\n|\Z)", re.DOTALL | re.MULTILINE
        )

    def _edited(self, before: str) -> str:
        """The file as it should be: unwanted lines gone, the block in its old place or last."""
        if found := self._pattern().search(before):
            rest = self._pattern().sub("", before[found.end() :])
            return self._kept(before[: found.start()]) + self._marked() + self._kept(rest)
        kept = self._kept(before)
        apart = "\n" if kept and not kept.endswith("\n") and self.text else ""
        return kept + apart + self._marked()

    def _kept(self, text: str) -> str:
        unwanted = [re.compile(expression) for expression in self.without]
        return "".join(
            line
            for line in text.splitlines(keepends=True)
            if not any(pattern.fullmatch(line.rstrip("\r\n")) for pattern in unwanted)
        )
