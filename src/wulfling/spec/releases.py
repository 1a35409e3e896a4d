"""Which Slurm a distribution brings, and which of them understand each other."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.errors import NodeFailed
from wulfling.model.cluster import Cluster, Hardware, Node, Role
from wulfling.model.slurm_releases import SLURM, understands

PACKAGED = {
    ("debian", "12"): "22.05",
    ("debian", "13"): "24.11",
    ("raspbian", "12"): "22.05",
    ("raspbian", "13"): "24.11",
    ("ubuntu", "22.04"): "21.08",
    ("ubuntu", "24.04"): "23.11",
}

BUILDABLE = {"24.11": ("24.11.5", "trixie")}
"""What can be built for boards whose own release has an older one: version and source."""

FIRST_WITH_CGROUP_V2 = "22.05"


def check(cluster: Cluster) -> None:
    """Raise ``NodeFailed``, with every board in it, when Slurm would refuse this mix.

    A controller talks to daemons of its own release and of the two before, from 24.11 on of
    the three before, and never to newer ones (upgrades.html of Slurm). Boards that were never
    reached, and systems whose Slurm is not known here, are let through, and so is every board
    when one version is built for all.
    """
    if cluster.slurm is None or cluster.slurm.build is not None:
        return
    refused = dict(_refused(cluster))
    if refused:
        raise NodeFailed(
            "; ".join(f"{name} {reason}" for name, reason in refused.items()),
            hint=_ways_out(cluster, tuple(refused)),
            where=", ".join(refused),
        )


def _refused(cluster: Cluster) -> Iterator[tuple[str, str]]:
    head = cluster.node(cluster.head)
    controller = _slurm(head.hardware)
    for node in cluster.nodes:
        daemon = _slurm(node.hardware)
        if not daemon or not node.roles & {Role.HEAD, Role.COMPUTE, Role.LOGIN}:
            continue
        has = f"has {_system(node)} with Slurm {daemon}"
        if node.has(Role.COMPUTE) and SLURM.index(daemon) < SLURM.index(FIRST_WITH_CGROUP_V2):
            yield node.name, f"{has}, which cannot hold jobs to their limits (no cgroup v2)"
        elif controller and not understands(controller, daemon):
            yield node.name, f"{has}, and the head's {controller} does not understand it"


def _ways_out(cluster: Cluster, refused: tuple[str, ...]) -> str:
    head = cluster.node(cluster.head)
    names = " and ".join(refused)
    ways = []
    if cluster.head not in refused:
        ways.append(f"install {_system(head)} on {names}")
    heads = [n.name for n in cluster.nodes if n.name != cluster.head and _could_lead(cluster, n)]
    if heads:
        ways.append(f"make {heads[0]} the head")
    workers = [name for name in refused if name != cluster.head]
    if workers:
        ways.append(f"take the roles compute and login from {' and '.join(workers)}")
    newest = max((_slurm(node.hardware) for node in cluster.nodes), key=_age)
    if newest in BUILDABLE:
        version, source = BUILDABLE[newest]
        ways.append(
            "build one version for all boards:"
            f" `slurm: {{build: {{version: {version}, source: {source}}}}}`"
        )
    return ", or ".join(ways) or f"install a newer system on {names}"


def _could_lead(cluster: Cluster, candidate: Node) -> bool:
    releases = [_slurm(n.hardware) for n in cluster.nodes if n.has(Role.COMPUTE)]
    own = _slurm(candidate.hardware)
    oldest = SLURM.index(FIRST_WITH_CGROUP_V2)
    return bool(own) and all(
        understands(own, release) and SLURM.index(release) >= oldest
        for release in releases
        if release
    )


def _slurm(hardware: Hardware | None) -> str:
    """The release in a board's own packages, "" when that is not known."""
    return PACKAGED.get((hardware.os_id, hardware.os_version), "") if hardware else ""


def _age(release: str) -> int:
    return SLURM.index(release) if release else -1


def _system(node: Node) -> str:
    assert node.hardware
    return f"{node.hardware.os_id.capitalize()} {node.hardware.os_version}"
