"""One glance at every node: one question to each, all at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from wulfling.errors import NodeFailed, Unreachable
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.transport.link import Address, Dial

QUESTION = "cat /proc/loadavg; cat /proc/uptime; grep -E '^Mem(Total|Available)' /proc/meminfo"
SLURM_QUESTION = "; echo slurm; timeout 10 sinfo -hN -o '%N %T %E'"
SLURM_MARK = "\nslurm\n"

# sinfo(1), NODE STATE CODES, as %T writes them.
WELL = ("idle", "mixed", "allocated", "completing", "planned", "reserved")

_LOAD = re.compile(r"^([0-9]{1,9}\.[0-9]+) [0-9.]+ [0-9.]+ [0-9]+/[0-9]+ [0-9]+$", re.MULTILINE)
_UPTIME = re.compile(r"^([0-9]{1,12})\.[0-9]+ [0-9]+\.[0-9]+$", re.MULTILINE)
_MEMORY = re.compile(r"^Mem(Total|Available): +([0-9]{1,15}) kB$", re.MULTILINE)


def takes_jobs(state: str) -> bool:
    """Whether Slurm sends jobs to a node of this state.

    A ``-`` at the end says that the node is planned for a job; the other signs that sinfo(1)
    may add, ``*`` for one, say that it takes none.
    """
    return state.removesuffix("-") in WELL


@dataclass(frozen=True)
class NodeStatus:
    """A node now. ``state`` is Slurm's word and ``reason`` its reason; memory is in MiB, and 0
    when the node's answer could not be read."""

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


async def status(
    cluster: Cluster, addresses: Mapping[str, Address], dial: Dial
) -> tuple[NodeStatus, ...]:
    """Every node in the file's order. An unreachable one says why in ``reason``.

    Raises ``IdentityMismatch``, and ``WulflingError`` when this machine has no ssh.
    """
    answers = await asyncio.gather(
        *(_ask(cluster, node, addresses[node.name], dial) for node in cluster.nodes)
    )
    states = next((states for _, states in answers if states), {})
    return tuple(_with_state(found, states) for found, _ in answers)


async def _ask(
    cluster: Cluster, node: Node, address: Address, dial: Dial
) -> tuple[NodeStatus, dict[str, tuple[str, str]]]:
    roles = tuple(role.value for role in Role if node.has(role))
    known = NodeStatus(node.name, str(node.address), roles, reachable=True)
    slurm = SLURM_QUESTION if cluster.slurm and node.name == cluster.head else ""
    try:
        done = await dial.run(address, ("sh", "-c", QUESTION + slurm), timeout=30)
    except (Unreachable, NodeFailed) as error:
        return replace(known, reachable=False, reason=error.message.splitlines()[0]), {}
    board, _, queue = f"\n{done.stdout}".partition(SLURM_MARK)
    return _measured(known, board), dict(_states(queue))


def _measured(known: NodeStatus, said: str) -> NodeStatus:
    """What the board said of itself, if it did; a greeting before that does no harm."""
    load, uptime, memory = _LOAD.search(said), _UPTIME.search(said), dict(_MEMORY.findall(said))
    if not load or not uptime or len(memory) < 2:
        return known
    return replace(
        known,
        load=float(load[1]),
        up_seconds=int(uptime[1]),
        memory_mb=int(memory["Total"]) // 1024,
        free_mb=int(memory["Available"]) // 1024,
    )


def _states(queue: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for line in queue.splitlines():
        node, state, reason = (*line.split(maxsplit=2), "", "", "")[:3]
        if state:
            yield node, (state, "" if reason == "none" else reason)


def _with_state(found: NodeStatus, states: Mapping[str, tuple[str, str]]) -> NodeStatus:
    if not found.reachable or found.node not in states:
        return found
    state, reason = states[found.node]
    return replace(found, state=state, reason=reason)
