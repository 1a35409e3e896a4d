"""What the nodes, addresses, shares and partitions of a cluster file have to do with each other.

Each rule is a function from a draft to problems. It says nothing about what ``schema`` has
already refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from wulfling.model.cluster import Role
from wulfling.spec import notation
from wulfling.spec.draft import Draft
from wulfling.spec.gpus import gpus
from wulfling.spec.members import Member, network_of
from wulfling.spec.nodeset import MOST_NODES, fold
from wulfling.spec.problem import Problem, did_you_mean, show
from wulfling.spec.resolution import (
    default_partition,
    partition_nodes,
    partitions,
)

_ANOTHER = "give the board another address"
SMALLEST_BOARD = 128  # MiB; Debian boots in that and has nothing left (measured)


def nodes(draft: Draft) -> Iterator[Problem]:
    """There are nodes, not too many, and each name is there once."""
    if not draft.names and draft.names_known:
        yield draft.problem(
            ("nodes",), "there is no node", "add one: `rpnode01: {address: 10.0.0.1}`", key=True
        )
    if len(draft.nodes) > MOST_NODES:
        message = f"there are {len(draft.nodes)} nodes, and {MOST_NODES} are the most"
        yield draft.problem(("nodes",), message, "make two clusters of them", key=True)
    first: dict[str, str] = {}
    for node in draft.nodes:
        if node.name in first:
            line = draft.document.place(("nodes", first[node.name]), key=True).line
            yield draft.problem(
                ("nodes", node.key),
                f"there are two nodes called {node.name}, the first in line {line}",
                "rename one, or take it out of the folded name",
                key=True,
            )
        first.setdefault(node.name, node.key)


def heads(draft: Draft) -> Iterator[Problem]:
    """Exactly one node has the role head."""
    found = draft.having(Role.HEAD)
    if not found and draft.nodes and draft.all_roles_known:
        yield draft.problem(
            ("nodes",),
            "no node has the role head",
            f"give one of them, for example {draft.nodes[0].name}: `roles: [head, compute]`",
            key=True,
        )
    for node in found[1:]:
        yield draft.problem(
            ("nodes", node.key, "roles"),
            f"{node.name} is a second head; {found[0].name} is the first",
            "a cluster has one head: delete `head` here",
        )


def roles(draft: Draft) -> Iterator[Problem]:
    """A node is there for something."""
    for key, node in draft.spec.nodes.items():
        if node.roles == () and draft.sound("nodes", key, "roles"):
            yield draft.problem(
                ("nodes", key, "roles"),
                f"{key} has no role",
                "give it one of head, compute, storage and login, or delete `roles:` for compute",
            )


def addresses(draft: Draft) -> Iterator[Problem]:
    """Addresses are in the network, free for a board, and each belongs to one."""
    network = network_of(draft.spec, tuple(n for n in draft.nodes if _address_known(draft, n)))
    if not draft.sound("network"):
        network = None
    owner: dict[IPv4Address, Member] = {}
    for node in draft.nodes:
        if not _address_known(draft, node):
            continue
        loc = ("nodes", node.key, "address")
        if node.address in owner:
            other = owner[node.address]
            yield draft.problem(
                loc,
                f"{node.name} has the address {node.address}, which {other.name} has in line"
                f" {draft.document.place(('nodes', other.key, 'address')).line}",
                "each board needs an address of its own",
            )
        owner.setdefault(node.address, node)
        if network is not None:
            yield from _in_network(draft, node, node.address, network)


def macs(draft: Draft) -> Iterator[Problem]:
    """An Ethernet address belongs to one board, and so not to a folded name."""
    owner: dict[str, Member] = {}
    for node in draft.nodes:
        loc = ("nodes", node.key, "mac")
        if node.mac is None or not draft.sound(*loc):
            continue
        other = owner.setdefault(node.mac, node)
        if other.key != node.key:
            line = draft.document.place(("nodes", other.key, "mac")).line
            yield draft.problem(
                loc,
                f"{node.name} has the mac {node.mac}, which {other.name} has in line {line}",
                "each board has one of its own: `wulfling discover` shows them",
            )
        elif other is not node:
            yield draft.problem(
                loc,
                f"{node.key} stands for several boards, and a mac belongs to one",
                "write a line for each of them, or delete `mac:`",
            )


def _address_known(draft: Draft, node: Member) -> bool:
    return draft.sound("nodes", node.key, "address")


def _in_network(
    draft: Draft, node: Member, address: IPv4Address, network: IPv4Network
) -> Iterator[Problem]:
    loc = ("nodes", node.key, "address")
    if address not in network:
        hint = "correct it, or say `network:`, the network that all addresses are in"
        yield draft.problem(loc, f"{node.name}: {address} is not in the network {network}", hint)
    elif address == network.network_address:
        message = f"{node.name}: {address} is the address of the network {network} itself"
        yield draft.problem(loc, message, _ANOTHER)
    elif address == network.broadcast_address:
        message = f"{node.name}: {address} is the broadcast address of {network}"
        yield draft.problem(loc, message, _ANOTHER)
    elif draft.spec.boards == "virtual" and address == network.broadcast_address - 1:
        yield draft.problem(
            loc,
            f"{node.name}: {address}, the last of {network}, is this machine's own in the network"
            " of virtual boards",
            _ANOTHER,
        )


def networks(draft: Draft) -> Iterator[Problem]:
    """A network of virtual boards has room for this machine, too."""
    network = draft.spec.network
    if network is not None and draft.spec.boards == "virtual" and network.prefixlen > 29:
        yield draft.problem(
            ("network",), f"{network} is too small for virtual boards", "write a /24, or a /29"
        )


def memory(draft: Draft) -> Iterator[Problem]:
    """A virtual board is large enough to boot."""
    if draft.spec.boards != "virtual" or not draft.sound("boards"):
        return
    for key, node in draft.spec.nodes.items():
        if node.memory is not None and node.memory < SMALLEST_BOARD:
            yield draft.problem(
                ("nodes", key, "memory"),
                f"a virtual board does not boot with {node.memory}M",
                f"give it {SMALLEST_BOARD}M or more; 192M is a good compute node",
            )


def storage(draft: Draft) -> Iterator[Problem]:
    """Shares have a server in this cluster, and none lies inside another."""
    declared = draft.spec.storage
    if declared is None:
        yield from _default_storage(draft)
        return
    for path, server in declared.items():
        if server not in draft.names and draft.names_known:
            yield _unknown_node(draft, ("storage", path), server)
    for one, other in combinations(declared, 2):
        outer, inner = sorted((one, other), key=len)
        if inner.startswith(f"{outer}/"):
            # The later of the two in the file, whichever is inside the other.
            yield draft.problem(
                ("storage", other),
                f"{inner} lies inside {outer}, and mounts do not nest here",
                f"delete {inner}: it is shared with {outer} anyway",
                key=True,
            )


def _default_storage(draft: Draft) -> Iterator[Problem]:
    servers = draft.having(Role.STORAGE)
    if len(servers) > 1 and draft.sound("storage"):
        names = fold(node.name for node in servers)
        yield draft.problem(
            ("nodes", servers[1].key, "roles"),
            f"{len(servers)} nodes have the role storage ({names}): which one serves what?",
            f"add `storage: {{/home: {servers[0].name}, /nfs: {servers[1].name}}}`",
        )


def _unknown_node(draft: Draft, loc: tuple[str, ...], name: str) -> Problem:
    known = tuple(known for known in draft.names if known == known.lower())
    hint = did_you_mean(name, known, "nodes") or "name a node of this file"
    return draft.problem(loc, f"there is no node {show(name)}", hint)


def slurm(draft: Draft) -> Iterator[Problem]:
    """There is something for Slurm to run on, and no key of slurm.conf is said twice."""
    if draft.spec.slurm is None:
        return
    if not draft.having(Role.COMPUTE) and draft.nodes and draft.all_roles_known:
        loc = ("slurm",) if "slurm" in draft.document.data else ("nodes",)
        yield draft.problem(
            loc,
            "Slurm has nothing to run jobs on: no node has the role compute",
            "give a node `roles: [compute]`, or say `slurm: false`",
            key=True,
        )
    seen: dict[str, str] = {}
    for key in draft.spec.slurm.extra:
        if key.lower() in seen:
            yield draft.problem(
                ("slurm", "extra", key),
                f"{key} is {seen[key.lower()]} again: Slurm reads both as one key",
                "keep one of them",
                key=True,
            )
        seen.setdefault(key.lower(), key)


def profile(draft: Draft) -> Iterator[Problem]:
    """Where jobs open compute boards, there are jobs, and the part of Slurm that does it."""
    if draft.spec.profile != "shared" or not draft.sound("profile"):
        return
    slurm = draft.spec.slurm
    if slurm is None:
        message = "with profile: shared a job opens a compute board, and there is no Slurm"
        yield draft.problem(("profile",), message, "delete `slurm: false`, or write `home`")
    elif slurm.build is not None and draft.sound("slurm"):
        message = "Slurm as wulfling builds it has no pam_slurm_adopt, which profile: shared needs"
        yield draft.problem(("profile",), message, "delete `build:` of slurm, or write `home`")
    for key in slurm.extra if slurm else ():
        if key.lower() == "prologflags":
            message = f"with profile: shared wulfling writes {key} itself (Contain)"
            yield draft.problem(("slurm", "extra", key), message, "delete it here", key=True)


def partition_names(draft: Draft) -> Iterator[Problem]:
    """Names of partitions differ by more than their case, and one of them is the default."""
    if draft.spec.slurm is None:
        return
    declared = draft.spec.slurm.partitions
    seen: dict[str, str] = {}
    defaults = [name for name, partition in declared.items() if partition.default]
    for name in declared:
        if name.lower() in seen:
            yield draft.problem(
                ("slurm", "partitions", name),
                f"the partitions {seen[name.lower()]} and {name} differ only in case",
                "rename one of them",
                key=True,
            )
        seen.setdefault(name.lower(), name)
    for name in defaults[1:]:
        yield draft.problem(
            ("slurm", "partitions", name, "default"),
            f"{name} is a second default partition; {defaults[0]} is the first",
            "delete one `default: true`",
        )


def partition_members(draft: Draft) -> Iterator[Problem]:
    """The nodes of a partition are compute nodes of this cluster, each in one partition."""
    declared = partitions(draft.spec)
    for name, partition in declared.items():
        loc = ("slurm", "partitions", name, "nodes")
        if partition.nodes is not None and draft.names_known:
            for unknown in partition.nodes:
                if unknown not in draft.names:
                    yield _unknown_node(draft, loc, unknown)
        for node in draft.nodes:
            listed = partition.nodes is not None and node.name in partition.nodes
            if listed and Role.COMPUTE not in node.roles and draft.roles_known(node):
                yield draft.problem(
                    loc,
                    f"{node.name} is in partition {name} and does not have the role compute",
                    f"add compute to the roles of {node.name}, or take it out here",
                )
    for one, other in combinations(declared, 2):
        yield from _overlap(draft, one, other)


def _overlap(draft: Draft, one: str, other: str) -> Iterator[Problem]:
    declared = partitions(draft.spec)
    places = [("slurm", "partitions", name) for name in (one, other)]
    if not all(draft.sound(*place, key) for place in places for key in ("nodes", "shared")):
        return
    if declared[one].shared or declared[other].shared:
        return
    first = partition_nodes(declared[one], draft.nodes)
    both = set(first) & set(partition_nodes(declared[other], draft.nodes))
    if both:
        listed = declared[other].nodes is not None
        yield draft.problem(
            (*places[1], "nodes") if listed else places[1],
            f"{fold(both)} would be in two partitions, {one} and {other}, and a job in one takes"
            " its CPUs from the other",
            f"if that is meant, add `shared: true` to {other}",
            key=not listed,
        )


def times(draft: Draft) -> Iterator[Problem]:
    """No partition's default time is longer than its longest."""
    for name, partition in partitions(draft.spec).items():
        loc = ("slurm", "partitions", name)
        if partition.default_time is None or not draft.sound(*loc, "max_time"):
            continue
        default = notation.duration(partition.default_time)
        longest = notation.duration(partition.max_time)
        if longest == notation.UNLIMITED or notation.UNLIMITED != default <= longest:
            continue
        yield draft.problem(
            (*loc, "default_time"),
            f"default_time {partition.default_time} is longer than max_time {partition.max_time}",
            "a job that asks for nothing could never run: make it shorter",
        )


def defaults(draft: Draft) -> Iterator[Problem]:
    """Somebody who names no partition gets one; not a refusal, because it can be meant."""
    declared = partitions(draft.spec)
    if declared and not default_partition(declared) and draft.sound("slurm"):
        yield draft.problem(
            ("slurm", "partitions"),
            "no partition is the default: every job has to name one",
            "say `default: true` in one of them",
            key=True,
            warning=True,
        )


def cards(draft: Draft) -> Iterator[Problem]:
    """The router is in the network of the boards, and is none of them."""
    gateway, loc = draft.spec.cards.gateway, ("cards", "gateway")
    if gateway is None:
        if draft.spec.cards.dns and draft.sound("cards"):
            yield draft.problem(
                ("cards", "dns"),
                "there are name servers and no gateway: by DHCP the router names its own",
                "add `gateway:`, or delete `dns:`",
            )
        return
    nodes = tuple(node for node in draft.nodes if _address_known(draft, node))
    network = network_of(draft.spec, nodes)
    if network is not None and draft.sound("network"):
        if gateway not in network:
            message = f"the gateway {gateway} is not in the network {network}"
            yield draft.problem(loc, message, "boards cannot reach it: correct it, or `network:`")
        elif gateway in (network.network_address, network.broadcast_address):
            message = f"{gateway} is the network {network} itself, or all of it, and no gateway"
            yield draft.problem(loc, message, "write the router's own address")
    for node in nodes:
        if node.address == gateway:
            message = f"{node.name} has the address {gateway}, and so has the gateway"
            yield draft.problem(loc, message, "write the router's own address")


RULES = (
    nodes,
    heads,
    roles,
    networks,
    addresses,
    macs,
    memory,
    storage,
    slurm,
    profile,
    partition_names,
    partition_members,
    times,
    defaults,
    cards,
    gpus,
)
