"""Which boards can be ranks of one MPI job: a warning where a partition would hold others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.model.mpich import Mpich, packaged
from wulfling.spec.nodeset import fold

Kinds = Mapping[Mpich, tuple[Node, ...]]


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
    """Partitions, "" for a machinefile, with more than one MPICH; the boards by theirs."""
    partitions = {"": tuple(node.name for node in cluster.nodes)}
    if cluster.slurm is not None:
        partitions = {each.name: each.nodes for each in cluster.slurm.partitions}
    for name, members in partitions.items():
        kinds: dict[Mpich, tuple[Node, ...]] = {}
        for node in cluster.having(Role.COMPUTE):
            found = packaged(node.hardware) if node.hardware else None
            if node.name in members and found is not None:
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
