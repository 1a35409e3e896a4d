"""What Slurm is asked about nodes and told to do with them, by commands on the head."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.transport.link import Address, Dial

# scontrol(1): states as `show node` writes them, IDLE+DRAIN or DOWN*+DRAIN. The signs behind
# the first word, and NOT_RESPONDING since 22.05, say that the daemon there does not answer.
_NODE = re.compile(r"^NodeName=(\S+) .*? State=(\S+) ")
_REASON = re.compile(r" Reason=(.*?) \[[^\[\] ]*@[0-9T:-]+\]")
_SIGNS = "*~#!%$@^-"
_NO_ANSWER = ("NOT_RESPONDING", "POWERED_DOWN", "POWERING_UP", "REBOOT_ISSUED", "REBOOT")

# squeue(1): a job in one of these states has a part in its nodes.
_ON_NODES = "running,suspended,stopped,configuring,completing"


@dataclass(frozen=True)
class NodeState:
    """A node as Slurm sees it. ``state`` is scontrol's word, ``reason`` why it takes no jobs."""

    node: str
    state: str
    reason: str = ""

    @property
    def words(self) -> frozenset[str]:
        """The state and its flags, without signs: ``IDLE``, ``DRAIN``."""
        return frozenset(word.rstrip(_SIGNS) for word in self.state.split("+"))

    @property
    def drains(self) -> bool:
        """Whether it gets no new jobs, by somebody's wish."""
        return bool({"DRAIN", "DRAINED", "DRAINING"} & self.words)

    @property
    def down(self) -> bool:
        """Whether it gets no new jobs, because something is wrong with it."""
        return bool({"DOWN", "ERROR", "FAIL", "UNKNOWN"} & self.words)

    @property
    def busy(self) -> bool:
        """Whether a job is on it, or has not left it altogether."""
        return bool({"ALLOCATED", "MIXED", "COMPLETING"} & self.words)

    @property
    def answers(self) -> bool:
        """Whether its daemon has registered and still answers."""
        silent = "*" in self.state or bool(set(_NO_ANSWER) & self.words)
        return not silent and not self.down


class Scheduler:
    """The head's Slurm. Every method raises what ``Dial.run`` raises, and ``CommandFailed``
    with what Slurm said when it refuses, for example because slurmctld is away."""

    def __init__(self, dial: Dial, head: Address) -> None:
        self._dial, self._head = dial, head

    async def nodes(self) -> Mapping[str, NodeState]:
        """Every node that Slurm knows, by name."""
        return parse_nodes(await self._said("scontrol", "--oneliner", "show", "nodes"))

    async def known(self, names: Iterable[str]) -> Mapping[str, NodeState]:
        """These of them. Raises ``WulflingError`` with those that Slurm does not know."""
        there = await self.nodes()
        wanted = tuple(names)
        strange = [name for name in wanted if name not in there]
        if strange:
            raise WulflingError(
                f"Slurm does not know {', '.join(strange)}",
                hint="wulfling apply makes the file's compute nodes known to it",
                where=self._head.node,
            )
        return {name: there[name] for name in wanted}

    async def node(self, name: str) -> NodeState:
        """One of them. Raises what ``known`` raises."""
        return (await self.known([name]))[name]

    async def jobs(self, nodes: Iterable[str]) -> tuple[str, ...]:
        """The numbers of the jobs that have a part in one of ``nodes``."""
        names = ",".join(nodes)
        wanted = (f"--nodelist={names}", f"--states={_ON_NODES}", "--Format=JobID:.32")
        return tuple((await self._said("squeue", "--noheader", *wanted)).split())

    async def drain(self, nodes: Iterable[str], reason: str) -> None:
        """Give these nodes no more jobs; those that they have go on."""
        await self._update(nodes, "State=DRAIN", f"Reason={reason}")

    async def resume(self, nodes: Iterable[str]) -> None:
        """Give these nodes jobs again."""
        await self._update(nodes, "State=RESUME")

    async def expect_back(self, nodes: Iterable[str], reason: str) -> None:
        """Mark drained nodes that are switched off so that they take jobs by themselves once
        they are back: DOWN, which ends with their registration (slurm.conf(5), ReturnToService),
        and not drained, which would not."""
        names = tuple(nodes)
        await self._update(names, "State=DOWN", f"Reason={reason}")
        await self._update(names, "State=UNDRAIN")

    async def _update(self, nodes: Iterable[str], *words: str) -> None:
        if names := ",".join(nodes):
            await self._said("scontrol", "update", f"NodeName={names}", *words)

    async def _said(self, *argv: str) -> str:
        done = await self._dial.run(self._head, argv, root=True)
        if done.code != 0:
            raise CommandFailed(argv, done.code, done.stderr or done.stdout, where=self._head.node)
        return done.stdout


def scheduler(cluster: Cluster, addresses: Mapping[str, Address], dial: Dial) -> Scheduler:
    """The Slurm of this cluster. Raises ``WulflingError`` when the file asks for none."""
    if cluster.slurm is None:
        raise WulflingError(
            f"{cluster.name} has no Slurm, so there is nobody to keep jobs off a node",
            hint="the file says `slurm: false`",
        )
    return Scheduler(dial, addresses[cluster.head])


def parse_nodes(text: str) -> Mapping[str, NodeState]:
    """What ``scontrol --oneliner show nodes`` printed, by node."""
    found = {}
    for line in text.splitlines():
        if node := _NODE.match(line):
            reason = _REASON.search(line)
            found[node[1]] = NodeState(node[1], node[2], reason[1] if reason else "")
    return found
