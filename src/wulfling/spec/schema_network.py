"""The parts of the cluster file about who reaches what: gateway, firewall, ways in from outside."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wulfling.spec.part import Part
from wulfling.spec.values import (
    Address,
    AnyNetwork,
    Block,
    Endpoint,
    Flag,
    HostKey,
    Interface,
    Network,
    OpenPort,
    Port,
    Reach,
    TailscaleTag,
    TailscaleVersion,
    UserName,
    WireguardKey,
)


class GatewaySpec(Part):
    """What the head does for boards behind it. Nothing, unless the file says so."""

    packages: Flag = Field(
        False,
        description="Whether the head keeps Debian packages (apt-cacher-ng), so that each is"
        " fetched from the internet once. While the head is away, boards fetch them as before.",
    )
    nat: Flag = Field(
        False,
        description="Whether the head is the boards' router to the internet: it forwards and"
        " masquerades what they send, and they get a default route to it. Needs `uplink`.",
    )
    uplink: Interface = Field(
        "",
        description="The head's interface that leads to the internet, not to the boards.",
        examples=["wlan0"],
    )
    dhcp: Flag = Field(
        False,
        description="Whether the head gives the boards their addresses of this file by DHCP, and"
        " answers for their names by DNS (dnsmasq). Needs the `mac` of every other node.",
    )


class FirewallSpec(Part):
    """Who may reach the boards' ports. Without it: ssh from anywhere, all else from the boards."""

    ssh: tuple[AnyNetwork, ...] = Field(
        (),
        description="Networks that may log in by ssh, besides the cluster's boards. They have to"
        " hold the machine you type on. Default: anybody may try.",
        examples=[["192.168.1.0/24"]],
    )
    open: tuple[OpenPort, ...] = Field(
        (),
        description="Ports of your own programs that anybody may reach on every board, `80` or"
        " `53/udp`.",
        examples=[["80", "443", "53/udp"]],
    )


class WireguardSpec(Part):
    """WireGuard on the head: who is in `devices` reaches it from anywhere, and nobody else does."""

    endpoint: Endpoint = Field(
        description="Name or IPv4 address where devices find the head from outside: the home's own,"
        " or that of a router which passes the port on. With a port, if it is another than `port`.",
        examples=["home.example.org", "203.0.113.7:40000"],
    )
    port: Port = Field(51820, description="UDP port that the head listens on.")
    network: Network = Field(
        "10.88.0.0/24",
        validate_default=True,
        description="Network of the tunnel, for the head and the devices; the head has its first"
        " address. No other network of the head or the devices can be the same.",
    )
    reach: Reach = Field(
        "head",
        description="`head`: devices reach SSH on the head. `cluster`: and on the other boards, to"
        " which the head passes them on under its own address.",
    )


class TailscaleSpec(Part):
    """Tailscale on the head: a tunnel by a vendor's servers, where no port can be opened."""

    tag: TailscaleTag = Field(
        "tag:wulfling",
        description="What the head is in the tailnet. A tag has an owner in the tailnet's policy,"
        " and no person's login; rules there name it.",
    )
    version: TailscaleVersion = Field(
        "",
        description="How the version of the package has to begin. Default: the newest when it is"
        " installed.",
        examples=["1.90.8"],
    )


class RelaySpec(Part):
    """A machine with a public address and an account of yours, by which SSH leads to the head:
    for homes where no port can be opened."""

    host: Endpoint = Field(
        description="Its name or IPv4 address, with a port if its sshd has another than 22.",
        examples=["vps.example.org"],
    )
    user: UserName = Field(
        "relay", description="The account there, for the head's key alone (`remote relay`)."
    )
    host_key: HostKey = Field(
        description="Its host key, as `ssh-keyscan -t ed25519` prints it after the name, compared"
        " with what `ssh-keygen -lf` shows on it. Another one gets no word.",
        examples=[
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1a7vYcnVqDLJ5Gmrkb4fB5VwDnnOn9bGIhlw8mWUgW"
        ],
    )
    port: Port = Field(2222, description="The port on its loopback that leads to the head's SSH.")


class RemoteSpec(Part):
    """The way in from outside. None, unless the file says so."""

    wireguard: WireguardSpec | None = Field(
        None, description="A tunnel of your own, without anybody's servers. Default: none."
    )
    tailscale: Annotated[TailscaleSpec | None, Block({})] = Field(
        None,
        description="A tunnel by Tailscale's servers, which needs no open port. Default: none.",
    )
    relay: RelaySpec | None = Field(
        None,
        description="A tunnel of SSH to a machine of yours, which needs no open port. Default:"
        " none.",
    )


class DeviceSpec(Part):
    """A laptop or a phone. `wulfling remote add-device` writes this, and makes the key."""

    address: Address = Field(
        description="Its address in the tunnel, in `network` of `wireguard`.",
        examples=["10.88.0.2"],
    )
    key: WireguardKey = Field(
        description="Its public key. The private one is on the device alone.",
        examples=["hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="],
    )
