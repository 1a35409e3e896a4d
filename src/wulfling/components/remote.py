"""Lets the devices of the file come in from outside, by WireGuard to the head (0-07 to 0-12)."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import TUNNEL, Cluster, Node, Wireguard
from wulfling.model.ports import Who, ports
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

UNIT = "wulfling-wireguard.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
PROGRAM = "/usr/local/sbin/wulfling-wireguard"
FOLDER = "/etc/wireguard"  # Debian's package makes it, with mode 0700
PEERS_FILE = f"{FOLDER}/{TUNNEL}.peers"
RULES_FILE = f"{FOLDER}/{TUNNEL}.nft"
KEY_FILE = f"{FOLDER}/{TUNNEL}.key"
SYSCTL_FILE = "/etc/sysctl.d/90-wulfling-remote.conf"

# The private key is made here and never leaves the board; it gets to wg(8) through a pipe, and
# stands in no argument and in no file that wulfling reads.
PROGRAM_TEXT = """#!/bin/sh
# The head's end of the tunnel (wulfling). run: make the interface and stay; set: make it what the
# files say, also while devices are connected.
set -eu
interface={interface} address={address} key={key} rules={rules}
case $1 in
run)
    ip link delete dev $interface 2>/dev/null || :
    # Kernels before 5.6 have no WireGuard; then a process does the same, more slowly.
    if ip link add dev $interface type wireguard 2>/dev/null; then
        exec sleep infinity
    fi
    modprobe -q tun || :
    exec wireguard-go -f $interface
    ;;
set)
    if [ ! -s $key ]; then
        (umask 077 && wg genkey >$key.new)
        sync $key.new
        mv $key.new $key
        sync /etc/wireguard
    fi
    tries=100
    until wg show $interface listen-port >/dev/null 2>&1; do
        [ $((tries -= 1)) -gt 0 ] || {{ echo "there is no interface $interface" >&2; exit 1; }}
        sleep 0.1
    done
    # Before anybody can come in: what a device may reach.
    [ -z "$rules" ] || nft -f $rules
    {{ printf '[Interface]\\nPrivateKey = '; cat $key {peers}; }} |
        wg syncconf $interface /dev/stdin
    if ! ip -4 -o address show dev $interface | grep -qF " $address "; then
        ip -4 address flush dev $interface
        ip -4 address add $address dev $interface
    fi
    ip link set dev $interface mtu 1420 up
    ;;
esac
"""

# `flush ruleset` of nftables.service takes our table along: what happens to it happens to us.
UNIT_TEXT = """[Unit]
Description=Way in for devices from outside (wulfling)
After=network.target nftables.service systemd-sysctl.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=exec
Environment=WG_PROCESS_FOREGROUND=1
{forwarding}ExecStart={program} run
ExecStartPost={program} set
ExecReload={program} set
ExecStopPost=-/bin/sh -c 'ip link delete dev {interface} 2>/dev/null'
{unfilter}Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target nftables.service
"""

# A table of our own, replaced in one transaction. A device gets to SSH, to the desktop
# where there is one, and to nothing else: not to the head's name server, packages or Slurm, and
# nobody but itself begins to talk to it.
RULES_TEXT = """#!/usr/sbin/nft -f
table ip wulfling_remote
delete table ip wulfling_remote
table ip wulfling_remote {{
    chain from_device {{
        ct state established,related accept
        icmp type echo-request accept
        tcp dport {{ {open} }} accept
        counter drop
    }}
    chain through_head {{
        ct state established,related accept
        {boards}counter drop
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "{interface}" jump from_device
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{interface}" jump through_head
        oifname "{interface}" jump through_head
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {tunnel} ip daddr {network} masquerade
    }}
}}
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The head's end of the tunnel, and what may come out of it."""
    way = cluster.wireguard
    if way is None or node.name != cluster.head:
        return
    yield Packages(
        names=("iproute2", "kmod", "wireguard-go", "wireguard-tools"),
        why="wg(8), and a WireGuard for kernels that have none",
    )
    if not cluster.virtual:
        yield Packages(names=("nftables", "procps"), why="what devices may reach: nft(8)")
    files = tuple(_files(cluster, way))
    yield from files
    yield Service(
        unit=UNIT,
        configured=digest(*(file.content for file in files)),
        watches=tuple(file.key for file in files),
        reload=True,
        why="from each boot on the devices of the file reach the head, and nobody else (0-12)",
    )


def _files(cluster: Cluster, way: Wireguard) -> Iterator[File]:
    filtered = not cluster.virtual  # the kernel of virtual boards has no nftables
    if filtered:
        yield File(
            path=RULES_FILE,
            content=_rules(cluster, way),
            mode=0o600,
            validate=("nft", "-c", "-f"),
            why="a device reaches SSH, and nothing else",
        )
    if way.to_boards:
        yield File(
            path=SYSCTL_FILE,
            content="net.ipv4.ip_forward = 1\n",
            why="the kernel passes on packets that are not for this board",
        )
    yield File(
        path=PROGRAM,
        content=PROGRAM_TEXT.format(
            interface=TUNNEL,
            address=f"{way.head}/{way.network.prefixlen}",
            key=KEY_FILE,
            peers=PEERS_FILE,
            rules=RULES_FILE if filtered else "",
        ),
        mode=0o755,
        why="makes the interface, in the kernel or beside it, and a key that stays on this board",
    )
    forwarding = f"ExecStartPre=/usr/sbin/sysctl -q -p {SYSCTL_FILE}\n" if way.to_boards else ""
    unfilter = "ExecStopPost=-/usr/sbin/nft delete table ip wulfling_remote\n" if filtered else ""
    yield File(
        path=UNIT_FILE,
        content=UNIT_TEXT.format(
            program=PROGRAM, interface=TUNNEL, forwarding=forwarding, unfilter=unfilter
        ),
        why="at boot, with nobody logged in; a daemon that dies is started again",
    )
    yield File(
        path=PEERS_FILE,
        content=_peers(way),
        mode=0o600,
        why="wg(8): who may come in, and under which address",
    )


def _peers(way: Wireguard) -> str:
    """What follows the private key in the file that wg(8) reads."""
    text = f"ListenPort = {way.port}\n"
    for device in way.devices:
        text += f"\n# {device.name}\n[Peer]\nPublicKey = {device.key}\n"
        text += f"AllowedIPs = {device.address}/32\n"
    return text


def _rules(cluster: Cluster, way: Wireguard) -> str:
    boards = (
        f'iifname "{TUNNEL}" ip daddr {cluster.network} icmp type echo-request accept\n'
        f'        iifname "{TUNNEL}" ip daddr {cluster.network} tcp dport 22 accept\n        '
    )
    own = [p.number for p in ports(cluster, cluster.node(cluster.head)) if p.who is Who.TUNNEL]
    return RULES_TEXT.format(
        interface=TUNNEL,
        tunnel=way.network,
        network=cluster.network,
        open=", ".join(["22", *own]),
        boards=boards if way.to_boards else "",
    )
