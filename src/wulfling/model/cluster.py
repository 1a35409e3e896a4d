"""What a cluster is once everything about it is known: frozen, complete, nothing left to guess."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

BACKUP_ACCOUNT = "wulfling-backup"  # on the board that keeps the backup
SOFTWARE_SHARE = "/nfs"  # what is shared there is software (2-22)
TUNNEL = "wulfling"  # the interface that devices from outside come by (wg(8))


class Role(str, Enum):
    """What a node is for. A node may have several roles."""

    HEAD = "head"
    COMPUTE = "compute"
    STORAGE = "storage"
    LOGIN = "login"


class Profile(str, Enum):
    """Who shares the cluster: a household or a class that trusts each other, or strangers."""

    HOME = "home"
    SHARED = "shared"


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

    @property
    def triplet(self) -> str:
        """The name of Debian's folder for the architecture's libraries, "" for others."""
        known = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
        return known.get(self.arch, "")


@dataclass(frozen=True)
class Gpu:
    """A GPU of a board: what jobs call it, and the device file that they open (2-65)."""

    type: str  # "a2000"
    device: str  # "/dev/nvidia0"


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
    gpus: tuple[Gpu, ...] = ()

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
class Repository:
    """A signed apt repository with Slurm for the boards of one release and architecture."""

    os_codename: str
    arch: str
    packages: tuple[tuple[str, str], ...]  # name and sha256 of each file
    index: str  # what apt reads as Packages
    release: str  # what apt reads as InRelease: the hash of the index, signed

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.os_codename}-{self.arch}"


@dataclass(frozen=True)
class SlurmBuild:
    """One version of Slurm on every board.

    Boards of the Debian release ``source`` have it from Debian; the others have a repository,
    once their packages are built.
    """

    version: str  # "24.11.5"
    source: str  # "trixie"
    key: str = ""  # public half of the key that signs the repositories, in ASCII armour
    repositories: tuple[Repository, ...] = ()

    def repository(self, hardware: Hardware | None) -> Repository | None:
        """The one for a board, ``None`` when Debian has what it needs."""
        for repository in self.repositories:
            kind = (repository.os_codename, repository.arch)
            if hardware and kind == (hardware.os_codename, hardware.arch):
                return repository
        return None


@dataclass(frozen=True)
class Slurm:
    """The scheduler's part of the file. ``extra`` are the user's own slurm.conf keys."""

    partitions: tuple[Partition, ...]
    extra: tuple[tuple[str, str], ...] = ()
    build: SlurmBuild | None = None  # None: what each distribution brings

    def packages(self, node: Node, *names: str) -> tuple[str, ...]:
        """What Debian's packages ``names`` ("slurmctld") are called on ``node``: Slurm's own
        packaging puts slurm-smd before its names, and calls the client so as well."""
        if self.build is None or self.build.repository(node.hardware) is None:
            return names
        return tuple(f"slurm-smd-{name.removeprefix('slurm-')}" for name in names)

    def versions(self, node: Node, *names: str) -> tuple[tuple[str, str], ...]:
        """How the versions of these packages have to begin, when one was asked for."""
        if self.build is None:
            return ()
        return tuple((name, f"{self.build.version}-") for name in self.packages(node, *names))

    @property
    def version_read(self) -> tuple[str, ...]:
        """The version that was asked for, as a part of what daemons read when they start: a
        running one has to be started again after its package was replaced."""
        return (self.build.version,) if self.build else ()


@dataclass(frozen=True)
class Person:
    """Somebody who uses the cluster: the same uid on every node (2-08), an account in Slurm."""

    name: str
    uid: int
    account: str
    keys: tuple[str, ...] = ()  # public keys, whole lines
    limits: tuple[tuple[str, int], ...] = ()  # GrpTRES: cpu in CPUs, mem in MiB, ... (2-50)
    quota_mb: int | None = None  # the most that the person's files may take, in MiB (2-60)
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
class Gateway:
    """What the head does for the other boards, which have no other way out or no other help."""

    packages: bool = False  # keeps Debian packages for all
    nat: bool = False  # leads the boards to the internet
    dhcp: bool = False  # gives them addresses and names
    uplink: str = ""  # the head's interface to the internet; "" when nobody said


@dataclass(frozen=True)
class Backup:
    """Where the backup goes: a folder of another board. Times of day are the board's own."""

    node: str
    path: str
    minutes: int = 15  # from one backup of the queue and the accounts to the next
    homes: str = "02:30"
    drill: str = "04:30"
    keep: tuple[tuple[str, int], ...] = ()  # hourly, daily, weekly, monthly
    restore: str = ""  # the moment that a blank head is brought back to; "": it is not

    def repository(self, cluster: str) -> str:
        """The folder with the repository of one cluster."""
        return f"{self.path}/{cluster}"


@dataclass(frozen=True)
class BackupSecrets:
    """What opens the backup: the password that it is encrypted with, and the SSH key pair that
    leads to it."""

    password: str = field(repr=False)
    key: str = field(repr=False)
    public: str  # a whole line


@dataclass(frozen=True)
class Firewall:
    """What the boards' firewalls let in besides what the roles need."""

    ssh: tuple[IPv4Network, ...] = ()  # who may log in, besides the boards; none: anybody
    open: tuple[tuple[str, int], ...] = ()  # ("tcp", 443): for anybody, on every board


@dataclass(frozen=True)
class Device:
    """A laptop or a phone that may come in from outside. Its private key is nowhere here."""

    name: str
    address: IPv4Address  # inside the tunnel
    key: str  # public, as wg(8) writes it


@dataclass(frozen=True)
class Wireguard:
    """The way in from outside, at the head."""

    endpoint: str  # where devices find the head: name or address, and perhaps another port
    port: int  # UDP, on the head
    network: IPv4Network  # of the tunnel; the head has its first address
    to_boards: bool  # whether devices reach the other boards, too
    devices: tuple[Device, ...] = ()

    @property
    def head(self) -> IPv4Address:
        """The head's address in the tunnel."""
        return self.network[1]


@dataclass(frozen=True)
class Tailscale:
    """The head's place in a network of Tailscale."""

    tag: str  # what the head is there, "tag:wulfling"
    version: str = ""  # how the package's version begins; "": the newest


@dataclass(frozen=True)
class Relay:
    """A machine with a public address, by which SSH leads to the head."""

    host: str
    ssh_port: int  # where its own sshd listens
    user: str
    port: int  # on its loopback; what comes there is at the head's sshd
    host_key: str  # "ssh-ed25519 AAAA...", pinned


@dataclass(frozen=True)
class Secrets:
    """Made once, kept on the head with mode 0600, streamed over SSH, never shown. Those of the
    backup are kept by the operator as well: they are needed when the head is gone."""

    munge_key: bytes = field(repr=False)
    backup: BackupSecrets | None = None


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
    gateway: Gateway = Gateway()
    mpich: str = ""  # the release that all boards get where theirs cannot share a job; "": theirs
    backup: Backup | None = None
    programs: tuple[str, ...] = ()  # Debian packages for whoever uses the cluster (2-61)
    firewall: Firewall | None = Firewall()  # None: the file says false
    wireguard: Wireguard | None = None  # None: nobody comes in from outside
    tailscale: Tailscale | None = None
    profile: Profile = Profile.HOME
    certificates: tuple[tuple[str, str], ...] = ()  # of host keys, by node; for people's ssh
    relay: Relay | None = None
    desktop: bool = False  # whether the head has one, for whoever comes by the tunnel or by SSH
    hardening: bool = True

    @property
    def software(self) -> str:
        """Where a board finds the programs that were installed for its architecture, the same
        path on all; "" when no share is for software."""
        shared = any(share.path == SOFTWARE_SHARE for share in self.storage)
        return "/usr/local/sw" if shared else ""

    def holds_home(self, node: Node, person: Person) -> bool:
        """Whether a person's home is on this node's own disk: on its server, or, where homes are
        not shared, on every node."""
        server = {share.path: share.server for share in self.storage}
        home = server.get(f"/home/{person.name}", node.name)
        return server.get("/home", home) == node.name

    def homes_on(self, node: Node) -> tuple[str, ...]:
        """The folders with people's homes that are on this node's own disk."""
        if not any(self.holds_home(node, person) for person in self.people):
            return ()
        served = (share.path for share in self.storage if share.server == node.name)
        own = tuple(path for path in served if f"{path}/".startswith("/home/"))
        return own or ("/home",)

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
