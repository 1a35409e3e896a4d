"""A small cluster to change one thing of."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.measured import PI

from wulfling.model.cluster import (
    Cluster,
    Hardware,
    Node,
    Partition,
    Person,
    Role,
    Secrets,
    Share,
    Slurm,
)


@pytest.fixture
def board() -> Hardware:
    """A Raspberry Pi 4 with 4 GB."""
    return replace(PI, cmdline_file="/boot/firmware/cmdline.txt")


@pytest.fixture
def cluster(board: Hardware) -> Cluster:
    """Head, worker and storage board."""
    roles = {"one": {Role.HEAD, Role.COMPUTE}, "two": {Role.COMPUTE}, "files": {Role.STORAGE}}
    return Cluster(
        name="c",
        network=IPv4Network("10.0.0.0/24"),
        domain="home.local",
        virtual=False,
        head="one",
        nodes=tuple(
            Node(name, IPv4Address("10.0.0.0") + number, frozenset(own), board)
            for number, (name, own) in enumerate(roles.items(), 1)
        ),
        storage=(Share("/home", "files"), Share("/nfs", "files")),
        slurm=Slurm((Partition("batch", ("one", "two"), default=True),)),
        people=(Person("kim", 2001, "school", limits=(("cpu", 4),)),),
        admin="wulfling",
        admin_keys=("ssh-ed25519 AAAA kim",),
        login="pi",
        secrets=Secrets(munge_key=b"0123456789abcdef" * 8),
    )
