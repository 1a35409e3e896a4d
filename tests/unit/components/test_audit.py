"""What is written down of who came in and what was changed, and what is not (issue 5, item 3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wulfling.components import audit, compile_cluster
from wulfling.model.cluster import Cluster
from wulfling.node.resources.file import File
from wulfling.node.resources.service import Service


def rules(cluster: Cluster) -> list[str]:
    declared = audit.resources(cluster, cluster.node("two"))
    (text,) = [r.content for r in declared if isinstance(r, File)]
    return [line for line in text.splitlines() if line and line[0] != "#"]


def test_the_file_takes_all_of_it_away(cluster: Cluster) -> None:
    two = cluster.node("two")
    ours = {r.key for r in (*audit.before(cluster, two), *audit.resources(cluster, two))}
    left = {r.key for r in compile_cluster(replace(cluster, hardening=False))["two"]}
    assert not (ours - {"packages:apt"}) & left


def test_a_job_pays_for_none_of_it(cluster: Cluster) -> None:
    """What nobody logged in for has no place in the kernel's list of tasks to look at."""
    first = next(line for line in rules(cluster) if line.startswith("-a"))
    assert first == "-a never,task -F auid=unset"
    calls = [line for line in rules(cluster) if " -S " in line]
    assert [line.split()[-1] for line in calls] == ["modules"]


def test_a_full_log_holds_nobody_up(cluster: Cluster) -> None:
    assert "--backlog_wait_time 0" in rules(cluster)


@pytest.mark.parametrize(("arch", "name"), [("arm64", "b64"), ("amd64", "b64"), ("armhf", "b32")])
def test_the_boards_own_system_calls(cluster: Cluster, arch: str, name: str) -> None:
    hardware = cluster.node("two").hardware
    assert hardware
    nodes = tuple(replace(node, hardware=replace(hardware, arch=arch)) for node in cluster.nodes)
    assert [line for line in rules(replace(cluster, nodes=nodes)) if f"arch={name}" in line]


def test_a_kernel_without_audit_skips_it_before_the_package_starts_it(cluster: Cluster) -> None:
    """Or apt would start a daemon that fails, and the board would be called degraded."""
    keys = [resource.key for resource in compile_cluster(cluster)["two"]]
    for path in audit.DROP_INS:
        assert keys.index(f"file:{path}") < keys.index("packages:apt")
    (service,) = [
        r for r in audit.resources(cluster, cluster.node("two")) if isinstance(r, Service)
    ]
    assert service.conditional
