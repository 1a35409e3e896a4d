"""Who may log in where: the four zones of NIST SP 800-223, read off the boards' roles."""

from __future__ import annotations

from enum import Enum

from wulfling.model.cluster import BACKUP_ACCOUNT, Cluster, Node, Profile, Role

FEW = 3
"""Boards; a cluster with fewer has none to spare that only takes logins."""


class Zone(str, Enum):
    """What a board is for, in the words of the standard."""

    ACCESS = "access"
    MANAGEMENT = "management"
    COMPUTE = "compute"
    STORAGE = "storage"


class Logins(str, Enum):
    """Who of the cluster's people may log in to a board by SSH."""

    EVERYBODY = "everybody"
    JOB = "whoever has a job there"
    NOBODY = "administrators"


_ZONES = {
    Role.LOGIN: Zone.ACCESS,
    Role.HEAD: Zone.MANAGEMENT,
    Role.COMPUTE: Zone.COMPUTE,
    Role.STORAGE: Zone.STORAGE,
}


def zones(cluster: Cluster, node: Node) -> tuple[Zone, ...]:
    """Those that a board is in, as its roles say and as people have to use it."""
    own = {zone for role, zone in _ZONES.items() if node.has(role)}
    if takes_logins(cluster, node):
        own.add(Zone.ACCESS)
    return tuple(zone for zone in Zone if zone in own)


def takes_logins(cluster: Cluster, node: Node) -> bool:
    """Whether people work on this board: on one with the role login, and on the head where no
    other board has it or where boards are few."""
    if node.has(Role.LOGIN):
        return True
    spare = len(cluster.nodes) >= FEW and bool(cluster.having(Role.LOGIN))
    return node.name == cluster.head and not spare


def logins(cluster: Cluster, node: Node) -> Logins:
    """Who of the people may log in to ``node``; the administrators always may."""
    if cluster.profile is Profile.HOME or takes_logins(cluster, node):
        return Logins.EVERYBODY
    return Logins.JOB if cluster.slurm and node.has(Role.COMPUTE) else Logins.NOBODY


def administrators(cluster: Cluster, node: Node) -> tuple[str, ...]:
    """The accounts that come in to any board: the cluster's, that of new boards, and on the board
    that keeps the backup the one that brings it."""
    keeps = cluster.backup is not None and cluster.backup.node == node.name
    names = ("root", cluster.admin, cluster.login, BACKUP_ACCOUNT if keeps else "")
    return tuple(dict.fromkeys(name for name in names if name))
