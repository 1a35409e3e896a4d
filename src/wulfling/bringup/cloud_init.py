"""The files of cloud-init's NoCloud source, for Raspberry Pi OS trixie and for Ubuntu.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from wulfling.bringup import first_boot
from wulfling.bringup.host_key import HostKey
from wulfling.model.cluster import Cluster, Node

# The boot partition can be read by everybody who has an account on the board. What has been
# used is taken out of it; the rest stays, or cloud-init would take the board for a new one.
_FORGET = "sed -i '/^ssh_keys:/,/^  ed25519_public:/d' /boot/firmware/user-data; sync"

# On Raspberry Pi OS sshd is off; on Ubuntu a socket may stand for it.
_SSH_ON = """\
systemctl is-enabled --quiet ssh.socket || systemctl enable ssh.service
systemctl --no-block start ssh.service"""


def files(cluster: Cluster, node: Node, key: HostKey) -> Mapping[str, str]:
    """``user-data``, ``network-config`` and ``meta-data``. Pure."""
    user_data = "\n".join(_user_data(cluster, node, key)) + "\n"
    network = "\n".join(_network(cluster, node)) + "\n"
    # cloud-init works once for an instance: other content has to be another instance.
    digest = hashlib.sha256(f"{user_data}\0{network}".encode()).hexdigest()[:16]
    meta_data = (
        f"# {node.name} of {cluster.name}, by wulfling card write\n"
        f"dsmode: local\ninstance-id: wulfling-{digest}\nlocal-hostname: {node.name}\n"
    )
    return {"user-data": user_data, "network-config": network, "meta-data": meta_data}


def _user_data(cluster: Cluster, node: Node, key: HostKey) -> Iterator[str]:
    cards = cluster.cards
    yield "#cloud-config"
    yield f"# {node.name} of {cluster.name}, by wulfling card write"
    yield f"hostname: {node.name}"
    if cards.locale:
        yield f"locale: {cards.locale}"
    if cards.timezone:
        yield f"timezone: {cards.timezone}"
    # No account by cloud-init: on Raspberry Pi OS its first one is pi renamed, with pi's number
    # and home, and on Ubuntu there would be one with a known password.
    yield "users: []"
    yield "ssh_pwauth: false"
    yield "ssh_keys:"
    yield "  ed25519_private: |"
    yield from _indented(key.private, 4)
    yield f"  ed25519_public: {json.dumps(key.public)}"
    # bootcmd and not runcmd, which waits for the end of a boot that waits for the account.
    yield "bootcmd:"
    yield "- - cloud-init-per"
    yield "  - instance"
    yield "  - wulfling"
    yield "  - sh"
    yield "  - -c"
    yield "  - |"
    yield from _indented("\n".join(_script(cluster, node)), 4)
    yield "runcmd:"
    yield f"- [sh, -c, {json.dumps(_FORGET)}]"


def _script(cluster: Cluster, node: Node) -> Iterator[str]:
    yield from first_boot.own_name(node)
    yield from first_boot.account(cluster)
    yield from first_boot.locale(cluster)
    yield from first_boot.wifi(cluster)
    yield _SSH_ON


def _network(cluster: Cluster, node: Node) -> Iterator[str]:
    """Netplan, version 2. Optional: a cable that is out must not hold back the boot."""
    cards = cluster.cards
    yield f"# {node.name} of {cluster.name}, by wulfling card write"
    yield "version: 2"
    yield "ethernets:"
    yield "  eth0:"
    yield "    optional: true"
    if cards.gateway is None:
        yield "    dhcp4: true"
        return
    yield "    dhcp4: false"
    yield f"    addresses: [{node.address}/{cluster.network.prefixlen}]"
    yield "    routes:"
    yield f"    - {{to: 0.0.0.0/0, via: {cards.gateway}}}"
    yield "    nameservers:"
    yield f"      addresses: [{', '.join(map(str, cards.dns))}]"


def _indented(text: str, columns: int) -> Iterator[str]:
    for line in text.rstrip("\n").split("\n"):
        yield f"{'':{columns}}{line}" if line else ""
