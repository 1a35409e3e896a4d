"""Slurm's accounts: the cluster, accounts, and who may use how much (sacctmgr(1))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import Board

COLUMNS = "account,descr,org,cluster,user,grptres,maxsubmit"
SHOW = ("sacctmgr", "-nP", "show", "account", "withassoc", f"format={COLUMNS}")
PATIENCE = 60.0  # seconds


@dataclass(frozen=True, kw_only=True)
class AccountingCluster(Resource):
    """The cluster's name in the accounting database (2-48)."""

    kind: ClassVar[str] = "accounting"

    cluster: str

    def __post_init__(self) -> None:
        _lower(self, "cluster")

    @property
    def name(self) -> str:
        return self.cluster

    def observe(self, board: Board) -> AccountingCluster | None:
        """The cluster, when it is registered."""
        return self if any(row.cluster == self.cluster for row in _rows(board)) else None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Register it."""
        _change(board, "add", "cluster", self.cluster)

    def commands(self) -> tuple[str, ...]:
        return (f"sudo sacctmgr -i add cluster {self.cluster}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo sacctmgr delete cluster {self.cluster}   # its finished jobs are lost",)


@dataclass(frozen=True, kw_only=True)
class Account(Resource):
    """An account that people are charged to (2-48)."""

    kind: ClassVar[str] = "account"

    account: str
    description: str
    organization: str

    def __post_init__(self) -> None:
        _lower(self, "account", "description", "organization")

    @property
    def name(self) -> str:
        return self.account

    def observe(self, board: Board) -> Account | None:
        """The account, when there is one."""
        for row in _rows(board):
            if row.account == self.account and row.is_of(_cluster_name(board)):
                return Account(
                    account=row.account, description=row.description, organization=row.organization
                )
        return None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Add it, or correct its description."""
        facts = (f"description={self.description}", f"organization={self.organization}")
        if observed is None:
            _change(board, "add", "account", self.account, *facts)
        else:
            _change(board, "modify", "account", self.account, "set", *facts)

    def commands(self) -> tuple[str, ...]:
        return (
            f"sudo sacctmgr -i add account {self.account} description='{self.description}'"
            f" organization='{self.organization}'",
        )

    def undo(self) -> tuple[str, ...]:
        return (f"sudo sacctmgr -i delete account {self.account}",)


@dataclass(frozen=True, kw_only=True)
class Association(Resource):
    """One person in one account, with limits in Slurm's TRES; memory in MiB (2-49, 2-50).

    Not ``active``: Slurm takes no job of this person in this account, because there is no such
    association, or, while jobs go on in it, one that lets nothing more be submitted.
    """

    kind: ClassVar[str] = "association"

    user: str
    account: str
    limits: tuple[tuple[str, int], ...] = ()
    active: bool = True

    def __post_init__(self) -> None:
        _lower(self, "user", "account")
        object.__setattr__(self, "limits", tuple(sorted(self.limits)))

    @property
    def name(self) -> str:
        return f"{self.user}@{self.account}"

    def observe(self, board: Board) -> Association | None:
        """The person's association with this account, when there is one."""
        for row in self._rows(board):
            if row.account != self.account:
                continue
            limits = parse_limits(row.limits) if self.active else ()
            return Association(
                user=row.user, account=row.account, limits=limits, active=row.submits
            )
        return None if self.active else self

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Add the person, or set the limits; a limit that is gone from the file is lifted."""
        if not self.active:
            self._end(board)
            return
        lifted = {name: -1 for name, _ in getattr(observed, "limits", ())}
        limits = ",".join(f"{n}={value}" for n, value in {**lifted, **dict(self.limits)}.items())
        facts = [f"GrpTRES={limits}"] if limits else []
        if observed is None:
            moves = bool(self._rows(board))
            users = ",".join((self.user, *self._alike(board)))
            _change(board, "add", "user", users, f"account={self.account}", *facts)
            if moves:
                default = f"defaultaccount={self.account}"
                _change(board, "modify", "user", self.user, "set", default)
            return
        if not getattr(observed, "active", True):
            facts.append("MaxSubmitJobs=-1")
        _change(board, "modify", "user", self.user, *self._where, "set", *facts)

    def _alike(self, board: Board) -> Iterator[str]:
        """Who else is declared with the same and is not there yet: each call of sacctmgr takes a
        second or more on a small board, and a class has many people. Their own turn finds them."""
        there = {row.user for row in _rows(board)}
        for other in board.declared:
            if not isinstance(other, Association) or other.user in {self.user, *there}:
                continue
            if replace(other, user=self.user) == self:
                yield other.user

    def _end(self, board: Board) -> None:
        """Slurm lets go of nobody who has jobs, waiting or running, and those are not ours to
        cancel: then no further ones are taken. Its exit code does not tell (sacctmgr of 22.05)."""
        board.ask(["sacctmgr", "-i", "delete", "user", self.user, *self._where])
        board.forget("sacctmgr")
        if any(row.account == self.account for row in self._rows(board)):
            _change(board, "modify", "user", self.user, *self._where, "set", "MaxSubmitJobs=0")

    @property
    def _where(self) -> tuple[str, ...]:
        return ("where", f"account={self.account}")

    def _rows(self, board: Board) -> tuple[Row, ...]:
        """All accounts of this person on this cluster."""
        cluster = _cluster_name(board)
        return tuple(row for row in _rows(board) if row.user == self.user and row.is_of(cluster))

    def commands(self) -> tuple[str, ...]:
        if not self.active:
            return self.undo()
        told = ",".join(f"{name}={value}" for name, value in self.limits)
        limits = f" GrpTRES={told}" if told else ""
        return (f"sudo sacctmgr -i add user {self.user} account={self.account}{limits}",)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo sacctmgr -i delete user {self.user} account={self.account}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        return super().difference(observed) if self.active else (f"- {self.key}",)


def _lower(resource: Resource, *names: str) -> None:
    """sacctmgr(1) keeps all of these in small letters; capitals would differ for ever."""
    for name in names:
        object.__setattr__(resource, name, getattr(resource, name).lower())


def _cluster_name(board: Board) -> str:
    """The cluster of this board's slurm.conf: one database may know several."""
    for line in board.lines("/etc/slurm/slurm.conf"):
        name, _, value = line.partition("=")
        if name.strip().lower() == "clustername":
            return value.split("#")[0].strip().lower()
    return ""


def parse_limits(text: str) -> tuple[tuple[str, int], ...]:
    """``cpu=4,mem=1G`` as numbers; sacctmgr shows memory with a unit, by default MiB."""
    units = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024, "P": 1024**3}
    limits = []
    for item in filter(None, text.split(",")):
        name, value = item.split("=")
        factor = units.get(value[-1:], 1)
        limits.append((name, round(float(value.rstrip("KMGTP")) * factor)))
    return tuple(sorted(limits))


@dataclass(frozen=True)
class Row:
    """An account on a cluster, or with ``user``, somebody's part in it."""

    account: str
    description: str
    organization: str
    cluster: str
    user: str
    limits: str
    most: str  # jobs at a time, submitted or running; "" is no limit

    @property
    def submits(self) -> bool:
        """Whether jobs are taken at all."""
        return self.most != "0"

    def is_of(self, cluster: str) -> bool:
        """Whether it counts on this cluster; when that has no name yet, all do."""
        return not cluster or self.cluster == cluster


def parse_rows(text: str) -> tuple[Row, ...]:
    """What ``sacctmgr -nP show account withassoc`` printed; a description may hold a "|"."""
    rows = []
    for line in text.splitlines():
        account, _, rest = line.partition("|")
        parts = rest.rsplit("|", COLUMNS.count(",") - 1)
        if len(parts) == COLUMNS.count(","):
            rows.append(Row(account, *parts))
    return tuple(rows)


def expect_rows(board: Board) -> None:
    """Have slurmdbd asked now: its answer takes half a second, most of it waiting."""
    board.expect(SHOW)


def _rows(board: Board) -> tuple[Row, ...]:
    """All that slurmdbd knows, in one question, because each takes a tenth of a second and more.
    Raises ``NotYet`` while slurmdbd does not answer."""

    def ask() -> tuple[Row, ...]:
        code, out, _ = board.ask(SHOW, timeout=PATIENCE)
        if code != 0:
            raise NotYet("service:slurmdbd.service")
        return parse_rows(out)

    return board.once("sacctmgr", ask)


def _change(board: Board, *words: str) -> None:
    board.run(["sacctmgr", "-i", *words])
    board.forget("sacctmgr")
