"""No package of the cluster is older than the version that mends its known holes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.advisories import MUNGE
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.dpkg_version import is_older
from wulfling.node.exposed import munge_was_exposed
from wulfling.node.resources.packages import (
    DPKG_STATUS,
    fetch_lists,
    no_daemon_starts,
    upgrade,
    versions_of,
)


@dataclass(frozen=True, kw_only=True)
class Patched(Resource):
    """Those of ``packages`` that are installed are of version ``fixed`` or newer.

    ``older`` are those that are not, "NAME VERSION". With ``in_turn`` boards have to get the
    newer ones in an order, which is the business of `wulfling upgrade`: an apply refuses.
    """

    kind: ClassVar[str] = "patched"

    source: str
    packages: tuple[str, ...] = field(compare=False)
    fixed: str = field(compare=False)
    cves: tuple[str, ...] = field(compare=False)
    in_turn: bool = field(default=False, compare=False)
    older: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.source

    def observe(self, board: Board) -> Patched:
        """The same with what is older. Raises ``WulflingError`` when this is not for an apply."""
        now = versions_of(board, self.packages)
        older = tuple(
            f"{name} {now[name]}"
            for name in self.packages
            if name in now and is_older(now[name], self.fixed)
        )
        if older and self.in_turn:
            raise self._refused(board, older)
        return Patched(
            source=self.source,
            packages=self.packages,
            fixed=self.fixed,
            cves=self.cves,
            older=older,
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Install what the archive has. The daemons go on with the old one until their own turn.
        Raises ``WulflingError`` when the archive has nothing newer."""
        assert isinstance(observed, Patched)
        names = [one.split()[0] for one in observed.older]
        said = fetch_lists(board)
        try:
            with no_daemon_starts(board):
                upgrade(board, names)
        except CommandFailed as failed:
            if "held packages" in failed.output.lower():
                failed.hint = f"somebody holds them: sudo apt-mark unhold {' '.join(names)}"
            raise
        board.forget(DPKG_STATUS, f"versions {DPKG_STATUS}", "units")
        left = self.observe(board)
        if left.older:
            because = f"\nbefore that, `apt-get update` said:\n{said}" if said else ""
            raise self._nothing_newer(left.older, because)

    def note(self, board: Board) -> str:
        """What is left to do after munge was mended: whoever has read its key keeps it."""
        if self.source == MUNGE and board.applying and munge_was_exposed(board):
            return "its key was used by a munge with this hole; next: wulfling rotate munge"
        return ""

    def commands(self) -> tuple[str, ...]:
        if self.in_turn:
            return ("wulfling upgrade   # if a version below is older",)
        names = " ".join(self.packages)
        return ("sudo apt-get update", f"sudo apt-get install --only-upgrade {names}")

    def undo(self) -> tuple[str, ...]:
        return ("sudo apt-get install NAME=OLD   # with the hole, while the mirror has it",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """A line for each, with the holes."""
        older = observed.older if isinstance(observed, Patched) else ()
        holes = ", ".join(self.cves)
        lines = [f"  {one} -> {self.fixed} or newer ({holes})" for one in older]
        if older and self.source == MUNGE:
            lines.append("  then make a new key: wulfling rotate munge")
        return tuple(lines)

    def _refused(self, board: Board, older: tuple[str, ...]) -> WulflingError:
        name = older[0].split()[0]
        _, said, _ = board.ask(("apt-cache", "policy", name))
        words = [line.split()[1:] for line in said.splitlines() if "Candidate:" in line]
        candidate = words[0][0] if words and words[0] else "(none)"
        if candidate == "(none)" or is_older(candidate, self.fixed):
            return self._nothing_newer(older)
        return WulflingError(self._words(older), hint="wulfling upgrade   # one board at a time")

    def _nothing_newer(self, older: tuple[str, ...], because: str = "") -> WulflingError:
        return WulflingError(
            f"{self._words(older)}, and the board's lists of packages have nothing newer{because}",
            hint="`sudo apt-get update` on it; its sources need the security updates of its"
            " release (for Debian: deb http://deb.debian.org/debian-security CODENAME-security"
            " main)",
        )

    def _words(self, older: tuple[str, ...]) -> str:
        shown = f"{older[0]}" + (f" and {len(older) - 1} more" if older[1:] else "")
        return f"{shown} has {', '.join(self.cves)}, which {self.fixed} mends"
