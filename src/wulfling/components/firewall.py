"""Who may reach which port of a board: nftables, made of the table of ports (``model.ports``)."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import TUNNEL, Cluster, Node
from wulfling.model.ports import Port, Who, ports
from wulfling.model.resource import Resource
from wulfling.node.resources.file import File
from wulfling.node.resources.firewall import RULES, UNIT, Firewall
from wulfling.node.resources.packages import Packages

# Before the network is up, as Debian's nftables.service; a `flush ruleset` of that one takes our
# table along, so what happens to it happens to us. Without the rules, which are kept only after
# somebody has come in through them, there is nothing to do.
UNIT_TEXT = f"""[Unit]
Description=Firewall of a board of the cluster (wulfling)
DefaultDependencies=no
ConditionPathExists={RULES}
After=nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {RULES}
ExecReload=/usr/sbin/nft -f {RULES}
ExecStop=-/usr/sbin/nft delete table inet wulfling

[Install]
WantedBy=sysinit.target
"""

# A table of our own, replaced in one transaction (nft(8): `table` makes it if it is not there).
# It only takes packets away: another table, that of a router for one, may refuse more.
RULES_TEXT = """#!/usr/sbin/nft -f
table inet wulfling
delete table inet wulfling
table inet wulfling {{
    set members {{
        type ipv4_addr
        elements = {{ {members} }}
    }}
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iifname "lo" accept
        meta l4proto {{ icmp, igmp, ipv6-icmp }} accept
{rules}
        counter comment "what nobody has asked for"
    }}
}}
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The table on every board, unless the file says `firewall: false`."""
    if cluster.firewall is None:
        return
    yield Packages(names=("nftables",), why="nft(8), the firewall")
    yield File(
        path=f"/etc/systemd/system/{UNIT}",
        content=UNIT_TEXT,
        why="loads the rules at boot, before there is a network",
    )
    yield Firewall(
        rules=rules(cluster, node),
        why="what listens here, and for whom: docs/reference/ports.md; loaded so that a mistake"
        " takes itself back",
    )


def rules(cluster: Cluster, node: Node) -> str:
    """The rules of one board, as nft(8) reads them."""
    lines = [line for port in ports(cluster, node) for line in _allow(cluster, port)]
    assert cluster.firewall
    lines += [
        f'{protocol} dport {number} accept comment "the file: open"'
        for protocol, number in cluster.firewall.open
    ]
    return RULES_TEXT.format(
        members=", ".join(str(other.address) for other in cluster.nodes),
        rules="\n".join(f"        {line}" for line in lines),
    )


def _allow(cluster: Cluster, port: Port) -> Iterator[str]:
    """The rules of one row. Answers to what the board itself asked need none."""
    accept = f'{port.protocol} dport {port.number} accept comment "{port.program}"'
    assert cluster.firewall
    if port.who is Who.MEMBERS:
        yield f"ip saddr @members {accept}"
    elif port.who is Who.TUNNEL:
        yield f'iifname "{TUNNEL}" {accept}'
    elif port.who in (Who.LINK, Who.ANYBODY) or (
        port.who is Who.LOGIN and not cluster.firewall.ssh
    ):
        yield accept
    elif port.who is Who.LOGIN:
        yield f"ip saddr @members {accept}"
        tunnel = (cluster.wireguard.network,) if cluster.wireguard else ()
        networks = ", ".join(map(str, (*cluster.firewall.ssh, *tunnel)))
        yield f"ip saddr {{ {networks} }} {accept}"
        if cluster.tailscale:
            yield f'iifname "tailscale0" {accept}'
