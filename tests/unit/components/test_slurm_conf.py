"""slurm.conf and cgroup.conf: what boards have, less what they need themselves."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from wulfling.components import compile_cluster
from wulfling.components.slurm_conf import cgroup_conf, gres_conf, memory_for_jobs, slurm_conf
from wulfling.model.cluster import Cluster, Gpu, Hardware, Node, Partition, Role, Slurm
from wulfling.model.slurm_keys import OWNED_KEYS, owned


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def changed(cluster: Cluster, name: str, **values: object) -> Cluster:
    """The cluster with another ``hardware`` of one node."""

    def other(node: Node) -> Node:
        if node.name != name or node.hardware is None:
            return node
        return replace(node, hardware=replace(node.hardware, **values))  # type: ignore[arg-type]

    return replace(cluster, nodes=tuple(map(other, cluster.nodes)))


def without_hardware(cluster: Cluster, *names: str) -> Cluster:
    nodes = (replace(n, hardware=None) if n.name in names else n for n in cluster.nodes)
    return replace(cluster, nodes=tuple(nodes))


def test_memory_is_what_the_board_can_spare(cluster: Cluster) -> None:
    one, two, _ = cluster.nodes
    assert memory_for_jobs(two) == (3792 - 64) // 16 * 16
    assert memory_for_jobs(one) == (3792 - 64 - 192) // 16 * 16


@pytest.mark.parametrize(
    ("memory", "for_jobs"),
    [(1, 1), (15, 15), (16, 16), (31, 16), (64, 64), (65, 64), (128, 64), (190, 112), (256, 192)],
)
def test_even_a_tiny_board_has_some_memory_for_jobs(
    cluster: Cluster, board: Hardware, memory: int, for_jobs: int
) -> None:
    tiny = replace(cluster.nodes[1], hardware=replace(board, memory_mb=memory))
    assert memory_for_jobs(tiny) == for_jobs


def test_what_the_file_says_of_memory_counts(cluster: Cluster) -> None:
    assert memory_for_jobs(replace(cluster.nodes[1], memory_mb=1000)) == 1000


def test_a_board_with_every_role_keeps_room_for_each(cluster: Cluster, board: Hardware) -> None:
    everything = replace(cluster.nodes[0], roles=frozenset(Role))
    assert memory_for_jobs(everything) == (3792 - 320) // 16 * 16


def test_a_job_that_does_not_ask_gets_some_memory_however_many_cpus(cluster: Cluster) -> None:
    """DefMemPerCPU=0 means that it gets all of it (slurm.conf(5))."""
    text = slurm_conf(changed(cluster, "two", cores=128, memory_mb=100))
    assert "DefMemPerCPU=1 " in text


def test_a_partition_whose_nodes_were_never_measured_waits(cluster: Cluster) -> None:
    assert cluster.slurm
    two = Slurm((*cluster.slurm.partitions, Partition("late", ("two",))))
    text = slurm_conf(without_hardware(replace(cluster, slurm=two), "two"))
    assert "NodeName=two" not in text
    assert "PartitionName=late" not in text
    assert "PartitionName=batch Nodes=one " in text


def test_with_no_measured_node_there_is_still_a_file(cluster: Cluster) -> None:
    text = slurm_conf(without_hardware(cluster, "one", "two"))
    assert "SelectType=select/cons_tres\n" in text
    assert "PartitionName" not in text
    assert cgroup_conf(without_hardware(cluster, "one", "two"))


def test_a_storage_board_is_no_node_of_slurm(cluster: Cluster) -> None:
    assert "NodeName=files" not in slurm_conf(cluster)


def test_declared_cpus_are_cores_and_override_what_slurmd_finds(cluster: Cluster) -> None:
    nodes = tuple(replace(node, cpus=8) for node in cluster.nodes)
    text = slurm_conf(replace(cluster, nodes=nodes))
    assert "CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1" in text
    assert settings(text)["SlurmdParameters"] == "config_overrides"
    nodes = tuple(replace(node, cpus=4) for node in cluster.nodes)
    assert "SlurmdParameters" not in slurm_conf(replace(cluster, nodes=nodes))


def test_threads(cluster: Cluster) -> None:
    text = slurm_conf(changed(cluster, "two", cores=2, threads_per_core=2))
    assert "NodeName=two NodeAddr=10.0.0.2 CPUs=4 Boards=1" in text
    assert "CoresPerSocket=2 ThreadsPerCore=2" in text


def test_the_users_own_keys_are_there_and_ours_stay(cluster: Cluster) -> None:
    assert cluster.slurm
    extra = replace(cluster.slurm, extra=(("SchedulerParameters", "bf_interval=10"),))
    found = settings(slurm_conf(replace(cluster, slurm=extra)))
    assert found["SchedulerParameters"] == "bf_interval=10"
    assert found["SelectType"] == "select/cons_tres"


def test_every_key_of_ours_is_owned_whatever_its_case(cluster: Cluster) -> None:
    for key in settings(slurm_conf(cluster)):
        assert key in OWNED_KEYS
        assert owned(key.upper())
        assert owned(key.lower())
    assert not owned("SchedulerParameters")


def test_there_is_a_default_partition_in_words_slurm_takes(cluster: Cluster) -> None:
    (line,) = re.findall("^PartitionName=.*$", slurm_conf(cluster), re.MULTILINE)
    assert line == (
        "PartitionName=batch Nodes=one,two Default=YES DefaultTime=1-00:00:00"
        " MaxTime=30-00:00:00 DefMemPerCPU=884 State=UP"
    )


def test_cgroup_conf_asks_for_what_every_board_has(cluster: Cluster) -> None:
    assert settings(cgroup_conf(cluster)) == {
        "CgroupPlugin": "cgroup/v2",
        "ConstrainCores": "yes",
        "ConstrainRAMSpace": "yes",
        "ConstrainSwapSpace": "no",
    }
    poor = settings(cgroup_conf(changed(cluster, "two", cgroup_controllers=("cpu",), swap_mb=9)))
    assert poor["ConstrainCores"] == poor["ConstrainRAMSpace"] == poor["ConstrainSwapSpace"] == "no"
    swapping = settings(cgroup_conf(changed(cluster, "two", swap_mb=100)))
    assert swapping["ConstrainSwapSpace"] == "yes"
    storage_counts_not = changed(cluster, "files", cgroup_controllers=())
    assert settings(cgroup_conf(storage_counts_not))["ConstrainRAMSpace"] == "yes"


def with_gpus(cluster: Cluster, name: str, *gpus: Gpu) -> Cluster:
    nodes = (replace(n, gpus=gpus) if n.name == name else n for n in cluster.nodes)
    return replace(cluster, nodes=tuple(nodes))


def test_2_65_gpus_of_a_node_are_gres_that_are_accounted_and_guarded(cluster: Cluster) -> None:
    kinds = ("a2000", "a4000", "a2000")
    gpus = (Gpu(kind, f"/dev/nvidia{n}") for n, kind in enumerate(kinds))
    found = with_gpus(cluster, "two", *gpus)
    text = slurm_conf(found)
    assert "\nGresTypes=gpu\n" in text and "\nAccountingStorageTRES=gres/gpu\n" in text
    (two,) = [line for line in text.splitlines() if line.startswith("NodeName=two ")]
    assert " Gres=gpu:a2000:2,gpu:a4000:1 " in two
    assert text.count("Gres=") == 1
    assert gres_conf(found).splitlines() == [
        "AutoDetect=off",
        "NodeName=two Name=gpu Type=a2000 File=/dev/nvidia0",
        "NodeName=two Name=gpu Type=a4000 File=/dev/nvidia1",
        "NodeName=two Name=gpu Type=a2000 File=/dev/nvidia2",
    ]
    assert settings(cgroup_conf(found))["ConstrainDevices"] == "yes"


def test_without_gpus_nothing_is_said_of_them(cluster: Cluster) -> None:
    """S21: a list of devices that jobs may open is obsolete, and often too long."""
    for found in (cluster, without_hardware(with_gpus(cluster, "two", Gpu("x", "/dev/x")), "two")):
        assert gres_conf(found) == ""
        assert "Gpu" not in (text := slurm_conf(found)) and "gpu" not in text
        assert "ConstrainDevices" not in cgroup_conf(found)


def test_every_key_about_gpus_is_ours(cluster: Cluster) -> None:
    text = slurm_conf(with_gpus(cluster, "two", Gpu("a2000", "/dev/nvidia0")))
    assert {line.split("=")[0] for line in text.splitlines() if line[0] != "#"} <= OWNED_KEYS


def test_2_63_debian_12_finds_pmix_for_programs_of_open_mpi(
    cluster: Cluster, board: Hardware
) -> None:
    """Its plugin looks for a name that only libpmix-dev has; other releases were not tried."""
    link = "link:/usr/lib/aarch64-linux-gnu/pmix2/lib/libpmix.so"
    newer = changed(cluster, "two", os_codename="trixie")
    for found, has in ((cluster, {"one", "two"}), (newer, {"one"})):
        declared = compile_cluster(found)
        assert {node for node, each in declared.items() if link in [r.key for r in each]} == has
        for node in has:
            (slurmd,) = [r for r in declared[node] if r.key == "service:slurmd.service"]
            assert link in getattr(slurmd, "watches", ())
