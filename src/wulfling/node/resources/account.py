"""Users and groups with fixed numbers, because NFS knows people by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import STATE, Board
from wulfling.node.resources.file import write_atomically

OURS = f"{STATE}/accounts"  # a file for each person whose account we have made
NOBODY_GETS_IN = "/usr/sbin/nologin"
EXPIRY = 7  # the column of shadow(5) with the day from which on nobody gets in


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
        if observed is None:
            _add(board, (self, *_others(board, "/etc/group", self)))
        else:
            board.run(["groupmod", "--gid", str(self.gid), self.group])
        board.forget("/etc/group")

    @property
    def number(self) -> int:
        """By which NFS knows it."""
        return self.gid

    @property
    def entry(self) -> str:
        """A line of sysusers.d(5)."""
        return f"g {self.group} {self.gid}"

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
            if observed.shell == NOBODY_GETS_IN:  # somebody comes back; the shell goes last
                board.run(["usermod", "--expiredate", "", self.user])
            board.run(["usermod", *self._options(observed), self.user])
        else:
            _add(board, (self, *self._alike(board)))
        board.forget("/etc/passwd", "/etc/group")

    def _alike(self, board: Board) -> Iterator[Group | User]:
        """Others that are missing, when their groups are there."""
        gids = {int(fields[2]) for fields in board.accounts("/etc/group").values()}
        for other in _others(board, "/etc/passwd", self):
            if isinstance(other, User) and other.gid in gids:
                yield other

    @property
    def number(self) -> int:
        """By which NFS knows who it is."""
        return self.uid

    @property
    def entry(self) -> str:
        """A line of sysusers.d(5). It makes an account without a password, and no home."""
        return f'u {self.user} {self.uid}:{self.gid} "" {self.home} {self.shell}'

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


@dataclass(frozen=True, kw_only=True)
class Closed(Resource):
    """The account of a person who is declared no more. Nobody gets in, by a password or by a
    key; the account stays, so that what the person owns keeps its owner and a job that runs
    ends in peace."""

    kind: ClassVar[str] = "closed"

    user: str

    @property
    def name(self) -> str:
        return self.user

    def observe(self, board: Board) -> Closed | None:
        """Equal to this one when nobody gets in, or when there is no such account."""
        fields = board.accounts("/etc/passwd").get(self.user)
        if fields is None:
            return self
        expired = any(
            line.split(":")[EXPIRY:][:1] not in ([], [""])
            for line in board.lines("/etc/shadow")
            if line.startswith(f"{self.user}:")
        )
        return self if expired and fields[6] == NOBODY_GETS_IN else None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Expire it (shadow(5)): sshd asks PAM for that also when it takes a key."""
        board.run(["usermod", "--expiredate", "1", "--shell", NOBODY_GETS_IN, self.user])
        board.forget("/etc/passwd", "/etc/group")

    def commands(self) -> tuple[str, ...]:
        return (f"sudo usermod --expiredate 1 --shell {NOBODY_GETS_IN} {self.user}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo usermod --expiredate '' --shell /bin/bash {self.user}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        return (f"- {self.user} gets in no more; the account and the files stay",)


def is_ours(board: Board, user: str) -> bool:
    """Whether it was wulfling who made this person's account. One that was there before, such
    as the pi of Raspberry Pi OS, is not ours to close."""
    return board.path(f"{OURS}/{user}").exists()


def _others(board: Board, table: str, one: Group | User) -> Iterator[Group | User]:
    """What else of the same kind is declared and not there. Whoever wants a number that another
    one has is told so in the own turn."""
    there = board.accounts(table)
    numbers = {int(fields[2]) for fields in there.values()}
    for other in board.declared:
        if not isinstance(other, type(one)) or other.name in {one.name, *there}:
            continue
        if other.number not in numbers:
            yield other


def _add(board: Board, missing: Sequence[Group | User]) -> None:
    """All at once: useradd(8) takes half a second for each on a small board, and a class has many
    people. Their own turns find them."""
    for one in missing:
        if isinstance(one, User) and not one.system:
            _remember(board, one.user)
    board.run(["systemd-sysusers", "-"], stdin="".join(f"{one.entry}\n" for one in missing))


def _remember(board: Board, user: str) -> None:
    """Durably, and before the account is there: what we have made we can also take back."""
    place = board.path(f"{OURS}/{user}")
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomically(place, "", mode=0o644, uid=0, gid=0)


def _refuse_taken(board: Board, table: str, name: str, number: int) -> None:
    for other, fields in board.accounts(table).items():
        if other != name and int(fields[2]) == number:
            raise WulflingError(
                f"{table} gives number {number}, which {name} is to have, to {other}",
                hint=f"give {name} another uid in the cluster file",
            )
