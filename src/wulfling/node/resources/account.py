"""Users and groups with fixed numbers, because NFS knows people by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board


@dataclass(frozen=True, kw_only=True)
class Group(Resource):
    """A group and its number (group(5))."""

    kind: ClassVar[str] = "group"

    group: str
    gid: int

    @property
    def name(self) -> str:
        return self.group

    def observe(self, board: Board) -> Group | None:
        """The group as it is. Raises ``WulflingError`` when another one has its number."""
        fields = board.accounts("/etc/group").get(self.group)
        if fields is None or int(fields[2]) != self.gid:
            _refuse_taken(board, "/etc/group", self.group, self.gid)
        return Group(group=self.group, gid=int(fields[2])) if fields else None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Add it, or give it its number."""
        verb = "groupadd" if observed is None else "groupmod"
        board.run([verb, "--gid", str(self.gid), self.group])
        board.forget("/etc/group")

    def commands(self) -> tuple[str, ...]:
        return (f"sudo groupadd --gid {self.gid} {self.group}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo groupdel {self.group}",)


@dataclass(frozen=True, kw_only=True)
class User(Resource):
    """An account and its number (passwd(5)), without a password. Homes are directories."""

    kind: ClassVar[str] = "user"

    user: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/bash"
    system: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        return self.user

    def observe(self, board: Board) -> User | None:
        """The account as it is. Raises ``WulflingError`` when another one has its number, or
        when it has another number itself."""
        fields = board.accounts("/etc/passwd").get(self.user)
        if fields is None or int(fields[2]) != self.uid:
            _refuse_taken(board, "/etc/passwd", self.user, self.uid)
        if fields is None:
            return None
        if int(fields[2]) != self.uid:
            raise WulflingError(
                f"{self.user} has the number {fields[2]} on this board, and the file says"
                f" {self.uid}; to change it would orphan all that {self.user} owns",
                hint=f"write `uid: {fields[2]}` for {self.user} into the cluster file",
            )
        return User(
            user=self.user,
            uid=int(fields[2]),
            gid=int(fields[3]),
            home=fields[5],
            shell=fields[6],
            system=self.system,
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Add it, or change what differs."""
        if isinstance(observed, User):
            board.run(["usermod", *self._options(observed), self.user])
        else:
            kind = ["--system"] if self.system else []
            home = ["--home-dir", self.home, "--no-create-home"]
            wanted = ["--uid", str(self.uid), "--gid", str(self.gid), "--shell", self.shell]
            board.run(["useradd", *kind, *wanted, *home, self.user])
        board.forget("/etc/passwd", "/etc/group")

    def _options(self, observed: User) -> Iterator[str]:
        """Only what differs: usermod(8) refuses to touch the number or the home of somebody
        who is logged in, even when it stays the same."""
        for name in ("gid", "home", "shell"):
            if getattr(self, name) != getattr(observed, name):
                yield from (f"--{name}", str(getattr(self, name)))

    def commands(self) -> tuple[str, ...]:
        kind = "--system " if self.system else ""
        return (
            f"sudo useradd {kind}--uid {self.uid} --gid {self.gid} --shell {self.shell}"
            f" --home-dir {self.home} --no-create-home {self.user}",
        )

    def undo(self) -> tuple[str, ...]:
        return (f"sudo userdel {self.user}",)


def _refuse_taken(board: Board, table: str, name: str, number: int) -> None:
    for other, fields in board.accounts(table).items():
        if other != name and int(fields[2]) == number:
            raise WulflingError(
                f"{table} gives number {number}, which {name} is to have, to {other}",
                hint=f"give {name} another uid in the cluster file",
            )
