"""What a cluster is once everything about it is known: frozen, complete, nothing left to guess."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network


class Role(str, Enum):
    """What a node is for. A node may have several roles."""

    HEAD = "head"
    COMPUTE = "compute"
    STORAGE = "storage"
    LOGIN = "login"


@dataclass(frozen=True)
class Hardware:
    """A board as it was measured (``node/facts.py``), not as somebody remembers it."""

    arch: str  # `dpkg --print-architecture`: amd64, arm64, armhf
    cores: int  # physical cores
    threads_per_core: int
    memory_mb: int  # MemTotal of /proc/meminfo, in MiB
    swap_mb: int
    os_id: str  # ID of /etc/os-release: debian, raspbian, ubuntu
    os_version: str  # VERSION_ID, "12"
    os_codename: str  # VERSION_CODENAME, "bookworm"
    kernel: str  # uname -r
    python: str  # "3.11.2"
    model: str  # device-tree model or DMI product, "" when the board does not say
    cgroup_controllers: tuple[str, ...]  # /sys/fs/cgroup/cgroup.controllers
    cmdline_file: str  # boot command line that we may edit, "" when there is none
    machine_id: str
    host_keys: tuple[str, ...]  # "ssh-ed25519 AAAA...", without comment

    @property
    def cpus(self) -> int:
        """Logical CPUs."""
        return self.cores * self.threads_per_core


@dataclass(frozen=True)
class Node:
    """One board of the cluster."""

    name: str
    address: IPv4Address
    roles: frozenset[Role]
    hardware: Hardware | None  # None: never reached so far
    cpus: int | None = None  # declared in the file, overrides what was measured
    memory_mb: int | None = None  # declared in the file: memory for jobs
    mac: str | None = None  # Ethernet address, dc:a6:32:01:02:03; None: not known

    def has(self, role: Role) -> bool:
        """Whether this node has ``role``."""
        return role in self.roles


@dataclass(frozen=True)
class Share:
    """A directory that one node exports and all others mount at the same path (2-14, 2-22)."""

    path: str
    server: str


@dataclass(frozen=True)
class Partition:
    """A Slurm partition (2-40). Times are in Slurm's notation, ``nodes`` in the file's order."""

    name: str
    nodes: tuple[str, ...]
    default: bool = False
    default_time: str = "1-00:00:00"
    max_time: str = "30-00:00:00"


@dataclass(frozen=True)
class Slurm:
    """The scheduler's part of the file. ``extra`` are the user's own slurm.conf keys."""

    partitions: tuple[Partition, ...]
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Person:
    """Somebody who uses the cluster: the same uid on every node (2-08), an account in Slurm."""

    name: str
    uid: int
    account: str
    keys: tuple[str, ...] = ()  # public keys, whole lines
    limits: tuple[tuple[str, int], ...] = ()  # GrpTRES: cpu in CPUs, mem in MiB, ... (2-50)
    shell: str = "/bin/bash"


@dataclass(frozen=True)
class Cards:
    """What SD cards carry besides names, addresses and keys. "" leaves it as the image has it."""

    gateway: IPv4Address | None = None  # None: the router gives each board its address by DHCP
    dns: tuple[IPv4Address, ...] = ()
    locale: str = ""
    timezone: str = ""
    country: str = ""  # whose radio rules Wi-Fi obeys, "KR"


@dataclass(frozen=True)
class Secrets:
    """Made once, kept on the head with mode 0600, streamed over SSH, never shown."""

    munge_key: bytes = field(repr=False)


@dataclass(frozen=True)
class Cluster:
    """The whole cluster. ``nodes`` keep the order of the file."""

    name: str
    network: IPv4Network
    domain: str
    virtual: bool
    head: str
    nodes: tuple[Node, ...]
    storage: tuple[Share, ...]
    slurm: Slurm | None
    people: tuple[Person, ...]
    admin: str  # the local account that wulfling logs in with
    admin_keys: tuple[str, ...]
    login: str  # the account that answers on a board wulfling has never touched
    secrets: Secrets | None = None  # None: the head has not been reached
    cards: Cards = Cards()

    def node(self, name: str) -> Node:
        """The node called ``name``. Raises ``KeyError`` when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def having(self, role: Role) -> tuple[Node, ...]:
        """Every node with ``role``, in the file's order."""
        return tuple(node for node in self.nodes if node.has(role))

    def address(self, name: str) -> IPv4Address:
        """The address of the node called ``name``."""
        return self.node(name).address
