"""What a card of Debian's own packages contains, as data: packages, files and the build script."""

from __future__ import annotations

from collections.abc import Mapping

from wulfling.lab.recipe import tar_archive

SUITE = "bookworm"
COMPONENTS = "main non-free-firmware"
BOOT_MB = 256
ROOT_MB = 1536
"""The root file system takes the rest of the card at the first boot."""

PACKAGES = (
    "ca-certificates",
    "cloud-guest-utils",  # growpart, for cloud-init
    "cloud-init",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "iproute2",
    "iputils-ping",
    "kmod",
    "linux-image-arm64",
    "locales",
    "netbase",
    "openssh-server",
    "python3",
    "raspi-firmware",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
)
"""What `card write` and the first apply count on; apply brings the rest."""

LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
KEPT = (
    "/usr/share/doc/*/copyright",  # the licenses of the firmware ask for it
    "/usr/share/locale/locale.alias",  # locale-gen does nothing without it
)

# `most` would take drivers of network, graphics and SCSI cards along, which no board boots from:
# minutes of emulation here, and of every kernel upgrade on the board. The functions are those of
# initramfs-tools; base has the clocks, regulators, GPIO and PCI hosts of every board.
_INITRAMFS_HOOK = """\
#!/bin/sh
# Drivers for a root file system on an SD card, a USB disk, an NVMe disk or a virtual disk.
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
auto_add_modules base mmc
manual_add_modules sd_mod uas usb-storage nvme virtio_blk
"""

EARLY: Mapping[str, tuple[str, int]] = {
    "etc/default/raspi-extra-cmdline": ("cgroup_enable=memory\n", 0o644),
    # cma=64M, the package's default away from a board, keeps a Raspberry Pi 4 from booting.
    "etc/default/raspi-firmware": (
        'ROOTPART="LABEL=rootfs"\nCONSOLES="ttyS1,115200 tty0"\nCMA=0\n',
        0o644,
    ),
    "etc/fstab": (
        "LABEL=rootfs / ext4 defaults,noatime 0 1\n"
        "LABEL=bootfs /boot/firmware vfat defaults,noatime,umask=0077 0 2\n",
        0o644,
    ),
    # FSTYPE: the fsck it gets. Without it the root of the machine that builds is asked.
    "etc/initramfs-tools/conf.d/card": ("MODULES=list\nFSTYPE=ext4\n", 0o644),
    # The kernel's installation makes one; the trigger would make it once more, minutes later.
    "etc/initramfs-tools/update-initramfs.conf": ("update_initramfs=no\n", 0o644),
    "etc/initramfs-tools/hooks/card": (_INITRAMFS_HOOK, 0o755),
}
"""Files that the kernel's and the firmware's installation read."""

LATE: Mapping[str, tuple[str, int]] = {
    # fs_label: the partition that `card write` puts cloud-init's files into. No `users`, and so
    # no account with a known name.
    "etc/cloud/cloud.cfg.d/90_card.cfg": (
        "datasource_list: [NoCloud, None]\n"
        "datasource: {NoCloud: {fs_label: bootfs}}\n"
        "users: []\n"
        "apt: {preserve_sources_list: true}\n"  # cloud-init's own has no firmware in it
        "locale: C.UTF-8\n"
        "manage_etc_hosts: false\n"  # apply's
        "disable_root: true\n"
        "system_info: {network: {renderers: [networkd]}}\n",
        0o644,
    ),
    "etc/hostname": ("board\n", 0o644),
    "etc/hosts": ("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n", 0o644),
    "etc/initramfs-tools/update-initramfs.conf": (
        "update_initramfs=yes\nbackup_initramfs=no\n",
        0o644,
    ),
    "etc/machine-id": ("", 0o444),
    "etc/ssh/sshd_config.d/10-card.conf": ("PasswordAuthentication no\n", 0o644),
    # A cable that is out must not hold back the boot for two minutes.
    "etc/systemd/system/systemd-networkd-wait-online.service.d/card.conf": (
        "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --any"
        " --timeout=20\n",
        0o644,
    ),
}

# The image is nobody's until `card write` puts other files in the place of these.
BOOT: Mapping[str, str] = {
    "user-data": "#cloud-config\n# Nobody's yet: wulfling card write makes it a node's.\n",
    "network-config": "version: 2\nethernets: {eth0: {dhcp4: true, optional: true}}\n",
    "meta-data": "dsmode: local\ninstance-id: nobody\n",
}

_UNITS = "/usr/lib/systemd/system"

LINKS: Mapping[str, str] = {
    "etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
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

AS_MAPPED_ROOT = r"""
exec 3<&0
unshare --user -- sh -c '
tries=0
until [ -n "$(cat /proc/self/gid_map)" ] || [ $tries = 100 ]; do
    tries=$((tries + 1)); sleep 0.1
done
exec setpriv --pdeathsig=KILL -- "$@"' mapped "$@" <&3 3<&- &
while kill -0 $! && [ "$(readlink /proc/$!/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do
    sleep 0.1
done
echo 0 0 4294967295 >/proc/$!/uid_map
echo 0 0 4294967295 >/proc/$!/gid_map
wait $!
"""
"""Runs its words as root of a user namespace, started by root itself: newuidmap(1) maps nothing
for root, who has no line in /etc/subuid. What is registered there with binfmt_misc(5) stays
there (Linux 6.7 and newer), and this machine is as it was."""

_TREE = r"""set -eu
tree=$WORK/tree binfmt=/proc/sys/fs/binfmt_misc
mount -t tmpfs -o mode=0755,size=75% card "$WORK"
if [ -n "$EMULATOR" ] && [ ! -e $binfmt/qemu-aarch64 ]; then
    mount -t binfmt_misc binfmt_misc $binfmt
    [ -e $binfmt/qemu-aarch64 ] || cat "$EMULATOR" >$binfmt/register
fi
mmdebstrap --mode=root --architectures=arm64 --variant=minbase --format=directory \
    --skip=check/qemu --essential-hook='tar -x -C "$1" -f "$EARLY"' "$@" "$SUITE" "$tree" -
rm -f "$tree/etc/apt/apt.conf.d/99mmdebstrap" "$tree/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -f "$tree"/etc/ssh/ssh_host_* "$tree/var/lib/dbus/machine-id"
find "$tree/dev" -mindepth 1 -delete
tar -x -p --numeric-owner --unlink-first -C "$tree" -f "$LATE"
find "$tree/tmp" "$tree/run" "$tree/var/log" "$tree/var/cache/debconf" -mindepth 1 -type f -delete
"""

LAY_OUT = r"""
# -s 2: mkfs.vfat's own choice leaves fewer clusters than mtools takes for FAT 32.
export MTOOLSRC=/dev/null MTOOLS_SKIP_CHECK=1
truncate -s "$((1 + BOOT_MB + ROOT_MB))M" "$IMAGE"
printf '%s\n' 'label: dos' \
    "start=1MiB, size=${BOOT_MB}MiB, type=c, bootable" \
    "start=$((1 + BOOT_MB))MiB, size=${ROOT_MB}MiB, type=83" | sfdisk --quiet "$IMAGE"
mkfs.vfat -F 32 -s 2 -n bootfs --offset 2048 -h 2048 "$IMAGE" "$((BOOT_MB * 1024))" >&2
mcopy -s -m -i "$IMAGE@@1M" "$tree"/boot/firmware/* ::/
find "$tree/boot/firmware" -mindepth 1 -delete
mke2fs -q -F -t ext4 -L rootfs -m 1 -E "offset=$(((1 + BOOT_MB) << 20)),root_owner=0:0" \
    -d "$tree" "$IMAGE" "${ROOT_MB}M"
"""
"""``$tree`` as the image file ``$IMAGE``, without a loop device; its /boot/firmware is used up."""

BUILD_SCRIPT = _TREE + LAY_OUT
"""Runs as mapped root in mount and pid namespaces of its own; the tree is in memory, and goes
with the namespace however the build ends."""


def early() -> bytes:
    """The tar archive of ``EARLY``."""
    return tar_archive(EARLY, {})


def late() -> bytes:
    """The tar archive of ``LATE``, ``LINKS``, ``BOOT`` and the board's own package sources."""
    boot = {f"boot/firmware/{name}": (text, 0o644) for name, text in BOOT.items()}
    lists = "".join(f"{line}\n" for line in public_sources())
    return tar_archive({**LATE, **boot, "etc/apt/sources.list": (lists, 0o644)}, LINKS)


def public_sources() -> tuple[str, ...]:
    """The lines of sources.list that every board in the world can use."""
    debian, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    return (
        f"deb {debian} {SUITE} {COMPONENTS}",
        f"deb {debian} {SUITE}-updates {COMPONENTS}",
        f"deb {security} {SUITE}-security {COMPONENTS}",
    )
