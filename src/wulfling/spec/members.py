"""The nodes of a cluster file one by one: folded names unfolded, defaults of roles filled in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from wulfling.model.cluster import Gpu, Role
from wulfling.model.releases import DEFAULT_RELEASE
from wulfling.spec.gpus import gpus_of
from wulfling.spec.nodeset import expand
from wulfling.spec.schema import Spec

# What a virtual board gets, in MiB (reference: virtual boards were measured with these). A
# board with several roles gets the largest.
BOARD_MEMORY = {Role.HEAD: 512, Role.COMPUTE: 256, Role.LOGIN: 256, Role.STORAGE: 192}

_ALONE = frozenset((Role.HEAD, Role.COMPUTE))
_COMPUTE = frozenset((Role.COMPUTE,))


@dataclass(frozen=True)
class Member:
    """One node as the file declares it. ``key`` is the name in the file, perhaps folded."""

    name: str
    key: str
    address: IPv4Address
    roles: frozenset[Role]
    cpus: int | None
    memory_mb: int | None
    release: str = DEFAULT_RELEASE  # of a virtual board
    mac: str | None = None
    gpus: tuple[Gpu, ...] = ()

    @property
    def board_memory_mb(self) -> int:
        """RAM of the virtual board: as declared, or by role."""
        if self.memory_mb is not None:
            return self.memory_mb
        return max((BOARD_MEMORY[role] for role in self.roles), default=0)


def members(spec: Spec) -> tuple[Member, ...]:
    """Every node in the order of the file; folded names count up from their address.

    A node that does not say its roles is a compute node. The first of the file, if it does
    not say either and nobody says head, is head and compute: names and addresses are enough.
    """
    return tuple(_members(spec, _has_head(spec)))


def network_of(spec: Spec, nodes: tuple[Member, ...]) -> IPv4Network | None:
    """The declared network, or the /24 of the first address; None when there is neither."""
    if spec.network is not None or not nodes:
        return spec.network
    return IPv4Network((nodes[0].address, 24), strict=False)


def _has_head(spec: Spec) -> bool:
    return any(Role.HEAD in (node.roles or ()) for node in spec.nodes.values())


def _members(spec: Spec, has_head: bool) -> Iterator[Member]:
    first = not has_head
    for key, node in spec.nodes.items():
        for number, name in enumerate(expand(key)):
            roles = _COMPUTE if node.roles is None else frozenset(node.roles)
            if first and node.roles is None:
                roles = _ALONE
            first = False
            yield Member(
                name=name,
                key=key,
                # Never beyond the last: NodeSpec takes no address from 224.0.0.0 on.
                address=node.address + number,
                roles=roles,
                cpus=node.cpus,
                memory_mb=node.memory,
                release=node.release or DEFAULT_RELEASE,
                mac=node.mac,
                gpus=gpus_of(node.gpus),
            )
