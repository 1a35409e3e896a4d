"""One glance at every node: how it is, what Slurm says of it, and what is wrong in words.

The facts and the checks are doctor's; what takes a comparison with the cluster file is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from wulfling.converge.checks import diagnose
from wulfling.converge.evidence import Evidence, asked
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Hardware, Node, Role
from wulfling.model.finding import Finding
from wulfling.model.health import Health, Space, takes_jobs
from wulfling.model.health import from_json as health_of
from wulfling.node.facts import from_json as hardware_of
from wulfling.transport.link import Address, Dial

PATIENCE = 60.0  # seconds for all that one node has to say
SELDOM = 600.0  # seconds until a node that is watched counts its newer packages again

# Of what doctor asks, that which is not to be compared with anything.
GLANCE = ("controller", "mounts", "scheduler", "serves")
# Checks that need more than a glance, because a stopped daemon would be told as its symptom; and
# the states of nodes, which stand in the table.
NOT_FOR_A_GLANCE = frozenset({"controller", "configless", "node"})


@dataclass(frozen=True)
class Served:
    """A share, and the MiB of the file system that it lies on."""

    path: str
    mb: int
    free_mb: int


@dataclass(frozen=True)
class Queued:
    """Jobs of one state (squeue(1)), and why they wait."""

    state: str
    reason: str
    jobs: int


@dataclass(frozen=True)
class NodeStatus:
    """A node now. ``state`` is Slurm's word and ``reason`` its reason, or why the node does not
    answer; sizes are in MiB, and 0 when they are not known. ``temperature`` is in degrees Celsius,
    and ``throttled`` says that the board has slowed itself down. Of what boards may not tell,
    None says so. The head has the ``queue``, and in ``wrong`` also what is wrong with the cluster
    as a whole."""

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
    cpus: int = 0
    written_gib: int | None = None
    worn_percent: int | None = None
    updates: int | None = None
    security_updates: int | None = None
    serves: tuple[Served, ...] = ()
    queue: tuple[Queued, ...] = ()
    seen_seconds: int | None = None

    @property
    def unwell(self) -> bool:
        """Whether Slurm would send this compute node no job."""
        return self.state != "-" and not takes_jobs(self.state)

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``: the same names as the fields."""
        return asdict(self)


@dataclass(frozen=True)
class Glance:
    """Every node in the file's order, and what is wrong. ``pause`` are the seconds between two
    looks, 0 when there is one."""

    cluster: str
    nodes: tuple[NodeStatus, ...]
    findings: tuple[Finding, ...]
    pause: float = 0

    @property
    def all_answer(self) -> bool:
        """Whether no node is away."""
        return all(node.reachable for node in self.nodes)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with any node that answers."""
        return not self.findings and not any(node.unwell for node in self.nodes)


@dataclass(frozen=True)
class _Answer:
    """What one node said, and when."""

    hardware: Hardware
    health: Health
    at: float


class Watch:
    """Looks at every node, once or again and again, each in its own time: a node that goes away
    keeps nobody waiting, and is asked again until it is back."""

    def __init__(self, cluster: Cluster, addresses: Mapping[str, Address], dial: Dial) -> None:
        self._cluster, self._addresses, self._dial = cluster, addresses, dial
        self._answers: dict[str, _Answer] = {}
        self._errors: dict[str, WulflingError] = {}
        self._counted: dict[str, float] = {}
        self._pause = 0.0

    @property
    def unheard(self) -> tuple[str, ...]:
        """Nodes whose first answer, or silence, is still awaited."""
        known = {*self._answers, *self._errors}
        return tuple(node.name for node in self._cluster.nodes if node.name not in known)

    async def look(self) -> Glance:
        """One look at all. An unreachable node says why in ``reason``.

        Raises ``IdentityMismatch``, and ``WulflingError`` when this machine has no ssh.
        """
        await asyncio.gather(*(self.ask(node.name) for node in self._cluster.nodes))
        return self.glance()

    async def go_on(self, pause: float) -> None:
        """Look until somebody cancels it. Raises what ``look`` raises."""
        self._pause = pause

        async def follow(name: str) -> None:
            while True:
                await self.ask(name)
                await asyncio.sleep(pause)

        await asyncio.gather(*(follow(node.name) for node in self._cluster.nodes))

    def glance(self) -> Glance:
        """What is known by now. A node that was not asked to the end yet is left out."""
        heard = [node for node in self._cluster.nodes if node.name not in self.unheard]
        here = {name: a for name, a in self._answers.items() if name not in self._errors}
        evidence = Evidence(
            cluster=self._cluster,
            errors={n.name: self._errors[n.name] for n in heard if n.name in self._errors},
            health={name: answer.health for name, answer in here.items()},
            ahead=dict.fromkeys(here, 0.0),
            hardware={name: answer.hardware for name, answer in here.items()},
        )
        found = tuple(f for f in diagnose(evidence) if f.check not in NOT_FOR_A_GLANCE)
        now = time.monotonic()
        seen = {name: int(now - answer.at) for name, answer in self._answers.items()}
        nodes = (_status(evidence, node, found) for node in heard)
        told = tuple(replace(node, seen_seconds=seen.get(node.node)) for node in nodes)
        return Glance(self._cluster.name, told, found, self._pause)

    async def ask(self, name: str) -> None:
        """One look at one node. Raises what ``look`` raises."""
        before = self._answers.get(name)
        due = time.monotonic() - self._counted.get(name, -SELDOM) >= SELDOM
        try:
            asking = _ask(self._cluster, self._addresses[name], self._dial, updates=due)
            answer = await asyncio.wait_for(asking, PATIENCE)
        except asyncio.TimeoutError:
            self._errors[name] = Unreachable(f"no end after {PATIENCE:g} s", where=name)
        except (Unreachable, NodeFailed) as error:
            self._errors[name] = error
        else:
            if due:
                self._counted[name] = answer.at
            elif before:
                health = replace(answer.health, updates=before.health.updates)
                answer = replace(answer, health=health)
            self._answers[name] = answer
            self._errors.pop(name, None)


async def _ask(cluster: Cluster, to: Address, dial: Dial, *, updates: bool) -> _Answer:
    questions = asked(cluster, to.node)
    examine = {name: questions[name] for name in GLANCE}
    examine |= {"queue": questions["scheduler"], "updates": updates}
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
    return _Answer(hardware, health, time.monotonic())


def _status(evidence: Evidence, node: Node, found: tuple[Finding, ...]) -> NodeStatus:
    roles = tuple(role.value for role in Role if node.has(role))
    subjects = {node.name, evidence.cluster.name} if node.name == evidence.head else {node.name}
    wrong = tuple(finding.words for finding in found if finding.subject in subjects)
    known = NodeStatus(node.name, str(node.address), roles, reachable=True, wrong=wrong)
    if error := evidence.errors.get(node.name):
        return replace(known, reachable=False, reason=error.message.splitlines()[0])
    health = evidence.health[node.name]
    root = _below(health, "/")
    head = evidence.of(evidence.head)
    seen = {told.name: told for told in head.slurm_nodes} if head else {}
    told = seen.get(node.name)
    shares = [share.path for share in evidence.cluster.storage if share.server == node.name]
    served = [(path, space) for path in shares if (space := _below(health, path))]
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
        cpus=evidence.hardware[node.name].cpus,
        written_gib=max((gib for _, gib in health.written), default=None),
        worn_percent=max((percent for _, percent in health.worn), default=None),
        updates=health.updates[0] if health.updates else None,
        security_updates=health.updates[1] if health.updates else None,
        serves=tuple(Served(path, space.mb, space.free_mb) for path, space in served),
        queue=tuple(Queued(*jobs) for jobs in health.queue),
        backups=tuple((what, health.now - at) for what, at, _ in health.backups),
    )


def _below(health: Health, path: str) -> Space | None:
    """The file system that ``path`` lies on."""
    around = [s for s in health.spaces if f"{path}/".startswith(f"{s.path.rstrip('/')}/")]
    return max(around, key=lambda space: len(space.path), default=None)
