"""Puts the head into a network of Tailscale (0-07 to 0-12), for homes where no port can be opened.

Not by the vendor's script as root, but from its apt repository, which may bring this one package,
signed by the one key that is pinned here. What comes by it reaches SSH alone, whatever somebody
with the account there allows.
"""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.file import File
from wulfling.node.resources.keyring import Keyring
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

HOST = "pkgs.tailscale.com"
FINGERPRINT = "2596A99EAAB33821893C0A79458CA832957F5868"  # rsa4096, of 2020-02-25
KEYRING = "/usr/share/keyrings/wulfling-tailscale.gpg"
SOURCES_FILE = "/etc/apt/sources.list.d/wulfling-tailscale.sources"
PREFERENCES_FILE = "/etc/apt/preferences.d/wulfling-tailscale"
RULES_FILE = "/etc/wulfling-tailscale.nft"
RULES_UNIT = "wulfling-tailscale-rules.service"

# `-1` is never, and the more particular of two records counts (apt_preferences(5)).
PREFERENCES_TEXT = """Package: *
Pin: origin {host}
Pin-Priority: -1

Package: tailscale
Pin: {pin}
Pin-Priority: {priority}
"""

# A drop is the last word, whatever Tailscale's own rules say.
RULES_TEXT = """#!/usr/sbin/nft -f
table inet wulfling_tailscale
delete table inet wulfling_tailscale
table inet wulfling_tailscale {
    chain from_device {
        ct state established,related accept
        icmp type echo-request accept
        icmpv6 type echo-request accept
        tcp dport 22 accept
        counter drop
    }
    chain input {
        type filter hook input priority filter; policy accept;
        iifname "tailscale0" jump from_device
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname "tailscale0" counter drop
        oifname "tailscale0" counter drop
    }
}
"""

# tailscaled requires it: without these rules there is no tunnel.
RULES_UNIT_TEXT = f"""[Unit]
Description=What devices reach that come by Tailscale (wulfling)
After=nftables.service
Before=tailscaled.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {RULES_FILE}
ExecReload=/usr/sbin/nft -f {RULES_FILE}
ExecStop=-/usr/sbin/nft delete table inet wulfling_tailscale

[Install]
WantedBy=multi-user.target nftables.service
RequiredBy=tailscaled.service
"""


def before(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Where the package comes from, and that nothing else does."""
    if not _is_for(cluster, node):
        return
    assert node.hardware is not None
    assert cluster.tailscale is not None
    folder, release = node.hardware.os_id, node.hardware.os_codename
    repository = f"https://{HOST}/stable/{folder}"
    yield Keyring(
        path=KEYRING,
        fingerprint=FINGERPRINT,
        url=f"{repository}/{release}.noarmor.gpg",
        why="the only key that this repository may use; any other is refused",
    )
    yield File(
        path=SOURCES_FILE,
        content=f"Types: deb\nURIs: {repository}\nSuites: {release}\nComponents: main\n"
        f"Signed-By: {KEYRING}\n",
        why="sources.list(5): and that key may sign nothing but this repository",
    )
    version = cluster.tailscale.version
    yield File(
        path=PREFERENCES_FILE,
        content=PREFERENCES_TEXT.format(
            host=HOST,
            pin=f"version {version}*" if version else f"origin {HOST}",
            priority=1001 if version else 500,
        ),
        why="apt_preferences(5): it replaces no package of the system",
    )


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The daemon, from each boot on, behind rules of our own."""
    if not _is_for(cluster, node):
        return
    assert cluster.tailscale is not None
    version = cluster.tailscale.version
    yield Packages(
        names=("nftables", "tailscale"),
        versions=(("tailscale", version),) if version else (),
        why="a way in where no port can be opened",
    )
    rules = File(
        path=RULES_FILE,
        content=RULES_TEXT,
        validate=("nft", "-c", "-f"),
        why="a device reaches SSH, and nothing else",
    )
    unit = File(
        path=f"/etc/systemd/system/{RULES_UNIT}",
        content=RULES_UNIT_TEXT,
        why="loads a table of its own, at boot and after the firewall's",
    )
    yield from (rules, unit)
    yield Service(
        unit=RULES_UNIT,
        configured=digest(rules.content, unit.content),
        watches=(rules.key, unit.key),
        reload=True,
        why="before the first device can come in",
    )
    yield Service(
        unit="tailscaled.service",
        why="from each boot on, with nobody logged in (0-12); `remote join-tailnet` tells it where",
    )


def _is_for(cluster: Cluster, node: Node) -> bool:
    return cluster.tailscale is not None and node.name == cluster.head
