"""Boards that nobody looks at for months: security updates, and logs that do not fill the card."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

APT_FILE = "/etc/apt/apt.conf.d/52wulfling-updates"
JOURNAL_FILE = "/etc/systemd/journald.conf.d/wulfling.conf"
AUDIT_SOCKET = "/etc/systemd/system/systemd-journald-audit.socket"

# Beginnings of names of packages that never change by themselves: boards that run different
# versions of these do not understand each other, and jobs run in them. `wulfling upgrade` brings
# them, one board after the other.
HELD = (
    *("slurm", "libslurm", "libpmi", "munge", "libmunge"),
    *("mpich", "libmpich", "libucx", "ucx", "openmpi", "libopenmpi"),
    *("mariadb", "libmariadb", "galera"),
    *("nfs-kernel-server", "nfs-common"),
)

# Read after the distribution's 20auto-upgrades and 50unattended-upgrades; #clear takes their lists
# away, which would be added to (apt.conf(5)). Who runs unattended-upgrades by hand gets the same.
APT_TEXT = """// Written by wulfling.
#clear Unattended-Upgrade::Origins-Pattern;
#clear Unattended-Upgrade::Allowed-Origins;
#clear Unattended-Upgrade::Package-Blacklist;
Unattended-Upgrade::Origins-Pattern {{
    "origin=Debian,codename=${{distro_codename}}-security,label=Debian-Security";
    "origin=Ubuntu,archive=${{distro_codename}}-security";
}};
Unattended-Upgrade::Package-Blacklist {{
{held}
}};
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::MinimalSteps "true";
Unattended-Upgrade::Remove-New-Unused-Dependencies "false";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "false";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
"""

UNITS = {
    "apt-daily.timer": "fetches the lists once a day, at a time of its own on each board",
    "apt-daily-upgrade.timer": "installs what they have",
    "unattended-upgrades.service": "has a board that is switched off end an installation first",
}

# journald would take a tenth of the disk, and on a small card that is what a job needs.
JOURNAL_TEXT = """[Journal]
SystemMaxUse=200M
SystemMaxFileSize=25M
RuntimeMaxUse=32M
MaxRetentionSec=3month
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The same on every board. Virtual ones, which live for an hour and have little memory, look
    for no updates."""
    yield Packages(names=("unattended-upgrades",), why="security updates, every day")
    yield File(
        path=APT_FILE,
        content=APT_TEXT.format(held="\n".join(f'    "{name}";' for name in HELD)),
        why="security updates alone, and never what boards have to agree on or jobs run in",
    )
    for unit, why in UNITS.items():
        yield Service(unit=unit, enabled=not cluster.virtual, running=not cluster.virtual, why=why)
    yield from _journal(cluster)


def _journal(cluster: Cluster) -> Iterator[Resource]:
    yield Directory(path=JOURNAL_FILE.rpartition("/")[0])
    read: list[File | Link] = [
        File(
            path=JOURNAL_FILE,
            content=JOURNAL_TEXT,
            why="journald.conf(5): what the journal may take of the disk",
        )
    ]
    if cluster.hardening:
        read.append(
            Link(
                path=AUDIT_SOCKET,
                target="/dev/null",
                why="auditd keeps these lines; the journal had them once more, on the same card",
            )
        )
    yield from read
    yield Service(
        unit="systemd-journald.service",
        configured=digest(JOURNAL_TEXT, *(resource.path for resource in read[1:])),
        watches=tuple(resource.key for resource in read),
        why="it reads its limits when it starts; no line is lost",
    )
