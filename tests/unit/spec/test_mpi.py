"""Boards whose MPI cannot talk to each other: which get another, and what is said of the rest."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.measured import PI

from wulfling.model.cluster import Cluster, Hardware, Node, Partition, Role, Slurm, SlurmBuild
from wulfling.spec import mpi


def board(system: str) -> Hardware | None:
    """Of "debian 12 arm64"; ``None`` of ""."""
    if not system:
        return None
    os_id, version, arch = system.split()
    return replace(PI, os_id=os_id, os_version=version, arch=arch)


def cluster(*systems: str, partitions: tuple[Partition, ...] = ()) -> Cluster:
    """One compute node for each system, "" for a board never reached, and one Slurm for all."""
    nodes = tuple(
        Node(
            f"pi{number:02}",
            IPv4Address(f"10.0.0.{number}"),
            frozenset({Role.COMPUTE} | ({Role.HEAD} if number == 1 else set())),
            board(system),
        )
        for number, system in enumerate(systems, start=1)
    )
    everybody = Partition("batch", tuple(node.name for node in nodes), default=True)
    return Cluster(
        name="c",
        network=IPv4Network("10.0.0.0/24"),
        domain="home.local",
        virtual=False,
        head="pi01",
        nodes=nodes,
        storage=(),
        slurm=Slurm(partitions or (everybody,), build=SlurmBuild("24.11.5", "trixie")),
        people=(),
        admin="wulfling",
        admin_keys=(),
        login="pi",
    )


def test_two_releases_in_one_partition_get_one_mpich_and_no_warning() -> None:
    before = cluster("debian 12 arm64", "debian 12 arm64", "debian 13 arm64")
    after = mpi.settled(before)
    assert after == replace(before, mpich="4.2.3")
    assert mpi.warnings(after) == ()


def test_a_32_bit_system_among_64_bit_ones_is_told_with_the_ways_out() -> None:
    before = cluster("debian 12 armhf", "debian 12 arm64", "debian 12 arm64")
    assert mpi.settled(before) == before  # it would help nobody
    (warning,) = mpi.warnings(before)
    assert warning.where == "partition batch"
    assert warning.message == (
        "it has pi01 with MPICH 4.0 on ch3 and pi[02-03] with MPICH 4.0 on UCX:"
        " ranks of one MPI job that meet across them wait for ever"
    )
    assert warning.hint == (
        "give each of these groups a partition of its own, or install Debian 12 arm64 on pi01"
    )


def test_one_mpich_for_the_others_does_not_silence_the_32_bit_system() -> None:
    after = mpi.settled(cluster("debian 12 armhf", "debian 12 arm64", "debian 13 arm64"))
    assert after.mpich == "4.2.3"
    (warning,) = mpi.warnings(after)
    assert "pi01 with MPICH 4.0 on ch3 and pi[02-03] with MPICH 4.2 on UCX" in warning.message


def test_an_architecture_that_pypi_has_nothing_for_is_told_of() -> None:
    before = cluster("debian 12 ppc64el", "debian 13 ppc64el")
    assert mpi.settled(before) == before
    assert len(mpi.warnings(before)) == 1


@pytest.mark.parametrize(
    "systems",
    [
        ("debian 12 arm64", "debian 12 amd64"),
        ("debian 13 arm64", "ubuntu 24.04 arm64"),
        ("debian 12 armhf", "raspbian 12 armhf"),
        ("debian 12 arm64", ""),
        ("debian 12 arm64", "arch rolling arm64"),
    ],
)
def test_boards_that_talk_and_boards_that_nobody_knows_are_not(systems: tuple[str, ...]) -> None:
    assert mpi.warnings(cluster(*systems)) == ()
    assert mpi.settled(cluster(*systems)).mpich == ""


def test_with_a_partition_for_each_release_they_keep_their_own() -> None:
    partitions = (Partition("twelve", ("pi01",), default=True), Partition("thirteen", ("pi02",)))
    apart = cluster("debian 12 arm64", "debian 13 arm64", partitions=partitions)
    assert mpi.warnings(apart) == ()
    assert mpi.settled(apart) == apart


def test_a_board_that_computes_nothing_counts_where_a_machinefile_may_name_it() -> None:
    mixed = cluster("debian 12 arm64", "debian 13 arm64")
    server = replace(mixed.nodes[1], roles=frozenset({Role.STORAGE}))
    mixed = replace(mixed, nodes=(mixed.nodes[0], server))
    assert mpi.settled(mixed) == mixed
    assert mpi.settled(replace(mixed, slurm=None)).mpich == "4.2.3"


def test_without_slurm_a_machinefile_may_name_any_board() -> None:
    boards = cluster("debian 12 armhf", "debian 12 arm64")
    (warning,) = mpi.warnings(replace(boards, slurm=None))
    assert warning.where == "machinefile"
    assert warning.hint.startswith("give each of these groups a machinefile of its own")
