"""Which modules of the user-mode-linux kernel a board gets, so that the image stays small."""

from __future__ import annotations

from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab.needs import program
from wulfling.proc import run

MODULE_ROOT = Path("/usr/lib/uml/modules")

WANTED = (
    "kernel/block/",
    "kernel/crypto/",
    "kernel/drivers/block/",
    "kernel/drivers/md/",
    "kernel/drivers/net/bonding/",
    "kernel/drivers/net/dummy.ko",
    "kernel/drivers/net/ifb.ko",
    "kernel/drivers/net/macvlan.ko",
    "kernel/drivers/net/tun.ko",
    "kernel/drivers/net/veth.ko",
    "kernel/drivers/net/vrf.ko",
    "kernel/drivers/net/vxlan/",
    "kernel/drivers/watchdog/",
    "kernel/fs/autofs/",
    "kernel/fs/binfmt_misc.ko",
    "kernel/fs/configfs/",
    "kernel/fs/fat/",
    "kernel/fs/fuse/",
    "kernel/fs/lockd/",
    "kernel/fs/nfs/",
    "kernel/fs/nfs_common/",
    "kernel/fs/nfsd/",
    "kernel/fs/nls/nls_utf8.ko",
    "kernel/fs/overlayfs/",
    "kernel/fs/quota/",
    "kernel/lib/",
    "kernel/mm/",
    "kernel/net/8021q/",
    "kernel/net/bridge/br_netfilter.ko",
    "kernel/net/bridge/bridge.ko",
    "kernel/net/core/",
    "kernel/net/ipv4/",
    "kernel/net/ipv6/",
    "kernel/net/key/",
    "kernel/net/netfilter/",
    "kernel/net/netlink/",
    "kernel/net/packet/",
    "kernel/net/sched/",
    "kernel/net/sunrpc/",
    "kernel/net/tls/",
    "kernel/net/unix/",
    "kernel/net/xfrm/",
)
"""Folders and files of the module tree; what these depend on comes along."""


def kernel_version() -> str:
    """The version of the kernel that boards run, for example ``6.1.176``."""
    version = run((program("linux.uml"), "--version")).stdout.strip()
    if not (MODULE_ROOT / version).is_dir():
        raise WulflingError(
            f"the modules of kernel {version} are not in {MODULE_ROOT}",
            hint="apt install --reinstall user-mode-linux",
        )
    return version


def chosen(dependencies: str, wanted: tuple[str, ...] = WANTED) -> tuple[str, ...]:
    """The paths to copy, given the text of modules.dep, in alphabetical order."""
    needs = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    found: set[str] = set()
    todo = [path for path in needs if path.startswith(wanted)]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += needs.get(path, [])
    return tuple(sorted(found))


def files(version: str) -> tuple[str, ...]:
    """The paths below ``MODULE_ROOT`` that go into an image."""
    tree = MODULE_ROOT / version
    lists = ("modules.builtin", "modules.builtin.modinfo", "modules.order")
    names = (*lists, *chosen((tree / "modules.dep").read_text()))
    return tuple(f"{version}/{name}" for name in names)
