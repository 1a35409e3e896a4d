"""How much each person may store: counted and held by the board that has the homes (2-60)."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.quota import HOMES, SERVICE, Quota
from wulfling.node.resources.service import Service

SCRIPT_FILE = "/usr/local/sbin/wulfling-quota"

# A root file system is mounted before fstab is read, and what the file of counts says is true
# only if nobody wrote while the kernel did not count. So the options come by a remount, before
# anybody can log in, and counts are believed only after a clean shutdown. After a power cut they
# are made anew: files that were deleted and still open then are freed while nobody counts. And so
# they are when somebody has stopped counting on a board that goes on, for a moment or for weeks:
# an apply does when the last quota leaves the file.
SCRIPT = f"""#!/bin/sh
# wulfling-quota start|stop: has the kernel hold people to what they may store (quotaon(8)).
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
known=/var/lib/wulfling/quota-counted
disk=$(findmnt --noheadings --output TARGET --target {HOMES})
kind=$(findmnt --noheadings --output FSTYPE --target {HOMES})
device=$(findmnt --noheadings --output SOURCE --target {HOMES})
options=$(findmnt --noheadings --output OPTIONS --target {HOMES})

if [ "$1" = stop ]; then
    [ "$kind" = xfs ] || quotaoff --user "$disk"
    if [ "$(systemctl is-system-running)" = stopping ]; then
        sync
        touch "$known"
    fi
    exit
fi
if ! command -v quotacheck > /dev/null; then
    echo "the package quota is not installed: \\`wulfling apply\\` brings it" >&2
    exit 1
fi
# Without an initramfs the kernel calls the root disk by a name that is nowhere, and the tools
# below look for it.
if [ ! -e /dev/root ] && grep -q "^/dev/root $disk " /proc/self/mounts; then
    ln -s "$device" /dev/root
fi
counts() {{ quotaon --user --print-state "$disk" 2> /dev/null | grep -q '^user .* is on$'; }}
# quotacheck reads the disk itself, where what was written last has no blocks yet.
count() {{
    sync
    quotacheck "$@" --user --no-remount --format=vfsv1 "$disk"
}}
case $kind in
ext4)
    if dumpe2fs -h "$device" 2> /dev/null | grep -q '^Filesystem features:.* quota'; then
        mount -o remount,usrquota "$disk"
    else
        mount -o remount,usrjquota=aquota.user,jqfmt=vfsv1 "$disk"
        if [ ! -e "$disk/aquota.user" ]; then
            count --create-files
        elif [ ! -e "$known" ] && ! counts; then
            count
        fi
    fi
    rm -f "$known"
    sync "${{known%/*}}" # or it could be there again after a power cut
    counts || quotaon --user "$disk"
    ;;
xfs)
    case ,$options, in
    *,usrquota,* | *,uquota,* | *,quota,*) ;;
    *)
        echo "{HOMES} is on xfs, which takes quotas at its first mount only: write usrquota into" \\
            "the options of $disk in /etc/fstab, and reboot" >&2
        exit 1
        ;;
    esac
    ;;
*)
    echo "{HOMES} is on $kind, and quotas need ext4 or xfs: delete each quota: of the cluster" \\
        "file, or move {HOMES} to such a disk" >&2
    exit 1
    ;;
esac
"""

UNIT = f"""[Unit]
Description=Disk quotas of people
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target systemd-remount-fs.service quota.service
Before=shutdown.target systemd-user-sessions.service ssh.service nfs-server.service slurmd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={SCRIPT_FILE} start
ExecStop={SCRIPT_FILE} stop
TimeoutStartSec=30min

[Install]
WantedBy=multi-user.target
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """On the board that holds the homes: counting, and a limit for each person who has one."""
    limited = [
        person
        for person in cluster.people
        if person.quota_mb is not None and cluster.holds_home(node, person)
    ]
    if not limited:
        return
    yield Packages(names=("quota",), why="counts files and sets limits (2-60)")
    script = File(
        path=SCRIPT_FILE, content=SCRIPT, mode=0o755, why="quotas of a disk that is in use already"
    )
    unit = File(
        path=f"/etc/systemd/system/{SERVICE}", content=UNIT, why="counts before anybody can write"
    )
    yield script
    yield unit
    yield Service(
        unit=SERVICE,
        configured=digest(script.content, unit.content),
        watches=(script.key, unit.key),
        why="the kernel counts what each person stores, also through NFS",
    )
    for person in limited:
        assert person.quota_mb is not None
        yield Quota(
            user=person.name,
            limit_mb=person.quota_mb,
            why=f"{person.name} cannot fill the disk that everybody uses",
        )
