"""What a cluster is made of, one component a file; the order of ``COMPONENTS`` is the only order.

A component is a pure function from the whole cluster and one of its nodes to the resources
that this node needs. It reads no board and knows no other component: what two of them share
is a field of ``Cluster``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from wulfling.components import (
    access,
    accounting,
    audit,
    backup,
    desktop,
    dhcp,
    firewall,
    hardening,
    mpi,
    munge,
    package_cache,
    patches,
    quota,
    relay,
    remote,
    repository,
    router,
    slurm,
    software,
    sshd,
    storage,
    system,
    tailscale,
    upkeep,
    zones,
)
from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.block import Block
from wulfling.node.resources.hostname import Hostname
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.quota import SERVICE as QUOTA_SERVICE
from wulfling.node.resources.service import Service
from wulfling.node.self_check import PROGRAM as HEALTH_CHECK

Resources = Callable[[Cluster, Node], Iterable[Resource]]


@dataclass(frozen=True)
class Component:
    """``before`` gives what must be there when the packages are installed, for example a
    database's memory limits; ``resources`` gives the rest, packages included."""

    name: str
    resources: Resources
    before: Resources = lambda cluster, node: ()


COMPONENTS = (
    # Right after the packages: a board with a known hole gets nothing else before it is mended.
    Component("patches", patches.resources),
    Component("system", system.resources),
    Component("access", access.resources),
    Component("sshd", sshd.resources),
    Component("router", router.resources),
    Component("dhcp", dhcp.resources),
    Component("remote", remote.resources),
    Component("relay", relay.resources),
    Component("tailscale", tailscale.resources, tailscale.before),
    Component("package_cache", package_cache.resources),
    Component("storage", storage.resources),
    Component("software", software.resources),
    Component("mpi", mpi.resources),
    Component("munge", munge.resources),
    Component("repository", repository.resources, repository.before),
    # Before the daemons whose state a blank head is to get back.
    Component("backup", backup.resources, backup.before),
    Component("accounting", accounting.resources, accounting.before),
    Component("slurm", slurm.resources, slurm.before),
    Component("zones", zones.resources),
    Component("backup timers", backup.timers),
    Component("desktop", desktop.resources),
    Component("upkeep", upkeep.resources),
    Component("hardening", hardening.resources),
    Component("audit", audit.resources, audit.before),
    # After all that listens: a firewall that nobody gets through ends the apply of its board.
    Component("firewall", firewall.resources),
    # The last, because not every disk can do it, and nothing else is to wait for that.
    Component("quota", quota.resources),
)

PEOPLE = (
    *("group:", "user:", "file:/etc/ssh/authorized_keys.d/", "directory:/home/"),
    *("accounting:", "account:", "association:", "quota:", f"service:{QUOTA_SERVICE}"),
    f"file:{HEALTH_CHECK}",  # it names everybody whose number it looks at
)
"""How the keys begin of what people are made of: the scope of an apply that is about them."""

DEVICES = (f"file:{remote.PEERS_FILE}", f"service:{remote.UNIT}")
"""The same of the devices that may come in from outside."""


def compile_cluster(cluster: Cluster) -> Mapping[str, tuple[Resource, ...]]:
    """What every node that has been measured should be, in the order to bring it about.

    All packages of a node become one transaction, because a board's SD card pays for each
    ``apt-get`` anew. A node that was never reached is left out.
    """
    return {
        node.name: tuple(_ordered(cluster, node))
        for node in cluster.nodes
        if node.hardware is not None
    }


def farewell(cluster: Cluster, node: Node) -> tuple[Resource, ...]:
    """What a board keeps that leaves the cluster: its name, a clock, and the accounts and keys
    that open it. Its packages stay as well; the cluster's secrets, files and daemons go."""
    trust = {f"file:{path}" for path in access.TRUST}
    way_in = [
        resource
        for resource in (*access.resources(cluster, node), *sshd.resources(cluster, node))
        if resource.key not in trust and not isinstance(resource, Packages)
    ]
    clock = Service(
        unit="chrony.service", configured=digest(""), why="asks the internet, as Debian has it"
    )
    name = Hostname(value=node.name, why="it stays what it was called")
    line = f"{node.address} {node.name} {node.name}.{cluster.domain}\n"
    hosts = Block(path="/etc/hosts", text=line, why="sudo and others look their own board up")
    return (name, hosts, clock, *way_in)


def _ordered(cluster: Cluster, node: Node) -> Iterator[Resource]:
    for component in COMPONENTS:
        yield from component.before(cluster, node)
    rest: list[Resource] = []
    names: set[str] = set()
    versions: set[tuple[str, str]] = set()
    awaits: dict[str, None] = {}
    reasons: list[str] = []
    for component in COMPONENTS:
        for resource in component.resources(cluster, node):
            if isinstance(resource, Packages):
                names.update(resource.names)
                versions.update(resource.versions)
                awaits.update(dict.fromkeys(resource.awaits))
                reasons.append(f"{component.name}: {resource.why}")
            else:
                rest.append(resource)
    if names:
        yield Packages(
            names=tuple(sorted(names)),
            versions=tuple(sorted(versions)),
            awaits=tuple(awaits),
            why="; ".join(reasons),
        )
    yield from rest
