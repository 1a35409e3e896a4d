"""How much space a person may fill: held by the kernel of the board that has the homes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import Board

HOMES = "/home"
SERVICE = "wulfling-quota.service"
_DISK = f"$(findmnt -no TARGET --target {HOMES})"
REPORT = ("repquota", "--user", "--output=csv")  # and the disk


@dataclass(frozen=True, kw_only=True)
class Quota(Resource):
    """The most that a person's files may take on the file system of the homes, in MiB; 0 is no
    limit (setquota(8)). What the person writes through NFS counts the same."""

    kind: ClassVar[str] = "quota"

    user: str
    limit_mb: int

    @property
    def name(self) -> str:
        return self.user

    def observe(self, board: Board) -> Quota:
        """The limit as the kernel has it. Raises ``NotYet`` while nobody counts there, which to
        have no limit does as well."""
        try:
            limits = board.once("quotas", lambda: _limits(board))
        except NotYet:
            if self.limit_mb == 0:
                return self
            raise
        return Quota(user=self.user, limit_mb=limits.get(self.user, 0))

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Set it. Who has more already keeps it, and cannot write until some is deleted."""
        blocks = str(self.limit_mb << 10)
        board.run(["setquota", "--user", self.user, blocks, blocks, "0", "0", disk_of_homes(board)])
        board.forget("quotas")

    def commands(self) -> tuple[str, ...]:
        return (f"sudo setquota -u {self.user} {self.limit_mb}M {self.limit_mb}M 0 0 {_DISK}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo setquota -u {self.user} 0 0 0 0 {_DISK}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        was = observed.limit_mb if isinstance(observed, Quota) else 0
        return (f"  limit: {_shown(was)} -> {_shown(self.limit_mb)}",)


def _shown(limit_mb: int) -> str:
    return f"{limit_mb}M" if limit_mb else "none"


def _limits(board: Board) -> dict[str, int]:
    """The limits of everybody who owns anything there, in MiB; the kernel counts in KiB."""
    code, out, _ = board.ask((*REPORT, disk_of_homes(board)))
    if code != 0:
        raise NotYet(f"service:{SERVICE}")
    return {row["User"]: int(row["BlockHardLimit"]) >> 10 for row in parse_report(out)}


def disk_of_homes(board: Board) -> str:
    """Where the file system that holds the homes is mounted, which is the name that quota tools
    know it by."""
    places = [line.split()[1] for line in board.lines("/proc/self/mounts") if " " in line]
    around = [place for place in places if f"{HOMES}/".startswith(f"{place.rstrip('/')}/")]
    return max(around, key=len, default="/")


def parse_report(text: str) -> tuple[dict[str, str], ...]:
    """What ``repquota --output=csv`` printed, a row for each user, by the names of its header."""
    lines = [line.split(",") for line in text.splitlines()]
    begin = next((n for n, words in enumerate(lines) if words[0] == "User"), len(lines))
    whole = [words for words in lines[begin:] if len(words) == len(lines[begin])]
    return tuple(dict(zip(whole[0], words, strict=True)) for words in whole[1:])
