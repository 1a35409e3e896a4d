"""How an image learns at its first boot which board it is: one of three ways, never two at once.

Which one an image has is seen in its boot folder. What each way reads is in the module of its
name: ``cloud_init``, ``firstrun``, ``custom_toml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

from wulfling.bringup import cloud_init, custom_toml, firstrun
from wulfling.bringup.boot_folder import BootFolder
from wulfling.bringup.host_key import HostKey
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node

CMDLINE = "cmdline.txt"
MARK = "wulfling card write"
"""Stands in the first lines of every file we write, and tells it from everybody else's."""

_FIRSTBOOT = "init=/usr/lib/raspberrypi-sys-mods/firstboot"
_SYSTEMD_RUN = re.compile(r"systemd\.run=(\S+)")
_ANEW = "write the image to the card anew, and leave the customisation of other tools out"


class Mechanism(str, Enum):
    """A way to customise an image for its first boot."""

    CLOUD_INIT = "cloud-init"
    FIRSTRUN = "firstrun"
    CUSTOM_TOML = "custom.toml"


# Whose files a boot folder may hold beside those of each way. Two programs that both want to
# make the first account leave a board with neither.
_FOREIGN = {
    Mechanism.CLOUD_INIT: ("custom.toml", "firstrun.sh", "rpi-preseed.toml", "userconf.txt"),
    Mechanism.FIRSTRUN: ("custom.toml", "rpi-preseed.toml", "user-data", "userconf.txt"),
    Mechanism.CUSTOM_TOML: ("firstrun.sh", "rpi-preseed.toml", "user-data", "userconf.txt"),
}


def detect(folder: BootFolder, asked: Mechanism | None) -> Mechanism:
    """The way that the image in ``folder`` has; of Raspberry Pi OS bookworm's two, ``asked``.

    Raises ``WulflingError`` when there is none, when it is not the one asked for, and when
    another tool has already customised the image.
    """
    names = folder.names()
    if CMDLINE not in names:
        raise WulflingError(
            f"there is no {CMDLINE} in the boot partition of {folder.where}",
            hint="take an image of Raspberry Pi OS or of Ubuntu for Raspberry Pi",
        )
    line = folder.read(CMDLINE)
    found = _found(folder, names, line)
    if found is Mechanism.FIRSTRUN and asked is Mechanism.CUSTOM_TOML:
        found = asked
    if asked not in (None, found):
        raise WulflingError(
            f"{folder.where} is customised by {found.value} and knows nothing of {asked.value}",
            hint="leave out --mechanism",
        )
    _refuse_others(folder, names, line, found)
    return found


def files(
    mechanism: Mechanism, cluster: Cluster, node: Node, key: HostKey | None
) -> Mapping[str, str]:
    """What the boot folder gets besides ``cmdline.txt``: name to text. Pure.

    Without a ``key`` the board makes its own; only custom.toml goes without.
    """
    if mechanism is Mechanism.CUSTOM_TOML:
        return custom_toml.files(cluster, node)
    assert key is not None
    if mechanism is Mechanism.FIRSTRUN:
        return firstrun.files(cluster, node, key)
    return cloud_init.files(cluster, node, key)


def cmdline(mechanism: Mechanism, cluster: Cluster, text: str) -> str:
    """``text`` of cmdline.txt with what the kernel has to be told; twice is the same as once.

    Raises ``WulflingError`` when it is not one line, which is all that the firmware reads.
    """
    line = text.strip()
    if len(line.splitlines()) != 1:
        raise WulflingError(
            f"{CMDLINE} is to be one line, and has {len(line.splitlines())}", hint=_ANEW
        )
    if country := cluster.cards.country:  # another one would be the second of two
        line = re.sub(rf" ?\bcfg80211\.ieee80211_regdom=(?!{country}\b)\S*", "", line)
    missing = [flag for flag in _flags(mechanism, cluster) if flag not in line.split()]
    return " ".join([line, *missing]) + "\n"


def remaining(mechanism: Mechanism, cluster: Cluster, node: Node) -> tuple[str, ...]:
    """What is left for a person to do, a sentence for each."""
    return tuple(_remaining(mechanism, cluster, node))


def _remaining(mechanism: Mechanism, cluster: Cluster, node: Node) -> Iterable[str]:
    cards = cluster.cards
    if cards.gateway is None:
        yield f"let your router give {node.name} the address {node.address} (DHCP reservation)"
    if mechanism is not Mechanism.CUSTOM_TOML:
        return
    yield (
        f"pin the host key that {node.name} makes at its first boot (docs/how-to/real-boards.md):"
        " custom.toml has no place for one"
    )
    if cards.locale:
        yield f"on {node.name}: sudo raspi-config nonint do_change_locale {cards.locale}"


def _found(folder: BootFolder, names: frozenset[str], line: str) -> Mechanism:
    has_cloud_init = "user-data" in names
    has_firstboot = _FIRSTBOOT in line.split()
    if has_cloud_init and has_firstboot:
        raise WulflingError(
            f"{folder.where} has cloud-init's user-data and raspberrypi-sys-mods' firstboot; which"
            " of them would run cannot be told",
            hint=_ANEW,
        )
    if has_cloud_init:
        return Mechanism.CLOUD_INIT
    if not has_firstboot:
        raise WulflingError(
            f"{folder.where} is not customised at its first boot: it has neither user-data nor"
            " raspberrypi-sys-mods' firstboot, or it has booted before",
            hint="write the image anew; of Raspberry Pi OS trixie, one from 2025-11-24 or later",
        )
    config = folder.read("config.txt") if "config.txt" in names else ""
    if "auto_initramfs=1" not in config.split():
        raise WulflingError(
            f"{folder.where} is older than Raspberry Pi OS bookworm: its config.txt does not say"
            " auto_initramfs=1",
            hint="take an image of bookworm or trixie",
        )
    return Mechanism.FIRSTRUN


def _refuse_others(folder: BootFolder, names: frozenset[str], line: str, ours: Mechanism) -> None:
    for name in _FOREIGN[ours]:
        if name in names:
            raise WulflingError(
                f"{folder.where} is customised already, by {name}, and two ways at once leave a"
                " board with neither",
                hint=_ANEW,
            )
    own = ours is Mechanism.FIRSTRUN and "firstrun.sh" in names
    if own and MARK not in folder.read("firstrun.sh"):
        raise WulflingError(
            f"{folder.where} has a firstrun.sh that wulfling did not write", hint=_ANEW
        )
    run = _SYSTEMD_RUN.search(line)
    if run and not own:
        raise WulflingError(f"{folder.where} starts {run[1]} at its first boot", hint=_ANEW)


def _flags(mechanism: Mechanism, cluster: Cluster) -> Iterable[str]:
    # The kernel's own default, in the device tree, is cgroup_disable=memory; the last one counts.
    yield "cgroup_enable=memory"
    if mechanism is Mechanism.CUSTOM_TOML:
        return  # raspi-config, which its reader calls, sets the country itself
    if cluster.cards.country:
        yield f"cfg80211.ieee80211_regdom={cluster.cards.country}"
    if mechanism is Mechanism.FIRSTRUN:
        yield from firstrun.FLAGS
