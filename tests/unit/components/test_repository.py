"""One Slurm on all boards: which packages, from where, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from wulfling.components import compile_cluster
from wulfling.components.repository import KEYRING, UNIT
from wulfling.model.cluster import Cluster, Repository, SlurmBuild
from wulfling.model.resource import Resource
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages

REPOSITORY = Repository("bookworm", "arm64", (("slurm-smd_1_arm64.deb", "ab" * 32),), "I", "R")
BUILD = SlurmBuild("24.11.5", "trixie", "KEY", (REPOSITORY,))


@pytest.fixture
def mixed(cluster: Cluster) -> Cluster:
    """The head and the storage board of Debian 12, the worker of Debian 13."""
    two = cluster.node("two")
    assert two.hardware
    newer = replace(two.hardware, os_version="13", os_codename="trixie")
    nodes = tuple(replace(n, hardware=newer) if n is two else n for n in cluster.nodes)
    assert cluster.slurm
    return replace(cluster, nodes=nodes, slurm=replace(cluster.slurm, build=BUILD))


def keys(resources: tuple[Resource, ...]) -> list[str]:
    return [resource.key for resource in resources]


def packages(declared: Mapping[str, tuple[Resource, ...]], node: str) -> Packages:
    return next(r for r in declared[node] if isinstance(r, Packages))


def files(resources: tuple[Resource, ...]) -> dict[str, str]:
    return {r.path: r.content for r in resources if isinstance(r, File)}


def test_a_board_of_the_source_release_takes_debians_own(mixed: Cluster) -> None:
    declared = compile_cluster(mixed)
    assert ("slurmd", "24.11.5-") in packages(declared, "two").versions
    assert KEYRING not in files(declared["two"])
    pins = files(declared["two"])["/etc/apt/preferences.d/wulfling"]
    assert "Pin: version 24.11.5-*\nPin-Priority: 1001" in pins


def test_the_others_take_what_was_built(mixed: Cluster) -> None:
    declared = compile_cluster(mixed)
    wanted = {"slurm-smd-slurmctld", "slurm-smd-slurmd", "slurm-smd-slurmdbd", "slurm-smd-client"}
    assert wanted < set(packages(declared, "one").names)
    assert not {"slurmctld", "slurmd", "slurmdbd", "slurm-client"} & set(
        packages(declared, "one").names
    )
    assert files(declared["one"])[KEYRING] == "KEY"


def test_everything_apt_needs_comes_before_the_packages_and_the_question_first(
    mixed: Cluster,
) -> None:
    order = keys(compile_cluster(mixed)["one"])
    before = order[: order.index("packages:apt")]
    folder = "/var/lib/wulfling/apt/bookworm-arm64"
    for key in (
        f"blob:{folder}/slurm-smd_1_arm64.deb",
        f"file:{folder}/InRelease",
        f"service:{UNIT}",
        f"file:{KEYRING}",
        "user:slurm",
    ):
        assert before.index("slurm_upgrade:slurm") < before.index(key)


def test_slurmdbd_then_slurmctld_then_the_packages_of_the_other_boards(mixed: Cluster) -> None:
    declared = compile_cluster(mixed)
    order = keys(declared["one"])
    assert order.index("service:slurmdbd.service") < order.index("service:slurmctld.service")
    assert packages(declared, "one").awaits == ()
    assert packages(declared, "two").awaits == ("one/service:slurmctld.service",)


def test_a_board_without_slurm_has_nothing_of_it(mixed: Cluster) -> None:
    assert not [key for key in keys(compile_cluster(mixed)["files"]) if "wulfling.asc" in key]


def test_each_daemon_is_started_again_with_another_version(mixed: Cluster) -> None:
    assert mixed.slurm
    other = replace(mixed.slurm, build=replace(BUILD, version="24.11.6"))
    before, after = compile_cluster(mixed), compile_cluster(replace(mixed, slurm=other))
    for unit in ("slurmdbd", "slurmctld", "slurmd"):
        key = f"service:{unit}.service"
        one, two = (next(r for r in d["one"] if r.key == key) for d in (before, after))
        assert one != two
