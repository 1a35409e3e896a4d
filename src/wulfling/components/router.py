"""Leads the boards of a private network to the internet by way of the head (2-03, 2-04)."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

SYSCTL_FILE = "/etc/sysctl.d/90-wulfling-router.conf"
RULES_FILE = "/etc/nftables.d/wulfling-nat.nft"
NAT_UNIT = "wulfling-nat.service"
ROUTE_UNIT = "wulfling-route.service"
UNITS = "/etc/systemd/system"

# A table of our own: nothing of the user's is flushed, and the first two lines replace it in
# one transaction (nft(8): `table` makes it if it is not there). Linux takes packets for any
# address of its own on any interface, so the head's address inside needs the same guard as the
# boards': its name server, packages and Slurm are not for the house.
RULES_TEXT = """#!/usr/sbin/nft -f
table ip wulfling_nat
delete table ip wulfling_nat
table ip wulfling_nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {network} ip daddr != {network} oifname "{uplink}" masquerade
    }}
    chain from_outside {{
        ct state established,related accept
        icmp type echo-request accept
        tcp dport 22 accept
        counter drop
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "{uplink}" ip daddr {network} jump from_outside
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{uplink}" ip daddr {network} jump from_outside
    }}
}}
"""

# `flush ruleset` of nftables.service takes our table along: what happens to it happens to us.
NAT_TEXT = f"""[Unit]
Description=Way from the cluster's network to the internet (wulfling)
After=nftables.service systemd-sysctl.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/sysctl -q -p {SYSCTL_FILE}
ExecStart=/usr/sbin/nft -f {RULES_FILE}
ExecReload=/usr/sbin/sysctl -q -p {SYSCTL_FILE}
ExecReload=/usr/sbin/nft -f {RULES_FILE}
ExecStop=-/usr/sbin/nft delete table ip wulfling_nat

[Install]
WantedBy=multi-user.target nftables.service
"""

# Debian has four programs that may own a board's network, and each of them takes foreign routes
# away when a cable was pulled. Asked again and again, the kernel does not care which it is.
ROUTE_TEXT = """[Unit]
Description=Way to the internet over the head (wulfling)
After=network.target

[Service]
ExecStart=/bin/sh -c 'while :; do {replace} 2>/dev/null || :; sleep 20; done'
ExecStopPost=-/bin/sh -c '{delete} 2>/dev/null'

[Install]
WantedBy=multi-user.target
"""
METRIC = 20  # before what NetworkManager (100), dhcpcd (200) and systemd-networkd (1024) find


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Forwarding and masquerading on the head, a default route to it on the others."""
    if not cluster.gateway.nat:
        return
    if node.name == cluster.head:
        yield from _router(cluster)
    else:
        yield from _route(f"{cluster.address(cluster.head)}")


def _router(cluster: Cluster) -> Iterator[Resource]:
    yield Packages(names=("nftables", "procps"), why="masquerading: nft(8), and sysctl(8)")
    forwarding = File(
        path=SYSCTL_FILE,
        content="net.ipv4.ip_forward = 1\n",
        why="the kernel passes on packets that are not for this board",
    )
    rules = File(
        path=RULES_FILE,
        content=RULES_TEXT.format(network=cluster.network, uplink=cluster.gateway.uplink),
        validate=("nft", "-c", "-f"),
        why=f"what the boards send leaves by {cluster.gateway.uplink} under the head's own address",
    )
    unit = File(
        path=f"{UNITS}/{NAT_UNIT}",
        content=NAT_TEXT,
        why="loads a table of its own, at boot and after the firewall's",
    )
    yield from (forwarding, Directory(path=RULES_FILE.rpartition("/")[0]), rules, unit)
    yield Service(
        unit=NAT_UNIT,
        configured=digest(forwarding.content, rules.content, unit.content),
        watches=(forwarding.key, rules.key, unit.key),
        reload=True,
        why="the boards reach the internet, and of the internet only answers reach the boards",
    )


def _route(head: str) -> Iterator[Resource]:
    yield Packages(names=("iproute2",), why="ip(8)")
    way = f"default via {head} proto static metric {METRIC}"
    unit = File(
        path=f"{UNITS}/{ROUTE_UNIT}",
        content=ROUTE_TEXT.format(replace=f"ip route replace {way}", delete=f"ip route del {way}"),
        why="ip-route(8); whichever program owns the board's network, the route comes back",
    )
    yield unit
    yield Service(
        unit=ROUTE_UNIT,
        configured=digest(unit.content),
        watches=(unit.key,),
        why="the way to the internet leads over the head",
    )
