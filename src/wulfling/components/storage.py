"""One place for everybody's files: an NFSv4 server, and mounts that appear when they are used."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node, Share
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

MOUNTD_FILE = "/etc/systemd/system/nfs-mountd.service.d/wulfling.conf"

# The kernel's server asks mountd who may mount, through a file; only NFSv3 calls it on a port.
MOUNTD_TEXT = """[Service]
ExecStart=
ExecStart=/usr/sbin/rpc.mountd --no-tcp --no-udp
"""

# What only NFSv3 needs. Others pull them in (nfs-server Wants them, and rpcbind's socket starts
# it), so being disabled does not hold.
V3_UNITS = ("rpcbind.socket", "rpcbind.service")
V3_SERVER_UNITS = ("rpc-statd.service", "rpc-statd-notify.service")

EXPORTS_FILE = "/etc/exports.d/wulfling.exports"

# After a restart an NFSv4 server gives its clients this many seconds to claim back their
# locks, and nobody may open a file meanwhile; the default of 90 would outlast the boot.
GRACE_SECONDS = 15

MOUNT_OPTIONS = ",".join(
    (
        "rw",
        "hard",  # a job waits for the server rather than losing what it wrote
        "noatime",
        "nosuid",  # root of another board could leave a program there that makes its user root
        "nodev",
        "_netdev",
        "nofail",  # a board boots without its file server
        "x-systemd.automount",  # ... and finds it whenever it comes: boot order never matters
        "x-systemd.mount-timeout=60",
    )
)


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Exports on the server of each share, automounts on everybody else."""
    served = [share for share in cluster.storage if share.server == node.name]
    mounted = [share for share in cluster.storage if share.server != node.name]
    if served and len(cluster.nodes) > 1:
        yield from _no_v3(*V3_UNITS, *V3_SERVER_UNITS)
    elif mounted:
        yield from _no_v3(*V3_UNITS)
    if served:
        yield from _server(cluster, node, served)
    if mounted:
        yield from _client(mounted)


def _no_v3(*units: str) -> Iterator[Resource]:
    """Stopped first, because a mask alone leaves running what runs."""
    for unit in units:
        yield Service(
            unit=unit, enabled=False, running=False, why="NFSv3's; NFSv4 needs no port but 2049"
        )
        yield Link(
            path=f"/etc/systemd/system/{unit}",
            target="/dev/null",
            why="masked (systemctl(1)), or nfs-server would start it again",
        )


def _server(cluster: Cluster, node: Node, shares: list[Share]) -> Iterator[Resource]:
    homes = {f"/home/{person.name}" for person in cluster.people}
    for share in shares:
        if share.path not in homes:  # those are made with their owner
            yield Directory(path=share.path, why="what the others mount (2-16)")
    clients = [n.address for n in cluster.nodes if n.name != node.name]
    if not clients:
        # Not an export without clients: exports(5) gives that one to the whole world.
        return
    yield Packages(names=("nfs-kernel-server",), why="this board is the file server (2-15)")
    settings = File(
        path="/etc/nfs.conf.d/wulfling.conf",
        content="[nfsd]\nvers3=n\nvers4=y\n"
        f"grace-time={GRACE_SECONDS}\nlease-time={GRACE_SECONDS}\n",
        why="nfs.conf(5): NFSv4 needs one open port, 2049 (2-18)",
    )
    options = "rw,sync,root_squash,no_subtree_check"
    exports = File(
        path=EXPORTS_FILE,
        content="".join(
            f"{share.path} " + " ".join(f"{address}({options})" for address in clients) + "\n"
            for share in shares
        ),
        why="exports(5): the boards of this cluster and nobody else; their root is not ours",
    )
    mountd = File(path=MOUNTD_FILE, content=MOUNTD_TEXT, why="rpc.mountd(8): no port for NFSv3")
    yield settings
    yield Directory(path="/etc/exports.d")
    yield exports
    yield Directory(path=MOUNTD_FILE.rpartition("/")[0])
    yield mountd
    yield Service(
        unit="nfs-server.service",
        configured=digest(settings.content, exports.content, mountd.content),
        watches=(settings.key, exports.key, mountd.key),
        why="the kernel's NFS server; it reads the exports when it starts (exportfs -r)",
    )


def _client(shares: list[Share]) -> Iterator[Resource]:
    yield Packages(names=("nfs-common",), why="mounts NFS")
    table = Block(
        path="/etc/fstab",
        text="".join(f"{s.server}:{s.path} {s.path} nfs4 {MOUNT_OPTIONS} 0 0\n" for s in shares),
        why="the same paths on every board (2-20)",
    )
    yield table
    for share in shares:
        yield Service(
            unit=f"{_unit_name(share.path)}.automount",
            configured=digest(table.text),
            watches=(table.key,),
            why=f"{share.path} is mounted when somebody looks into it",
        )


def _unit_name(path: str) -> str:
    """What systemd calls the unit of a path, as systemd-escape(1) with --path: slashes become
    dashes, and so dashes something else. Paths here are ASCII."""
    text = path.strip("/")
    first, rest = text[:1], text[1:]
    escaped = re.sub(r"[^A-Za-z0-9:_./]", lambda found: f"\\x{ord(found[0]):02x}", rest)
    if not re.match(r"[A-Za-z0-9:_]", first):
        first = f"\\x{ord(first):02x}"  # a dot, too
    return (first + escaped).replace("/", "-")
