"""One glance at every node: how it is, what Slurm says of it, and what is wrong in words.

The facts and the checks are doctor's; what takes a comparison with the cluster file is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from wulfling.converge.checks import diagnose
from wulfling.converge.evidence import Evidence, asked
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Hardware, Node, Role
from wulfling.model.finding import Finding
from wulfling.model.health import Health, takes_jobs
from wulfling.model.health import from_json as health_of
from wulfling.node.facts import from_json as hardware_of
from wulfling.transport.link import Address, Dial

PATIENCE = 60.0  # seconds for all that one node has to say

# Of what doctor asks, that which is not to be compared with anything.
GLANCE = ("controller", "mounts", "scheduler")
# Checks that need more than a glance, because a stopped daemon would be told as its symptom; and
# the states of nodes, which stand in the table.
NOT_FOR_A_GLANCE = frozenset({"controller", "configless", "node"})


@dataclass(frozen=True)
class NodeStatus:
    """A node now. ``state`` is Slurm's word and ``reason`` its reason; sizes are in MiB, and 0
    when they are not known. ``temperature`` is in degrees Celsius, and ``throttled`` says that
    the board has slowed itself down."""

    node: str
    address: str
    roles: tuple[str, ...]
    reachable: bool
    state: str = "-"
    reason: str = ""
    load: float = 0.0
    memory_mb: int = 0
    free_mb: int = 0
    up_seconds: int = 0
    disk_mb: int = 0
    disk_free_mb: int = 0
    link_mbit: int = 0
    temperature: float | None = None
    throttled: bool = False
    wrong: tuple[str, ...] = ()
    backups: tuple[tuple[str, float], ...] = ()  # and seconds since they last went well

    @property
    def unwell(self) -> bool:
        """Whether Slurm would send this compute node no job."""
        return self.state != "-" and not takes_jobs(self.state)

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``: the same names as the fields."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        head = (self.node, self.address, ",".join(self.roles))
        if not self.reachable:
            return (*head, f"unreachable: {self.reason}", "", "", "")
        state = f"{self.state} ({self.reason})" if self.reason else self.state
        if not self.memory_mb:
            return (*head, state, "?", "?", "?")
        used = f"{self.memory_mb - self.free_mb} of {self.memory_mb} MiB"
        return (*head, state, f"{self.load:.2f}", used, f"{self.up_seconds // 60} min")


@dataclass(frozen=True)
class _Answer:
    """What one node said."""

    hardware: Hardware
    health: Health


async def status(
    cluster: Cluster, addresses: Mapping[str, Address], dial: Dial
) -> tuple[tuple[NodeStatus, ...], tuple[Finding, ...]]:
    """Every node in the file's order, and what is wrong. An unreachable node says why in
    ``reason``.

    Raises ``IdentityMismatch``, and ``WulflingError`` when this machine has no ssh.
    """
    answers: dict[str, _Answer] = {}
    errors: dict[str, WulflingError] = {}

    async def one(node: Node) -> None:
        try:
            asking = _ask(cluster, addresses[node.name], dial)
            answers[node.name] = await asyncio.wait_for(asking, PATIENCE)
        except asyncio.TimeoutError:
            errors[node.name] = Unreachable(f"no end after {PATIENCE:g} s", where=node.name)
        except (Unreachable, NodeFailed) as error:
            errors[node.name] = error

    await asyncio.gather(*(one(node) for node in cluster.nodes))
    evidence = Evidence(
        cluster=cluster,
        errors={n.name: errors[n.name] for n in cluster.nodes if n.name in errors},
        health={node: answer.health for node, answer in answers.items()},
        ahead=dict.fromkeys(answers, 0.0),
        hardware={node: answer.hardware for node, answer in answers.items()},
    )
    found = [f for f in diagnose(evidence) if f.check not in NOT_FOR_A_GLANCE]
    nodes = tuple(_status(evidence, node, found) for node in cluster.nodes)
    return nodes, tuple(found)


async def _ask(cluster: Cluster, to: Address, dial: Dial) -> _Answer:
    questions = asked(cluster, to.node)
    examine = {name: questions[name] for name in GLANCE}
    link = await dial.open(to)
    hardware = health = None
    try:
        await link.send({"do": "check", "operator": "", "examine": examine})
        async for message in link.messages():
            if message.get("event") == "hello":
                hardware = hardware_of(message.get("facts"))
            elif message.get("event") == "health":
                health = health_of(message.get("facts"))
            elif message.get("event") == "failed":
                raise NodeFailed(str(message.get("message")), where=to.node)
    finally:
        await link.close()
    if hardware is None or health is None:
        raise NodeFailed("what it said of itself was not understood", where=to.node)
    return _Answer(hardware, health)


def _status(evidence: Evidence, node: Node, found: list[Finding]) -> NodeStatus:
    roles = tuple(role.value for role in Role if node.has(role))
    wrong = tuple(finding.words for finding in found if finding.subject == node.name)
    known = NodeStatus(node.name, str(node.address), roles, reachable=True, wrong=wrong)
    if error := evidence.errors.get(node.name):
        return replace(known, reachable=False, reason=error.message.splitlines()[0])
    health = evidence.health[node.name]
    root = next((space for space in health.spaces if space.path == "/"), None)
    head = evidence.of(evidence.head)
    seen = {told.name: told for told in head.slurm_nodes} if head else {}
    told = seen.get(node.name)
    return replace(
        known,
        state=told.brief if told else "-",
        reason=told.reason if told else "",
        load=health.load,
        memory_mb=health.memory_mb,
        free_mb=health.free_mb,
        up_seconds=health.up_seconds,
        disk_mb=root.mb if root else 0,
        disk_free_mb=root.free_mb if root else 0,
        link_mbit=max((mbit for _, mbit in health.links), default=0),
        temperature=health.temperature,
        throttled=bool(health.throttled),
        backups=tuple((what, health.now - at) for what, at, _ in health.backups),
    )
