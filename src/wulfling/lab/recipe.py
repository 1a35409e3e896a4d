"""What the image of a fresh virtual board contains, as data: packages, files and links."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

SIZE_MB = 6144

PACKAGES = (
    "apt",
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
)
"""What a "Lite" board has; apply brings the rest."""

LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

SEED_SCRIPT = """\
#!/bin/sh
# Takes the board's identity from its second disk, and notes that it is taken: the unit is then
# skipped for as long as the kernel command line names the same identity.
set -eu
for word in $(cat /proc/cmdline); do
    case $word in lab.seed=*) seed=$word ;; esac
done
tar -x -f /dev/ubdb -C /run apply
sh /run/apply
noted=/etc/systemd/system/lab-seed.service.d
mkdir -p $noted
printf '[Unit]\\nConditionKernelCommandLine=!%s\\n' "$seed" >$noted/taken.new
sync
mv $noted/taken.new $noted/taken.conf
"""

SEED_UNIT = """\
[Unit]
Description=Identity of this virtual board
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target systemd-networkd.service network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/lab-seed
RemainAfterExit=yes
StandardOutput=journal+console
"""

# user-mode-linux now and then does not notice that its disk has answered until something else asks
# the disk: the first reader then waits for seconds, or for ever where nobody else reads.
PULSE_SCRIPT = """\
#!/usr/bin/python3 -ISE
import mmap
import os
import time

disk = os.open("/dev/ubda", os.O_RDONLY | os.O_DIRECT)
block = mmap.mmap(-1, 4096)  # direct reads want a buffer that begins a page
while True:
    os.preadv(disk, [block], 0)
    time.sleep(0.5)
"""

PULSE_UNIT = """\
[Unit]
Description=Second reader of this virtual disk
DefaultDependencies=no
After=systemd-udevd.service

[Service]
ExecStart=/usr/local/sbin/lab-pulse
"""

FILES: Mapping[str, tuple[str, int]] = {
    "etc/apt/apt.conf.d/20lab": (
        'APT::Install-Recommends "false";\n'
        'Acquire::Languages "none";\n'
        'Acquire::http::Timeout "180";\n'
        'Acquire::Retries "3";\n',
        0o644,
    ),
    "etc/default/locale": ("LANG=C.UTF-8\n", 0o644),
    "etc/fstab": ("/dev/ubda / ext4 defaults,noatime 0 1\n", 0o644),
    "etc/hostname": ("board\n", 0o644),
    "etc/machine-id": ("", 0o444),
    "etc/resolv.conf": ("", 0o644),
    "etc/systemd/journald.conf.d/lab.conf": (
        "[Journal]\nRuntimeMaxUse=16M\nSystemMaxUse=32M\n",
        0o644,
    ),
    "etc/systemd/system/lab-pulse.service": (PULSE_UNIT, 0o644),
    "etc/systemd/system/lab-seed.service": (SEED_UNIT, 0o644),
    "etc/systemd/system.conf.d/lab.conf": (
        "[Manager]\nDefaultTimeoutStopSec=30s\nShowStatus=auto\n",
        0o644,
    ),
    # Hundreds of terminals that no board has are not worth a second of every boot.
    "etc/systemd/system/systemd-udev-trigger.service.d/lab.conf": (
        "[Service]\nExecStart=\nExecStart=-udevadm trigger --type=devices --action=add "
        "--subsystem-match=block --subsystem-match=net --subsystem-match=misc\n",
        0o644,
    ),
    # No clock to ask is no reason to wait; it tells the time when it can.
    "etc/systemd/system/systemd-timesyncd.service.d/lab.conf": ("[Service]\nType=simple\n", 0o644),
    "usr/local/sbin/lab-pulse": (PULSE_SCRIPT, 0o755),
    "usr/local/sbin/lab-seed": (SEED_SCRIPT, 0o755),
}

MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "getty@tty1.service",
    "ldconfig.service",
    "man-db.timer",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-networkd-persistent-storage.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "dev-hugepages.mount",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "proc-sys-fs-binfmt_misc.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
)
"""Units that cost boot time and that no virtual board needs."""

GENERATORS_OFF = (
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-veritysetup-generator",
)
"""Programs that systemd starts at every boot to find out about hardware no virtual board has."""

_UNITS = "/usr/lib/systemd/system"

LINKS: Mapping[str, str] = {
    **{f"etc/systemd/system/{unit}": "/dev/null" for unit in MASKED},
    **{f"etc/systemd/system-generators/{name}": "/dev/null" for name in GENERATORS_OFF},
    # The power button of a board: what the console's "cad" does.
    "etc/systemd/system/ctrl-alt-del.target": f"{_UNITS}/poweroff.target",
    "etc/systemd/system/default.target": f"{_UNITS}/multi-user.target",
    "etc/systemd/system/sysinit.target.wants/lab-pulse.service": "../lab-pulse.service",
    "etc/systemd/system/sysinit.target.wants/lab-seed.service": "../lab-seed.service",
    "etc/systemd/system/dbus-org.freedesktop.network1.service": (
        f"{_UNITS}/systemd-networkd.service"
    ),
    "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": (
        f"{_UNITS}/systemd-networkd.service"
    ),
    "etc/systemd/system/sockets.target.wants/systemd-networkd.socket": (
        f"{_UNITS}/systemd-networkd.socket"
    ),
    "etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service": (
        f"{_UNITS}/systemd-networkd-wait-online.service"
    ),
}

# With one keyring named, apt checks a signature in a third of the time.
BUILD_SCRIPT = r"""set -eu
work=$1 image=$2 overlay=$3 modules=$4 version=$5 size=$6 release=$7
shift 7
mount -t tmpfs -o mode=0755,size=75% lab "$work"
tree=$work/tree
mmdebstrap --mode=root --variant=minbase --format=directory "$@" \
    "$release" "$tree" ${MIRRORS:+"$MIRRORS"}
rm -f "$tree/etc/apt/apt.conf.d/99mmdebstrap" "$tree"/etc/ssh/ssh_host_*
sed -i "s|^deb http|deb [signed-by=$KEYRING] http|" "$tree/etc/apt/sources.list"
find "$tree/dev" -mindepth 1 -delete
mkdir -p "$tree/usr/lib/modules"
tar -c -C "$MODULE_ROOT" -T "$modules" --owner=0 --group=0 | tar -x -C "$tree/usr/lib/modules"
chroot "$tree" depmod "$version"
rm -f "$tree/etc/modules-load.d/modules.conf"
find "$tree/etc/systemd/system/timers.target.wants" -mindepth 1 -delete
tar -x -p --numeric-owner --unlink-first -C "$tree" -f "$overlay"
chroot "$tree" apt-cache gencaches
find "$tree/tmp" "$tree/run" "$tree/var/log" "$tree/var/cache/debconf" -mindepth 1 -type f -delete
touch "$tree/etc/.updated" "$tree/var/.updated"
truncate -s "${size}M" "$image"
mke2fs -q -t ext4 -L lab -m 1 -J size=32 -E lazy_itable_init=0,root_owner=0:0 -d "$tree" "$image"
"""
"""Runs as (mapped) root in mount and pid namespaces of its own; the tree is in memory, and goes
with the namespace however the build ends."""


def overlay() -> bytes:
    """The tar archive of ``FILES`` and ``LINKS``."""
    return tar_archive(FILES, LINKS)


def tar_archive(files: Mapping[str, tuple[str, int]], links: Mapping[str, str]) -> bytes:
    """A tar archive of root's files (text and mode) and links, the same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, (text, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.mode = mode
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for path, target in sorted(links.items()):
            entry = tarfile.TarInfo(path)
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            tar.addfile(entry)
    return buffer.getvalue()
