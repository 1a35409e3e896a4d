"""Makes a Cluster of a valid file and of what was measured: a pure function, and the defaults.

What the file leaves open is decided here and in ``members``, once, so that no component has
to guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from wulfling.errors import WulflingError
from wulfling.model.cluster import (
    Backup,
    Cards,
    Cluster,
    Device,
    Firewall,
    Gateway,
    Hardware,
    Node,
    Partition,
    Person,
    Profile,
    Relay,
    Role,
    Secrets,
    Share,
    Slurm,
    SlurmBuild,
    Tailscale,
    Wireguard,
)
from wulfling.spec import mpi, notation, releases
from wulfling.spec.members import Member, members, network_of
from wulfling.spec.schema import (
    BackupSpec,
    CardsSpec,
    LimitSpec,
    PartitionSpec,
    PersonSpec,
    Spec,
)
from wulfling.spec.schema_network import GatewaySpec

DEFAULT_SHARES = ("/home", "/nfs")
DEFAULT_PARTITION = "batch"
DEFAULT_TIME = "1-00:00:00"

FIRST_UID, LAST_UID = 2000, 59_999


def resolve(
    spec: Spec,
    hardware: Mapping[str, Hardware],
    secrets: Secrets | None,
    admin_keys: tuple[str, ...],
) -> Cluster:
    """The whole cluster.

    ``hardware`` is what was measured, by name; a node without an entry was never reached.
    ``admin_keys`` are the tool's own for virtual boards, which join those of the file, or the
    operator's for real boards, which count when the file has none. Raises ``WulflingError``
    when a real board is not what the file says it is, or when the boards bring releases of
    Slurm that refuse each other.
    """
    nodes = members(spec)
    network = network_of(spec, nodes)
    assert network is not None  # a valid file has a node
    virtual = spec.boards == "virtual"
    cluster = Cluster(
        name=spec.cluster,
        network=network,
        domain=spec.domain,
        virtual=virtual,
        head=next(node.name for node in nodes if Role.HEAD in node.roles),
        nodes=tuple(_node(node, hardware.get(node.name), virtual) for node in nodes),
        storage=tuple(Share(path, server) for path, server in shares(spec, nodes).items()),
        slurm=_slurm(spec, nodes),
        people=tuple(_person(name, person) for name, person in spec.people.items()),
        admin=spec.admin.name,
        admin_keys=_admin_keys(spec, admin_keys),
        login=spec.admin.name if virtual else spec.login,
        secrets=secrets,
        cards=_cards(spec.cards),
        gateway=_gateway(spec.gateway, virtual),
        backup=_backup(spec.backup),
        programs=tuple(dict.fromkeys(spec.software.packages)),
        firewall=Firewall(spec.firewall.ssh, spec.firewall.open) if spec.firewall else None,
        wireguard=_wireguard(spec, virtual),
        tailscale=_tailscale(spec, virtual),
        profile=Profile(spec.profile),
        relay=_relay(spec),
        desktop=spec.desktop,
        hardening=spec.hardening,
    )
    releases.check(cluster)
    return mpi.settled(cluster)


def shares(spec: Spec, nodes: tuple[Member, ...]) -> Mapping[str, str]:
    """The shared directories, path to server, with the default filled in."""
    if spec.storage is not None:
        return spec.storage
    for role in (Role.STORAGE, Role.HEAD):
        for node in nodes:
            if role in node.roles:
                return dict.fromkeys(DEFAULT_SHARES, node.name)
    return {}


def partitions(spec: Spec) -> Mapping[str, PartitionSpec]:
    """The partitions of the file, or the one there is when it names none."""
    if spec.slurm is None:
        return {}
    return spec.slurm.partitions or {DEFAULT_PARTITION: PartitionSpec.model_construct()}


def default_partition(declared: Mapping[str, PartitionSpec]) -> str:
    """The partition for jobs that name none: the one that says so, or the first that does not
    say otherwise; "" when all say otherwise."""
    for wanted in (True, None):
        for name, partition in declared.items():
            if partition.default is wanted:
                return name
    return ""


def uid_of(name: str, person: PersonSpec) -> int:
    """The number of an account and of its group.

    Without ``uid:`` it is made from the name alone. Numbers handed out in the order of the
    file would move when somebody is inserted, and a person whose number moves no longer owns
    the files on the file server; numbers kept in a list would be state that has to be backed
    up. Two names meet in one number once in 58,000 pairs: ``rules`` refuses that and asks for
    a ``uid:``. The range ends where Debian's and systemd's reservations begin.
    """
    if person.uid is not None:
        return person.uid
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return FIRST_UID + number % (LAST_UID - FIRST_UID + 1)


def _admin_keys(spec: Spec, more: tuple[str, ...]) -> tuple[str, ...]:
    if spec.admin.keys and spec.boards == "real":
        return spec.admin.keys
    return tuple(dict.fromkeys((*spec.admin.keys, *more)))


def _node(node: Member, hardware: Hardware | None, virtual: bool) -> Node:
    if not virtual and hardware is not None:
        _as_measured(node, hardware)
    return Node(
        name=node.name,
        address=node.address,
        roles=node.roles,
        hardware=hardware,
        cpus=node.cpus,
        # On a virtual board `memory:` is how large the board is made, and it is measured.
        memory_mb=None if virtual else node.memory_mb,
        mac=node.mac,
        gpus=node.gpus,
    )


def _as_measured(node: Member, hardware: Hardware) -> None:
    """Slurm drains a node that has less than it was told (slurm.conf(5), RealMemory), and
    more jobs than CPUs make all of them slow."""
    if node.cpus not in (None, hardware.cpus):
        raise WulflingError(
            f"the file says cpus: {node.cpus}, and the board has {hardware.cpus}",
            hint=f"delete `cpus:` of {node.key}; only virtual boards stand for more",
            where=node.name,
        )
    if node.memory_mb is not None and node.memory_mb > hardware.memory_mb:
        raise WulflingError(
            f"the file says memory: {node.memory_mb}M for jobs, and the board has"
            f" {hardware.memory_mb}M",
            hint=f"delete `memory:` of {node.key}, or make it smaller",
            where=node.name,
        )


def _slurm(spec: Spec, nodes: tuple[Member, ...]) -> Slurm | None:
    if spec.slurm is None:
        return None
    declared = partitions(spec)
    default = default_partition(declared)
    build = spec.slurm.build
    return Slurm(
        partitions=tuple(
            Partition(
                name=name,
                nodes=tuple(n.name for n in nodes if n.name in partition_nodes(partition, nodes)),
                default=name == default,
                default_time=_default_time(partition),
                max_time=partition.max_time,
            )
            for name, partition in declared.items()
        ),
        extra=tuple(spec.slurm.extra.items()),
        build=SlurmBuild(build.version, build.source) if build else None,
    )


def partition_nodes(partition: PartitionSpec, nodes: tuple[Member, ...]) -> tuple[str, ...]:
    """The names of a partition's nodes."""
    if partition.nodes is not None:
        return partition.nodes
    return tuple(node.name for node in nodes if Role.COMPUTE in node.roles)


def _default_time(partition: PartitionSpec) -> str:
    if partition.default_time is not None:
        return partition.default_time
    longest = notation.duration(partition.max_time)
    if longest != notation.UNLIMITED and longest < notation.duration(DEFAULT_TIME):
        return partition.max_time
    return DEFAULT_TIME


def _person(name: str, person: PersonSpec) -> Person:
    return Person(
        name=name,
        uid=uid_of(name, person),
        account=person.account,
        keys=person.keys,
        limits=_limits(person.limits),
        quota_mb=person.quota,
    )


def _cards(cards: CardsSpec) -> Cards:
    gateway = cards.gateway
    return Cards(
        gateway=gateway,
        dns=cards.dns or ((gateway,) if gateway is not None else ()),
        locale=cards.locale,
        timezone=cards.timezone,
        country=cards.country,
    )


def _gateway(gateway: GatewaySpec, virtual: bool) -> Gateway:
    return Gateway(
        packages=gateway.packages,
        # A virtual board has one cable, and no nftables in its kernel; ``rules`` says so.
        nat=gateway.nat and not virtual,
        dhcp=gateway.dhcp,
        uplink=gateway.uplink,
    )


def _backup(backup: BackupSpec | None) -> Backup | None:
    if backup is None:
        return None
    node, path = backup.to
    return Backup(
        node=node,
        path=path,
        minutes=backup.minutes,
        homes=backup.homes,
        drill=backup.drill,
        keep=tuple(backup.keep.model_dump().items()),
    )


def _wireguard(spec: Spec, virtual: bool) -> Wireguard | None:
    way = spec.remote.wireguard
    if way is None:
        return None
    devices = (Device(name, one.address, one.key) for name, one in spec.devices.items())
    return Wireguard(
        endpoint=way.endpoint,
        port=way.port,
        network=way.network,
        # What is passed on has to be filtered, and virtual boards have no nftables.
        to_boards=way.reach == "cluster" and not virtual,
        devices=tuple(devices),
    )


def _tailscale(spec: Spec, virtual: bool) -> Tailscale | None:
    way = spec.remote.tailscale
    return None if way is None or virtual else Tailscale(way.tag, way.version)


def _relay(spec: Spec) -> Relay | None:
    relay = spec.remote.relay
    if relay is None:
        return None
    host, _, port = relay.host.partition(":")
    return Relay(host, int(port or 22), relay.user, relay.port, relay.host_key)


def _limits(limits: LimitSpec) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(limits.model_dump(exclude_none=True).items()))
