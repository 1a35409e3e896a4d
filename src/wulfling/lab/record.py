"""What a lab is asked to be and what it is, as frozen values, and the file that keeps it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from time import monotonic, sleep

from wulfling.errors import Locked, WulflingError
from wulfling.lab.places import LabFiles, existing_labs, write_beside
from wulfling.model.releases import DEFAULT_RELEASE

LOCK_PATIENCE = 90.0  # seconds: boards that shut down on a busy machine take that long


@dataclass(frozen=True)
class BoardSpec:
    """One virtual board: its host name, its address in the lab, how much memory it has, and
    the release that it starts from."""

    name: str
    address: IPv4Address
    memory_mb: int
    release: str = DEFAULT_RELEASE


@dataclass(frozen=True)
class LabSpec:
    """A lab as asked for.

    ``admin`` is the account on every board that has sudo without a password and takes
    ``admin_keys`` (lines of an authorized_keys file).
    """

    name: str
    network: IPv4Network
    boards: tuple[BoardSpec, ...]
    admin: str
    admin_keys: tuple[str, ...]

    def board(self, name: str) -> BoardSpec:
        """The board called ``name``. Raises ``WulflingError`` when there is none."""
        for board in self.boards:
            if board.name == name:
                return board
        known = ", ".join(board.name for board in self.boards)
        raise WulflingError(f"lab {self.name} has no board {name}", hint=f"its boards: {known}")

    @property
    def bridge_address(self) -> IPv4Address:
        """The lab's own address: the last one of the network that a machine can have."""
        return self.network.broadcast_address - 1


@dataclass(frozen=True)
class BoardStatus:
    """One board as it is now. ``pid`` is 0 when it is off."""

    name: str
    address: IPv4Address
    memory_mb: int
    running: bool
    answering: bool
    pid: int
    disk_bytes: int


@dataclass(frozen=True)
class LabStatus:
    """One lab as it is now; ``holder`` is the pid of its relay, 0 when it has none."""

    name: str
    network: IPv4Network
    holder: int
    boards: tuple[BoardStatus, ...]


@dataclass(frozen=True)
class Record:
    """What is kept of a lab.

    ``token`` is a random word that makes its identities its own, ``apt_options`` is what its
    boards' apt is told besides the address of the cache.
    """

    spec: LabSpec
    token: str
    apt_options: tuple[str, ...]


def check(spec: LabSpec) -> None:
    """Raises ``WulflingError`` when the boards and the network do not fit together."""
    for kind, values in (
        ("name", [board.name for board in spec.boards]),
        ("address", [str(board.address) for board in spec.boards]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise WulflingError(f"two boards of lab {spec.name} have the {kind} {twice[0]}")
    if spec.network.prefixlen > 29:
        raise WulflingError(f"{spec.network} is too small for a lab", hint="use a /24 network")
    for board in spec.boards:
        if board.address not in spec.network:
            raise WulflingError(
                f"address {board.address} is not in {spec.network}", where=board.name
            )
        if board.address in (spec.network.network_address, spec.network.broadcast_address):
            raise WulflingError(f"no machine can have address {board.address}", where=board.name)
        if board.address == spec.bridge_address:
            raise WulflingError(
                f"address {board.address} belongs to the lab itself",
                hint="give the board another address",
                where=board.name,
            )


def load(files: LabFiles) -> Record:
    """The lab's record. Raises ``WulflingError`` when there is no such lab."""
    record = find(files)
    if record is None:
        known = ", ".join(lab.name for lab in existing_labs() if lab.record.is_file())
        raise WulflingError(
            f"there is no lab {files.name}",
            hint=f"labs: {known}" if known else "wulfling lab up",
        )
    return record


def find(files: LabFiles) -> Record | None:
    """The lab's record, or nothing when it has none that can be read."""
    try:
        return _parse(files.record.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise WulflingError(
            f"{files.record} cannot be read: {error}",
            hint="wulfling lab destroy, then wulfling lab up",
        ) from None


def keep(files: LabFiles, spec: LabSpec, apt_options: tuple[str, ...]) -> Record:
    """Write down what is asked for; the random word of an earlier record stays."""
    earlier = find(files)
    record = Record(spec, earlier.token if earlier else secrets.token_hex(16), apt_options)
    write_beside(files.record, _render(record).encode())
    return record


def _render(record: Record) -> str:
    spec = record.spec
    return json.dumps(
        {
            "version": 1,
            "token": record.token,
            "apt_options": list(record.apt_options),
            "name": spec.name,
            "network": str(spec.network),
            "admin": spec.admin,
            "admin_keys": list(spec.admin_keys),
            "boards": [
                {
                    "name": b.name,
                    "address": str(b.address),
                    "memory_mb": b.memory_mb,
                    "release": b.release,
                }
                for b in spec.boards
            ],
        },
        indent=1,
    )


def _parse(text: str) -> Record:
    data = json.loads(text)
    boards = tuple(
        BoardSpec(
            str(b["name"]),
            IPv4Address(b["address"]),
            int(b["memory_mb"]),
            str(b.get("release", DEFAULT_RELEASE)),
        )
        for b in data["boards"]
    )
    spec = LabSpec(
        name=str(data["name"]),
        network=IPv4Network(data["network"]),
        boards=boards,
        admin=str(data["admin"]),
        admin_keys=tuple(str(key) for key in data["admin_keys"]),
    )
    return Record(
        spec, str(data["token"]), tuple(str(word) for word in data.get("apt_options", ()))
    )


@contextmanager
def held(path: Path, what: str, *, patience: float = LOCK_PATIENCE) -> Iterator[None]:
    """Hold a lock file while the block runs; the file is gone afterwards.

    The system drops the lock of a process that dies, so a crash never blocks the next one.
    Raises ``Locked`` when somebody else still has it after ``patience`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = monotonic() + patience
    while True:
        with path.open("a") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                if monotonic() > deadline:
                    raise Locked(f"{what} is being changed by another command") from None
                sleep(0.05)
                continue
            if not _is_current(file.fileno(), path):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether the open file still has the name; its last holder took the name away."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
