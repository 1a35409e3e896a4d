"""One glance at every node: one question to each, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.transport.link import Address, Dial

QUESTION = "cat /proc/loadavg; cat /proc/uptime; grep -E '^Mem(Total|Available)' /proc/meminfo"
SLURM_QUESTION = "; echo slurm; timeout 10 sinfo -hN -o '%N %T %E'"
WELL = ("idle", "mixed", "allocated", "completing")


@dataclass(frozen=True)
class NodeStatus:
    """A node now. ``state`` is Slurm's word and ``reason`` its reason; memory is in MiB."""

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
        return self.state != "-" and self.state not in WELL

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``: the same names as the fields."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        head = (self.node, self.address, ",".join(self.roles))
        if not self.reachable:
            return (*head, f"unreachable: {self.reason}", "", "", "")
        state = f"{self.state} ({self.reason})" if self.reason else self.state
        used = f"{self.memory_mb - self.free_mb} of {self.memory_mb} MiB"
        return (*head, state, f"{self.load:.2f}", used, f"{self.up_seconds // 60} min")


async def status(
    cluster: Cluster, addresses: Mapping[str, Address], dial: Dial
) -> tuple[NodeStatus, ...]:
    """Every node in the file's order. An unreachable one says why in ``reason``."""
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
    except WulflingError as error:
        return replace(known, reachable=False, reason=error.message.splitlines()[0]), {}
    board, _, queue = done.stdout.partition("slurm\n")
    return _measured(known, board), dict(map(_state, queue.splitlines()))


def _measured(known: NodeStatus, said: str) -> NodeStatus:
    load, uptime, total, free = (line.split() for line in said.splitlines())
    return replace(
        known,
        load=float(load[0]),
        up_seconds=int(float(uptime[0])),
        memory_mb=int(total[1]) // 1024,
        free_mb=int(free[1]) // 1024,
    )


def _state(line: str) -> tuple[str, tuple[str, str]]:
    node, state, reason = line.split(maxsplit=2)
    return node, (state, "" if reason == "none" else reason)


def _with_state(found: NodeStatus, states: Mapping[str, tuple[str, str]]) -> NodeStatus:
    if not found.reachable or found.node not in states:
        return found
    state, reason = states[found.node]
    return replace(found, state=state, reason=reason)
