"""Shell commands for a board's first boot, the same for every way that can run a script.

Nothing here ends a script early: a board that has its account and lacks its time zone can be
reached and mended, the other way round it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.components import access
from wulfling.model.cluster import Cluster, Node

# Raspberry Pi OS asks on its screen for a first user, and holds back the rest of the boot,
# until it is told that there is one.
_NO_WIZARD = """\
if [ -x /usr/bin/cancel-rename ]; then
    /usr/bin/cancel-rename {admin}
    systemctl --no-block stop userconfig.service
fi"""

_WIFI_ON = """\
rfkill unblock wifi
for state in /var/lib/systemd/rfkill/*:wlan; do
    [ ! -e "$state" ] || echo 0 >"$state"
done"""


def account(cluster: Cluster) -> Iterator[str]:
    """The admin account as apply would make it, by the commands that `explain` shows: the
    first apply finds nothing to change there."""
    for resource in access.admin(cluster):
        for command in resource.commands():
            yield command.removeprefix("sudo ")
    yield _NO_WIZARD.format(admin=cluster.admin)


def own_name(node: Node) -> Iterator[str]:
    """Its name in /etc/hosts: sudo looks for it there before anything else."""
    yield r"sed -i '/^127\.0\.1\.1[[:space:]]/d' /etc/hosts"
    yield f"echo '127.0.1.1 {node.name}' >>/etc/hosts"


def locale(cluster: Cluster) -> Iterator[str]:
    """Debian's locale-gen(8) makes what its file lists, whatever cloud-init asks it for."""
    if cluster.cards.locale:
        line = f"{cluster.cards.locale} UTF-8"
        yield f"grep -qx '{line}' /etc/locale.gen || echo '{line}' >>/etc/locale.gen"


def wifi(cluster: Cluster) -> Iterator[str]:
    """Wi-Fi is off until the country is known."""
    if cluster.cards.country:
        yield _WIFI_ON
