"""Which ports listen on which board, for whom and why: the one table behind the firewall's rules,
the reference page and the test that asks the boards what listens there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from wulfling.model.cluster import Cluster, Node, Role


class Who(str, Enum):
    """Whose packets a port takes."""

    LOGIN = "who may log in"  # anybody, or whom the file's `firewall: {ssh: ...}` names
    ANYBODY = "anybody"
    LINK = "whoever is on its network"  # boards that have no address yet, and names asked of all
    MEMBERS = "the cluster's boards"
    TUNNEL = "devices, by the tunnel"  # bound to the address there and to loopback, to no other
    ITSELF = "the board itself"  # bound to loopback: no rule needed, none given


@dataclass(frozen=True)
class Port:
    """A port, or a range such as ``1024-65535``, of ``program``. ``on`` says in words which boards
    have it, and ``has`` decides it."""

    protocol: str  # tcp or udp
    number: str
    program: str
    who: Who
    why: str
    on: str
    has: Callable[[Cluster, Node], bool]
    said: Callable[[Cluster], str] | None = None  # the number, where the file may say another
    shows: bool = False  # a page for browsers, or a screen: bound to loopback or the tunnel alone

    def covers(self, protocol: str, number: int) -> bool:
        """Whether this is the row of that port."""
        first, _, last = self.number.partition("-")
        return protocol == self.protocol and int(first) <= number <= int(last or first)


def _every(cluster: Cluster, node: Node) -> bool:
    return True


def _head(cluster: Cluster, node: Node) -> bool:
    return node.name == cluster.head


def _scheduler(cluster: Cluster, node: Node) -> bool:
    return cluster.slurm is not None and node.name == cluster.head


def _slurmd(cluster: Cluster, node: Node) -> bool:
    return cluster.slurm is not None and node.has(Role.COMPUTE)


def _file_server(cluster: Cluster, node: Node) -> bool:
    alone = len(cluster.nodes) == 1
    return not alone and any(share.server == node.name for share in cluster.storage)


def _programs(cluster: Cluster, node: Node) -> bool:
    """Without Slurm a machinefile may name any board."""
    return cluster.slurm is None or bool(node.roles & {Role.COMPUTE, Role.LOGIN})


def _starts_jobs(cluster: Cluster, node: Node) -> bool:
    return node.name == cluster.head and not _programs(cluster, node)


def _packages(cluster: Cluster, node: Node) -> bool:
    return cluster.gateway.packages and node.name == cluster.head


def _built(cluster: Cluster, node: Node) -> bool:
    build = cluster.slurm.build if cluster.slurm else None
    return build is not None and bool(build.repositories) and node.name == cluster.head


def _wireguard(cluster: Cluster, node: Node) -> bool:
    return cluster.wireguard is not None and node.name == cluster.head


def _wireguard_port(cluster: Cluster) -> str:
    assert cluster.wireguard
    return str(cluster.wireguard.port)


def _tailscale(cluster: Cluster, node: Node) -> bool:
    return cluster.tailscale is not None and node.name == cluster.head


def _desktop(cluster: Cluster, node: Node) -> bool:
    return cluster.desktop and node.name == cluster.head


def _desktop_by_tunnel(cluster: Cluster, node: Node) -> bool:
    return _desktop(cluster, node) and _wireguard(cluster, node)


def _dhcp(cluster: Cluster, node: Node) -> bool:
    return cluster.gateway.dhcp and node.name == cluster.head


TCP, UDP = "tcp", "udp"
EVERY, HEAD = "every board", "the head"
WITH_SLURM = f"{HEAD}, with Slurm"
WITH_DESKTOP = f"{HEAD}, with `desktop: true`"
WITH_DHCP = f"{HEAD}, with `gateway: {{dhcp: true}}`"

PORTS = (
    Port(TCP, "22", "sshd", Who.LOGIN, "the way in: keys and trusted boards only", EVERY, _every),
    Port(UDP, "123", "chronyd", Who.MEMBERS, "the boards ask the head for the time", HEAD, _head),
    Port(UDP, "323", "chronyd", Who.ITSELF, "chronyc asks how the clock is", EVERY, _every),
    Port(UDP, "5353", "avahi-daemon", Who.LINK, "`ssh pi1.local`, if the system came with it",
         EVERY, _every),
    Port(UDP, "68", "the DHCP client", Who.LINK, "an address, where the router gives it",
         EVERY, _every),
    Port(UDP, "546", "the DHCPv6 client", Who.LINK, "the same for IPv6", EVERY, _every),
    Port(TCP, "6817", "slurmctld", Who.MEMBERS, "jobs are handed in; slurmd reports", WITH_SLURM,
         _scheduler),
    Port(TCP, "6819", "slurmdbd", Who.MEMBERS, "sacct and sacctmgr on any board", WITH_SLURM,
         _scheduler),
    Port(TCP, "3306", "mariadbd", Who.ITSELF, "the database, for slurmdbd alone", WITH_SLURM,
         _scheduler),
    Port(TCP, "6818", "slurmd", Who.MEMBERS, "the controller starts jobs here",
         "compute nodes, with Slurm", _slurmd),
    Port(TCP, "2049", "nfsd", Who.MEMBERS, "NFSv4 needs this port and no other",
         "whoever serves a share", _file_server),
    Port(TCP, "3142", "apt-cacher-ng", Who.MEMBERS, "packages, fetched once for all",
         f"{HEAD}, with `gateway: {{packages: true}}`", _packages),
    Port(TCP, "8100", "wulfling-apt", Who.MEMBERS, "packages of a Slurm that was built",
         f"{HEAD}, with `slurm: {{build: ...}}`", _built),
    Port(TCP, "53", "dnsmasq", Who.MEMBERS, "the boards' names", WITH_DHCP, _dhcp),
    Port(UDP, "53", "dnsmasq", Who.MEMBERS, "the boards' names", WITH_DHCP, _dhcp),
    Port(UDP, "67", "dnsmasq", Who.LINK, "a board that asks has no address yet", WITH_DHCP, _dhcp),
    Port(UDP, "51820", "WireGuard", Who.ANYBODY, "devices of the file; it answers nobody else",
         f"{HEAD}, with `remote: {{wireguard: ...}}`; or the port that the file names", _wireguard,
         _wireguard_port),
    Port(UDP, "41641", "tailscaled", Who.ANYBODY, "a straight way to a device, where there is one",
         f"{HEAD}, with `remote: {{tailscale: ...}}`", _tailscale),
    Port(TCP, "3389", "xrdp", Who.ITSELF, "the desktop, by `ssh -L`", WITH_DESKTOP, _desktop,
         shows=True),
    Port(TCP, "3389", "xrdp", Who.TUNNEL, "the desktop (RDP)",
         f"{WITH_DESKTOP} and `remote: {{wireguard: ...}}`", _desktop_by_tunnel,
         shows=True),
    Port(TCP, "3350", "xrdp-sesman", Who.ITSELF, "xrdp asks it for a session", WITH_DESKTOP,
         _desktop),
    Port(TCP, "1024-65535", "people's programs", Who.MEMBERS,
         "ranks of MPI, srun and the like take any port that is free",
         "compute and login nodes; without Slurm every board", _programs),
    Port(UDP, "1024-65535", "people's programs", Who.MEMBERS, "the same",
         "compute and login nodes; without Slurm every board", _programs),
    Port(TCP, "32768-60999", "srun, salloc", Who.MEMBERS,
         "ranks call back the command that started them (ip_local_port_range)",
         f"{HEAD} that neither computes nor takes logins", _starts_jobs),
)  # fmt: skip
"""Whoever lets a daemon listen adds a row; nothing else opens a port."""


def ports(cluster: Cluster, node: Node) -> tuple[Port, ...]:
    """The rows that hold for one board."""
    rows = (port for port in PORTS if port.has(cluster, node))
    return tuple(replace(row, number=row.said(cluster)) if row.said else row for row in rows)
