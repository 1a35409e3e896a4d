"""Slurm's accounts: the cluster, accounts, and who may use how much (sacctmgr(1))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import Board

TABLES = ("cluster", "account", "assoc")


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
        rows = _rows(board, "cluster", "cluster")
        return self if [self.cluster] in rows else None

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
        for account, description, organization in _rows(board, "account", "account,descr,org"):
            if account == self.account:
                return Account(account=account, description=description, organization=organization)
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
    """One person in one account, with limits in Slurm's TRES; memory in MiB (2-49, 2-50)."""

    kind: ClassVar[str] = "association"

    user: str
    account: str
    limits: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        _lower(self, "user", "account")
        object.__setattr__(self, "limits", tuple(sorted(self.limits)))

    @property
    def name(self) -> str:
        return self.user

    def observe(self, board: Board) -> Association | None:
        """The person's association with this account, when there is one."""
        here = _cluster_name(board)
        rows = _rows(board, "assoc", "cluster,user,account,grptres")
        for cluster, user, account, limits in rows:
            if (user, account) == (self.user, self.account) and cluster == (here or cluster):
                return Association(user=user, account=account, limits=parse_limits(limits))
        return None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Add the person, or set the limits; a limit that is gone from the file is lifted."""
        if observed is None:
            _change(board, "add", "user", self.user, f"account={self.account}")
            _change(board, "modify", "user", self.user, "set", f"defaultaccount={self.account}")
        lifted = {name: -1 for name, _ in getattr(observed, "limits", ())}
        limits = {**lifted, **dict(self.limits)}
        if limits:
            told = ",".join(f"{name}={value}" for name, value in limits.items())
            where = ("where", f"account={self.account}")
            _change(board, "modify", "user", self.user, *where, "set", f"GrpTRES={told}")

    def commands(self) -> tuple[str, ...]:
        add = f"sudo sacctmgr -i add user {self.user} account={self.account}"
        if not self.limits:
            return (add,)
        told = ",".join(f"{name}={value}" for name, value in self.limits)
        return (add, f"sudo sacctmgr -i modify user {self.user} set GrpTRES={told}")

    def undo(self) -> tuple[str, ...]:
        return (f"sudo sacctmgr -i delete user {self.user} account={self.account}",)


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


def _rows(board: Board, table: str, columns: str) -> list[list[str]]:
    """A table of sacctmgr, asked once. Raises ``NotYet`` while slurmdbd does not answer."""

    def ask() -> list[list[str]]:
        code, out, _ = board.ask(["sacctmgr", "-nP", "show", table, f"format={columns}"])
        if code != 0:
            raise NotYet("service:slurmdbd.service")
        return [line.split("|") for line in out.splitlines()]

    return board.once(f"sacctmgr {table}", ask)


def _change(board: Board, *words: str) -> None:
    board.run(["sacctmgr", "-i", *words])
    board.forget(*(f"sacctmgr {table}" for table in TABLES))
