"""The table of ports: what each role needs, and that the rules are made of it."""

from __future__ import annotations

import pytest
from tests.golden.test_golden import SHAPES, cluster_of

from wulfling.components.firewall import rules
from wulfling.model.cluster import Cluster
from wulfling.model.ports import PORTS, Who, ports


def numbers(cluster: Cluster, node: str) -> set[str]:
    own = ports(cluster, cluster.node(node))
    return {port.number for port in own if port.who is Who.MEMBERS and port.protocol == "tcp"}


def test_each_role_has_its_own_ports() -> None:
    cluster = cluster_of("head-worker-storage")
    assert numbers(cluster, "rpnode01") == {"6817", "6818", "6819", "1024-65535"}
    assert numbers(cluster, "rpnode02") == {"6818", "1024-65535"}
    assert numbers(cluster, "filenode01") == {"2049"}


def test_a_head_that_does_not_compute_is_called_back_by_ranks() -> None:
    cluster = cluster_of("one-head")
    assert numbers(cluster, "vim4") == {"6817", "6819", "2049", "32768-60999"}


def test_without_slurm_a_machinefile_may_name_any_board() -> None:
    cluster = cluster_of("plain-mpi")
    for node in cluster.nodes:
        assert "1024-65535" in numbers(cluster, node.name)
        assert "6817" not in numbers(cluster, node.name)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rules_have_each_row_and_no_other(shape: str) -> None:
    cluster = cluster_of(shape)
    for node in cluster.nodes:
        wanted = [p for p in ports(cluster, node) if p.who is not Who.ITSELF]
        lines = [x.strip() for x in rules(cluster, node).splitlines() if " dport " in x]
        assert len(lines) == len(wanted)
        for line, port in zip(lines, wanted, strict=True):
            assert f"{port.protocol} dport {port.number} accept" in line
            assert line.startswith("ip saddr @members ") == (port.who is Who.MEMBERS)


@pytest.mark.parametrize("port", PORTS)
def test_a_row_covers_its_numbers(port: object) -> None:
    row = next(p for p in PORTS if p is port)
    first, _, last = row.number.partition("-")
    assert row.covers(row.protocol, int(first))
    assert row.covers(row.protocol, int(last or first))
    assert not row.covers(row.protocol, int(first) - 1)
    assert not row.covers("udp" if row.protocol == "tcp" else "tcp", int(first))
