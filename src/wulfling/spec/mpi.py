"""Which boards can be ranks of one MPI job: those of a partition, with one MPICH for all where
their own cannot talk to each other, and a warning where that does not help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.model.mpich import Mpich, for_all, on_board
from wulfling.spec.nodeset import fold

Kinds = Mapping[Mpich, tuple[Node, ...]]


def settled(cluster: Cluster) -> Cluster:
    """The cluster with one MPICH for all, where a partition (or, without Slurm, the machinefile)
    has boards whose own could not share a job. The others keep what their distribution has."""
    for _, kinds in _apart(cluster):
        pins = [
            pin
            for nodes in kinds.values()
            if (node := nodes[0]).hardware and (pin := for_all(node.hardware))
        ]
        if len(pins) > 1:
            return replace(cluster, mpich=pins[0].version)
    return cluster


def warnings(cluster: Cluster) -> tuple[WulflingError, ...]:
    """A word, and no refusal, for each partition whose boards have an MPI that cannot talk to
    the others': jobs without MPI may well use all of them. Boards that were never reached, and
    systems whose MPICH is not known here, are let through."""
    return tuple(
        WulflingError(
            f"{_said(kinds)}: ranks of one MPI job that meet across them wait for ever",
            hint=_ways_out(kinds, slurm=cluster.slurm is not None),
            where=f"partition {name}" if name else "machinefile",
        )
        for name, kinds in _apart(cluster)
    )


def _apart(cluster: Cluster) -> Iterator[tuple[str, Kinds]]:
    """Partitions, "" for a machinefile, with more than one MPICH; the boards by theirs. Slurm
    starts ranks on compute nodes alone, a machinefile may name any board."""
    partitions = {"": cluster.nodes}
    if cluster.slurm is not None:
        compute = cluster.having(Role.COMPUTE)
        partitions = {
            each.name: tuple(node for node in compute if node.name in each.nodes)
            for each in cluster.slurm.partitions
        }
    for name, members in partitions.items():
        kinds: dict[Mpich, tuple[Node, ...]] = {}
        for node in members:
            found = on_board(node.hardware, cluster.mpich) if node.hardware else None
            if found is not None:
                kinds[found] = (*kinds.get(found, ()), node)
        if len(kinds) > 1:
            yield name, kinds


def _said(kinds: Kinds) -> str:
    each = [f"{_names(nodes)} with {kind}" for kind, nodes in kinds.items()]
    return f"it has {' and '.join(each)}"


def _ways_out(kinds: Kinds, *, slurm: bool) -> str:
    """Two that always work, and the smallest of the re-installations."""
    most = max(kinds, key=lambda kind: len(kinds[kind]))
    model = kinds[most][0].hardware
    others = [node for kind, nodes in kinds.items() if kind != most for node in nodes]
    split = "a partition" if slurm else "a machinefile"
    ways = [f"give each of these groups {split} of its own"]
    if model is not None:
        system = f"{model.os_id.capitalize()} {model.os_version} {model.arch}"
        ways.append(f"install {system} on {_names(others)}")
    return ", or ".join(ways)


def _names(nodes: tuple[Node, ...] | list[Node]) -> str:
    return fold(node.name for node in nodes)
