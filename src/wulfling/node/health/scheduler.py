"""What the controller says of nodes and partitions, and which versions are installed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wulfling.model.health import SlurmNode
from wulfling.node.board import Board

NODES = ("scontrol", "--oneliner", "--all", "show", "node")
PARTITIONS = ("scontrol", "--oneliner", "--all", "show", "partition")
QUEUE = ("squeue", "--noheader", "--array", "--format=%T %r")
QUESTIONS = (NODES, PARTITIONS)
PATIENCE = 8.0  # seconds

# Values hold blanks, so a field ends where the next one begins (scontrol(1), show node).
_FIELD = re.compile(r"(\w+(?::\w+)?)=(.*?)(?=\s+\w+(?::\w+)?=|\s*$)")
# A person's own words, with who wrote them: they may look like fields.
_REASON = re.compile(r"\sReason=(.*?)(?: \[([^\s@\]]+)@[^\]]*\])?(?=\s+(?:Comment|Extra)=|\s*$)")


def measure(board: Board) -> dict[str, Any]:
    """``slurm_nodes`` and ``partitions``; nothing while the controller does not answer."""
    code, nodes, _ = board.ask(NODES, timeout=PATIENCE)
    if code != 0:
        return {}
    _, partitions, _ = board.ask(PARTITIONS, timeout=PATIENCE)
    return {
        "slurm_nodes": tuple(parse_nodes(nodes)),
        "partitions": tuple(parse_partitions(partitions)),
    }


def queue(board: Board) -> tuple[tuple[str, str, int], ...]:
    """States of jobs, the reasons that those who wait have, and how many there are of each."""
    _, said, _ = board.ask(QUEUE, timeout=PATIENCE)
    jobs = Counter(line.partition(" ")[::2] for line in said.splitlines() if line.strip())
    return tuple((state, reason.strip(), count) for (state, reason), count in sorted(jobs.items()))


def parse_nodes(text: str) -> Iterator[SlurmNode]:
    """What ``scontrol --oneliner show node`` printed."""
    for line in text.splitlines():
        told = _REASON.search(line)
        said = _fields(line[: told.start()] if told else line)
        if "NodeName" not in said:
            continue
        memory = said.get("RealMemory", "")
        yield SlurmNode(
            name=said["NodeName"],
            state=said.get("State", "UNKNOWN"),
            reason=told[1] if told else "",
            by=(told[2] or "") if told else "",
            version=said.get("Version", ""),
            memory_mb=int(memory) if memory.isdigit() else 0,
        )


def parse_partitions(text: str) -> Iterator[tuple[str, str]]:
    """What ``scontrol --oneliner show partition`` printed: names and states."""
    for said in map(_fields, text.splitlines()):
        if "PartitionName" in said:
            yield said["PartitionName"], said.get("State", "UNKNOWN")


def _fields(line: str) -> dict[str, str]:
    return {name: value.strip() for name, value in _FIELD.findall(line)}


def versions(board: Board, programs: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Programs and the versions that they say they are: "slurm-wlm 22.05.8" without the name."""
    for program in programs:
        code, said, _ = board.ask((program, "-V"), timeout=PATIENCE)
        if code == 0 and said.strip():
            yield program, said.split()[-1]
