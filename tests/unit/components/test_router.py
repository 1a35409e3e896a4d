"""Who routes, who is routed, and what the DHCP server says of a way out."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from wulfling.components import dhcp, router
from wulfling.components.dhcp import dnsmasq_conf
from wulfling.model.cluster import Cards, Cluster, Gateway
from wulfling.node.resources.file import File
from wulfling.node.resources.service import Service


@pytest.fixture
def routed(cluster: Cluster) -> Cluster:
    macs = (None, "dc:a6:32:01:02:02", "dc:a6:32:01:02:03")
    nodes = tuple(replace(n, mac=mac) for n, mac in zip(cluster.nodes, macs, strict=True))
    return replace(cluster, nodes=nodes, gateway=Gateway(nat=True, dhcp=True, uplink="wlan0"))


def test_one_routes_and_the_others_are_routed(routed: Cluster) -> None:
    units = {
        node.name: [r.unit for r in router.resources(routed, node) if isinstance(r, Service)]
        for node in routed.nodes
    }
    route = ["wulfling-route.service"]
    assert units == {"one": ["wulfling-nat.service"], "two": route, "files": route}


def test_the_head_alone_gives_addresses(routed: Cluster) -> None:
    assert [bool(list(dhcp.resources(routed, node))) for node in routed.nodes] == [
        True,
        False,
        False,
    ]


def test_without_a_word_in_the_file_nothing_is_declared(cluster: Cluster) -> None:
    for node in cluster.nodes:
        assert [*router.resources(cluster, node), *dhcp.resources(cluster, node)] == []


def test_every_chain_speaks_of_the_uplink_and_the_clusters_network_alone(routed: Cluster) -> None:
    """Whatever else the head does with its network is left alone."""
    head = routed.node(routed.head)
    (rules,) = [
        r.content
        for r in router.resources(routed, head)
        if isinstance(r, File) and r.path == router.RULES_FILE
    ]
    hooked = [line.strip() for line in rules.splitlines() if line.strip().startswith(("ip", "iif"))]
    assert len(hooked) == 3
    assert all('"wlan0"' in line and "10.0.0.0/24" in line for line in hooked)


@pytest.mark.parametrize(
    ("gateway", "cards", "option"),
    [
        (Gateway(dhcp=True, nat=True, uplink="wlan0"), Cards(), "option:router,10.0.0.1"),
        (Gateway(dhcp=True), Cards(IPv4Address("10.0.0.254")), "option:router,10.0.0.254"),
        (Gateway(dhcp=True), Cards(), "option:router"),
    ],
)
def test_boards_are_sent_to_a_router_only_where_there_is_one(
    routed: Cluster, gateway: Gateway, cards: Cards, option: str
) -> None:
    """dnsmasq(8) names itself when it is told nothing."""
    text = dnsmasq_conf(replace(routed, gateway=gateway, cards=cards))
    assert f"dhcp-option={option}" in text.splitlines()


def test_a_board_with_a_known_card_has_its_address_and_the_head_has_none(routed: Cluster) -> None:
    hosts = [line for line in dnsmasq_conf(routed).splitlines() if line.startswith("dhcp-host=")]
    assert hosts == [
        "dhcp-host=dc:a6:32:01:02:02,10.0.0.2,two",
        "dhcp-host=dc:a6:32:01:02:03,10.0.0.3,files",
    ]
