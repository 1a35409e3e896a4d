"""What the head gets so that devices come in, and what nobody else gets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from wulfling.components import DEVICES, compile_cluster, remote
from wulfling.model.cluster import Cluster, Device, Wireguard
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages

LAPTOP = Device("laptop", IPv4Address("10.88.0.2"), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")
WAY = Wireguard("home.example.org", 51820, IPv4Network("10.88.0.0/24"), False, (LAPTOP,))


@pytest.fixture
def away(cluster: Cluster) -> Cluster:
    """The cluster with a laptop that comes in."""
    return replace(cluster, wireguard=WAY)


def files(cluster: Cluster) -> dict[str, str]:
    head = cluster.node(cluster.head)
    return {r.path: r.content for r in remote.resources(cluster, head) if isinstance(r, File)}


def test_without_a_word_in_the_file_nothing_is_declared(cluster: Cluster) -> None:
    assert [r for node in cluster.nodes for r in remote.resources(cluster, node)] == []


def test_only_the_head_takes_part(away: Cluster) -> None:
    assert [bool(list(remote.resources(away, node))) for node in away.nodes] == [True, False, False]


def test_a_device_is_a_matter_of_one_file_and_the_service(away: Cluster) -> None:
    """That is all that add-device and remove-device ask of the head."""
    before, after = (
        {r.key: r for r in compile_cluster(cluster)["one"]}
        for cluster in (away, replace(away, wireguard=replace(WAY, devices=())))
    )
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {f"file:{remote.PEERS_FILE}", f"service:{remote.UNIT}"} == set(DEVICES)


def test_forwarding_only_where_the_file_says_so(away: Cluster) -> None:
    assert remote.SYSCTL_FILE not in files(away)
    assert "10.0.0.0/24 tcp" not in files(away)[remote.RULES_FILE]
    further = files(replace(away, wireguard=replace(WAY, to_boards=True)))
    assert further[remote.SYSCTL_FILE] == "net.ipv4.ip_forward = 1\n"
    assert "ip daddr 10.0.0.0/24 tcp dport 22 accept" in further[remote.RULES_FILE]


def test_virtual_boards_load_no_rules(away: Cluster) -> None:
    virtual = replace(away, virtual=True)
    assert not [path for path in files(virtual) if path.endswith(".nft")]
    assert " rules=\n" in files(virtual)[remote.PROGRAM]
    names = {
        name
        for r in remote.resources(virtual, virtual.node("one"))
        if isinstance(r, Packages)
        for name in r.names
    }
    assert "nftables" not in names and "wireguard-go" in names


def test_no_private_key_is_in_any_file(away: Cluster) -> None:
    """It is made on the board; what wulfling writes may be read in every plan."""
    assert all(
        "PrivateKey = " not in text.replace("PrivateKey = '", "") for text in files(away).values()
    )
    assert not any(
        r.secret
        for r in compile_cluster(away)["one"]
        if isinstance(r, File) and "wireguard" in r.path
    )
