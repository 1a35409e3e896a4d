"""A small cluster, and nodes that answer scripts with what is expected of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.day2.asking import Ask
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster
from wulfling.proc import Finished
from wulfling.spec import document
from wulfling.transport.fake import Fake, Unexpected
from wulfling.transport.link import Address

CLUSTER = """\
wulfling: 1
cluster: c
boards: virtual
nodes:
  one: {address: 10.9.9.1, roles: [head, compute]}
  files: {address: 10.9.9.2, roles: [storage]}
people:
  kim: {uid: 2001, account: school, limits: {cpu: 4, mem: 1G}, quota: 10G}
  lee: {uid: 2002}
"""


@pytest.fixture
def cluster() -> Cluster:
    """A head, a storage board, two people."""
    read, _ = spec.check(document.parse(CLUSTER.encode(), Path("cluster.yaml")))
    return spec.resolve(read, {}, None, ())


class Talkative(Fake):
    """Answers the script in which a word occurs; ``said`` are node and script, in their order."""

    def __init__(self, table: Mapping[tuple[str, str], str | WulflingError]) -> None:
        super().__init__({})
        self.table = dict(table)
        self.said: list[tuple[str, str]] = []

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        """The answer, after ``error:`` one of a script that failed."""
        assert (tuple(argv), root) == (("sh", "-s"), True)
        self.said.append((to.node, stdin))
        for (node, word), answer in self.table.items():
            if node != to.node or word not in stdin:
                continue
            if isinstance(answer, WulflingError):
                raise answer
            failed = answer.startswith("error:")
            return Finished(tuple(argv), int(failed), "" if failed else answer, answer)
        raise Unexpected(f"{to.node} has no answer to {stdin}")


Answering = Callable[[Mapping[tuple[str, str], str | WulflingError]], tuple[Ask, Talkative]]


@pytest.fixture
def answering(cluster: Cluster) -> Answering:
    """Makes a way to nodes that answer from a table."""

    def put(table: Mapping[tuple[str, str], str | WulflingError]) -> tuple[Ask, Talkative]:
        dial = Talkative(table)
        addresses = {
            node.name: Address(node=node.name, host=str(node.address), users=("wulfling",))
            for node in cluster.nodes
        }
        return Ask(addresses, dial), dial

    return put


@pytest.fixture
def without_slurm(cluster: Cluster) -> Cluster:
    """The same with MPI alone."""
    return replace(cluster, slurm=None)
