"""``firstrun.sh``, for Raspberry Pi OS bookworm: a script that systemd runs once, then a reboot.

It is what Raspberry Pi Imager uses there. It can place a host key and a static address, which
custom.toml cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wulfling.bringup import first_boot
from wulfling.bringup.host_key import HostKey
from wulfling.model.cluster import Cluster, Node

_PLACE = "/boot/firmware/firstrun.sh"
_CMDLINE = "/boot/firmware/cmdline.txt"
_KEY = "/etc/ssh/ssh_host_ed25519_key"
_CONNECTION = "/etc/NetworkManager/system-connections/wulfling-eth0.nmconnection"

FLAGS = (
    f"systemd.run={_PLACE}",
    "systemd.run_success_action=reboot",
    "systemd.unit=kernel-command-line.target",
)
"""What makes systemd run it (systemd-run-generator(8))."""


def files(cluster: Cluster, node: Node, key: HostKey) -> Mapping[str, str]:
    """``firstrun.sh``. Pure."""
    return {"firstrun.sh": "\n".join(_script(cluster, node, key)) + "\n"}


def _script(cluster: Cluster, node: Node, key: HostKey) -> Iterator[str]:
    cards = cluster.cards
    yield "#!/bin/sh"
    yield f"# {node.name} of {cluster.name}, by wulfling card write; deletes itself"
    yield "exec >>/var/log/wulfling-card.log 2>&1"
    yield f"echo {node.name} >/etc/hostname"
    yield from first_boot.own_name(node)
    yield "rm -f /etc/ssh/ssh_host_*"
    yield from _written(_KEY, "600", key.private)
    yield from _written(f"{_KEY}.pub", "644", f"{key.public}\n")
    yield "systemctl disable regenerate_ssh_host_keys.service"
    yield from first_boot.account(cluster)
    yield from _written("/etc/ssh/sshd_config.d/20-card.conf", "644", "PasswordAuthentication no\n")
    if cards.gateway is not None:
        yield from _written(_CONNECTION, "600", "\n".join(_connection(cluster, node)))
    if cards.locale:
        yield f"raspi-config nonint do_change_locale {cards.locale}"
    if cards.timezone:
        yield f"raspi-config nonint do_change_timezone {cards.timezone}"
    yield from first_boot.wifi(cluster)
    yield "systemctl enable ssh.service"
    # In this order: without the script but with the words that start it, no boot would end.
    yield f"sed -i 's| systemd\\.[^ ]*||g' {_CMDLINE}"
    yield "sync"
    yield f"rm -f {_PLACE}"
    yield "sync"
    yield "exit 0"


def _connection(cluster: Cluster, node: Node) -> Iterator[str]:
    """A NetworkManager keyfile (nm-settings-keyfile(5))."""
    cards = cluster.cards
    yield "[connection]"
    yield "id=wulfling-eth0"
    yield "type=ethernet"
    yield "interface-name=eth0"
    yield ""
    yield "[ipv4]"
    yield "method=manual"
    yield f"address1={node.address}/{cluster.network.prefixlen},{cards.gateway}"
    yield f"dns={''.join(f'{server};' for server in cards.dns)}"
    yield ""
    yield "[ipv6]"
    yield "method=auto"


def _written(path: str, mode: str, text: str) -> Iterator[str]:
    yield f"install -m {mode} /dev/null {path}"
    lines = text.rstrip("\n")
    yield f"cat >{path} <<'EOF'\n{lines}\nEOF"
