"""Mixes of distributions: what Slurm takes, what it refuses, and what a person can do then."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.measured import PI

from wulfling.errors import NodeFailed
from wulfling.model.cluster import Cluster, Node, Role, Slurm, SlurmBuild
from wulfling.spec import releases


def cluster(*systems: str, head: str = "n1") -> Cluster:
    """One compute node for each system ("debian 13", "" for a board never reached)."""
    nodes = []
    for number, system in enumerate(systems, start=1):
        name = f"n{number}"
        os_id, _, version = system.partition(" ")
        hardware = replace(PI, os_id=os_id, os_version=version) if system else None
        roles = {Role.COMPUTE} | ({Role.HEAD} if name == head else set())
        nodes.append(Node(name, IPv4Address(f"10.0.0.{number}"), frozenset(roles), hardware))
    return Cluster(
        name="c",
        network=IPv4Network("10.0.0.0/24"),
        domain="home.local",
        virtual=False,
        head=head,
        nodes=tuple(nodes),
        storage=(),
        slurm=Slurm(partitions=()),
        people=(),
        admin="wulfling",
        admin_keys=(),
        login="pi",
    )


@pytest.mark.parametrize(
    "systems",
    [
        ("debian 12", "debian 12", "raspbian 12"),
        ("debian 13", "ubuntu 24.04"),
        ("ubuntu 24.04", "debian 12"),
        ("debian 12", ""),
        ("", "debian 13"),
        ("debian 12", "arch rolling"),
    ],
)
def test_what_slurm_takes(systems: tuple[str, ...]) -> None:
    releases.check(cluster(*systems))


@pytest.mark.parametrize(
    ("systems", "refused"),
    [
        (("debian 12", "debian 13"), "n2"),
        (("debian 12", "debian 12", "debian 13", "ubuntu 24.04"), "n3, n4"),
        (("debian 13", "debian 12"), "n2"),
        (("debian 12", "ubuntu 22.04"), "n2"),
        (("ubuntu 22.04", "debian 12"), "n1, n2"),  # guide 000's Khadas with newer boards
    ],
)
def test_what_slurm_refuses_is_refused_with_all_boards(
    systems: tuple[str, ...], refused: str
) -> None:
    with pytest.raises(NodeFailed) as caught:
        releases.check(cluster(*systems))
    assert caught.value.where == refused


def test_the_refusal_says_why_and_what_to_do() -> None:
    with pytest.raises(NodeFailed) as caught:
        releases.check(cluster("debian 12", "debian 13"))
    assert caught.value.message == (
        "n2 has Debian 13 with Slurm 24.11, and the head's 22.05 does not understand it"
    )
    assert caught.value.hint == (
        "install Debian 12 on n2, or take the roles compute and login from n2, or build one"
        " version for all boards: `slurm: {build: {version: 24.11.5, source: trixie}}`"
    )


def test_one_version_for_all_boards_is_no_mix() -> None:
    mixed = cluster("debian 12", "debian 13")
    build = SlurmBuild("24.11.5", "trixie")
    releases.check(replace(mixed, slurm=Slurm(partitions=(), build=build)))


def test_another_head_may_be_a_way_out() -> None:
    with pytest.raises(NodeFailed) as caught:
        releases.check(cluster("debian 12", "ubuntu 24.04"))
    assert "make n2 the head" in caught.value.hint


def test_a_file_server_may_have_any_system() -> None:
    mixed = cluster("debian 12", "debian 13")
    server = replace(mixed.nodes[1], roles=frozenset({Role.STORAGE}))
    releases.check(replace(mixed, nodes=(mixed.nodes[0], server)))


def test_without_slurm_nothing_is_refused() -> None:
    releases.check(replace(cluster("debian 12", "debian 13"), slurm=None))
