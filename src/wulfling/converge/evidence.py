"""All that a diagnosis knows: the plan, what every board said of itself, and who did not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Hardware, Role
from wulfling.model.health import Health
from wulfling.model.plan import Status, Step

KNOWN_HOSTS = "file:/etc/ssh/ssh_known_hosts"


@dataclass(frozen=True)
class Evidence:
    """Facts of one moment. ``steps`` are those of the plan that are not as declared.

    ``ahead`` are seconds by which clocks are ahead of this machine's. ``remembered`` is the
    hardware as the last apply saw it. ``modes`` has, for a board that refuses our key, what
    another board could see of the files that sshd looks at there: ``777 root /var/local``.
    """

    cluster: Cluster
    steps: tuple[Step, ...] = ()
    errors: Mapping[str, WulflingError] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    ahead: Mapping[str, float] = field(default_factory=dict)
    hardware: Mapping[str, Hardware] = field(default_factory=dict)
    remembered: Mapping[str, Hardware] = field(default_factory=dict)
    modes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """The name of the head."""
        return self.cluster.head

    def of(self, node: str) -> Health | None:
        """How a node is, None when it did not say."""
        return self.health.get(node)

    def examined(self) -> Iterator[tuple[str, Health]]:
        """Every node that said how it is, in the file's order."""
        for node in self.cluster.nodes:
            if node.name in self.health:
                yield node.name, self.health[node.name]

    def computing(self) -> Iterator[tuple[str, Health]]:
        """The same of compute nodes, in a cluster with Slurm."""
        if self.cluster.slurm is None:
            return
        for name, health in self.examined():
            if self.cluster.node(name).has(Role.COMPUTE):
                yield name, health

    def drift(self, *beginnings: str) -> Iterator[Step]:
        """Steps whose keys begin so and that somebody has to take. A daemon that is only to be
        started again for another step, and what waits for another step, are no drift."""
        # Only the head remembers the host keys of boards that are away, its own among them.
        untold = KNOWN_HOSTS if self.head not in self.health else ""
        for step in self.steps:
            if step.key.startswith(beginnings) and step.key != untold and not is_consequence(step):
                yield step


def asked(cluster: Cluster, name: str) -> dict[str, Any]:
    """What a node is asked beside its plan (``node.health.examination``)."""
    node = cluster.node(name)
    slurm = cluster.slurm is not None
    head = name == cluster.head
    others = [other.name for other in cluster.nodes if other.name != name]
    asks_others = head or (others[:1] == [cluster.head] and name == _second(cluster))
    computes = slurm and node.has(Role.COMPUTE)
    programs = (["slurmctld"] if slurm and head else []) + (["slurmd"] if computes else [])
    return {
        "names": {other.name: str(other.address) for other in cluster.nodes},
        "reach": others if head else [cluster.head] if asks_others else [],
        "mounts": [share.path for share in cluster.storage if share.server != name],
        "serves": [share.path for share in cluster.storage if share.server == name],
        "controller": str(cluster.address(cluster.head)) if computes else "",
        "munge": slurm,
        "scheduler": slurm and head,
        "programs": programs,
    }


def _second(cluster: Cluster) -> str:
    """The first node that is not the head: it says whether the head can be reached."""
    return next((node.name for node in cluster.nodes if node.name != cluster.head), "")


def is_consequence(step: Step) -> bool:
    """Whether the step is due only because of another one."""
    if step.status in (Status.PENDING, Status.SKIPPED):
        return True
    due = [line for line in step.diff if line.lstrip().startswith(("restart: ", "reload: "))]
    return bool(step.diff) and len(due) == len(step.diff) and due[0].endswith(" changes")
