"""No board runs what is known to have holes: the versions that mend them, or newer ones."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.advisories import SLURM, of_release
from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource
from wulfling.node.resources.patched import Patched


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """One for each source of packages with a hole; what is not installed has none. None at all
    while the head's secrets are not known, as for all of Slurm."""
    if cluster.slurm is None or cluster.secrets is None or node.hardware is None:
        return
    for one in of_release(node.hardware.os_codename):
        yield Patched(
            source=one.source,
            packages=one.packages,
            fixed=one.fixed,
            cves=one.cves,
            in_turn=one.source == SLURM,
            why=f"{one.fixed} mends {', '.join(one.cves)}",
        )
