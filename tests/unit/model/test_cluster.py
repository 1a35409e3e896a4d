"""The cluster as a value."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.measured import PI

from wulfling.model.cluster import Cluster, Node, Role, Secrets

NODES = (
    Node("two", IPv4Address("10.0.0.2"), frozenset({Role.COMPUTE}), None),
    Node("one", IPv4Address("10.0.0.1"), frozenset({Role.HEAD, Role.COMPUTE}), None),
)
CLUSTER = Cluster(
    name="c",
    network=IPv4Network("10.0.0.0/24"),
    domain="home.local",
    virtual=False,
    head="one",
    nodes=NODES,
    storage=(),
    slurm=None,
    people=(),
    admin="wulfling",
    admin_keys=(),
    login="pi",
    secrets=Secrets(munge_key=b"hush hush"),
)


def test_nodes_by_name_and_role_in_the_order_of_the_file() -> None:
    assert CLUSTER.node("one") is NODES[1]
    assert CLUSTER.address("two") == IPv4Address("10.0.0.2")
    assert CLUSTER.having(Role.COMPUTE) == NODES
    assert CLUSTER.having(Role.HEAD) == NODES[1:]
    assert CLUSTER.having(Role.LOGIN) == ()
    with pytest.raises(KeyError, match="three"):
        CLUSTER.node("three")


def test_a_secret_is_not_in_what_a_traceback_would_show() -> None:
    assert "hush" not in repr(CLUSTER)


def test_logical_cpus() -> None:
    board = replace(PI, cores=2, threads_per_core=2)
    assert board.cpus == 4
