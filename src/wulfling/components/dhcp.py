"""Gives the boards their addresses and names from the head: DHCP and DNS (2-03)."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

SETTINGS_FILE = "/etc/wulfling-dnsmasq.conf"
UNIT = "wulfling-dnsmasq.service"

# A daemon of our own: that of Debian's package dnsmasq listens everywhere, and may be the user's.
UNIT_TEXT = f"""[Unit]
Description=Addresses and names of the cluster's boards (wulfling)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre=/usr/sbin/dnsmasq --test --conf-file={SETTINGS_FILE}
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file={SETTINGS_FILE}
Restart=always
RestartSec=2
StateDirectory=wulfling-dnsmasq
ProtectSystem=full
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """dnsmasq on the head, and nowhere else."""
    if not cluster.gateway.dhcp or node.name != cluster.head:
        return
    yield Packages(names=("dnsmasq-base",), why="dnsmasq(8): DHCP and DNS for a small network")
    settings = File(
        path=SETTINGS_FILE,
        content=dnsmasq_conf(cluster),
        why="dnsmasq(8): each board by its hardware address; strangers get no answer",
    )
    unit = File(
        path=f"/etc/systemd/system/{UNIT}",
        content=UNIT_TEXT,
        why="beside, not instead of, a dnsmasq that you may have",
    )
    yield from (settings, unit)
    yield Service(
        unit=UNIT,
        configured=digest(settings.content, unit.content),
        watches=(settings.key, unit.key),
        ready=("bash", "-c", f"exec 3<>/dev/tcp/{cluster.address(cluster.head)}/53"),
        why="a fixed address for every board, and their names for whoever asks",
    )


def dnsmasq_conf(cluster: Cluster) -> str:
    """The text of dnsmasq's configuration (dnsmasq(8)).

    It listens on the cluster's address of the head, also for DHCP, and answers nobody whose
    hardware address is not in the cluster file: on a network that has another DHCP server, too,
    guests are left to that one.
    """
    head, network = cluster.address(cluster.head), cluster.network
    router = cluster.cards.gateway or (head if cluster.gateway.nat else None)
    lines = [
        "# Written by wulfling from the cluster file.",
        f"listen-address={head}",
        "bind-dynamic",  # also when the address comes later; never 0.0.0.0:53
        *([f"except-interface={cluster.gateway.uplink}"] if cluster.gateway.uplink else []),
        "no-hosts",
        "domain-needed",
        "bogus-priv",
        f"domain={cluster.domain}",
        f"local=/{cluster.domain}/",
        *(f"host-record={n.name},{n.name}.{cluster.domain},{n.address}" for n in cluster.nodes),
        f"dhcp-range={network.network_address},static,{network.netmask},12h",
        "dhcp-ignore=tag:!known",
        "dhcp-authoritative",  # a board that comes from another network need not wait
        "dhcp-leasefile=/var/lib/wulfling-dnsmasq/leases",
        f"dhcp-option=option:router{f',{router}' if router else ''}",  # empty: none
        f"dhcp-option=option:dns-server,{head}",
        f"dhcp-option=option:ntp-server,{head}",
        *(
            f"dhcp-host={n.mac},{n.address},{n.name}"
            for n in cluster.nodes
            if n.mac is not None and n.name != cluster.head
        ),
    ]
    return "\n".join(lines) + "\n"
