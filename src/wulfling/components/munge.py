"""munge: how the boards of one cluster know each other's messages, by one shared key."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.advisories import MUNGE
from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.patched import Patched
from wulfling.node.resources.service import Service

DROP_IN = "/etc/systemd/system/munge.service.d/wulfling.conf"


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The key on every board that takes part in Slurm, and the daemon that uses it (2-52).

    While the head cannot be reached its key is not known, and nothing of this is touched.
    """
    if cluster.slurm is None or cluster.secrets is None:
        return
    key_text = cluster.secrets.munge_key.decode("ascii")
    yield Packages(names=("munge",), why="every Slurm message is signed by munge")
    if node.name == cluster.head:
        yield Directory(path="/var/lib/wulfling/secrets", mode=0o700)
        yield File(
            path="/var/lib/wulfling/secrets/munge_key",
            content=key_text,
            mode=0o600,
            secret=True,
            why="the head keeps the cluster's secrets; the other boards get theirs over SSH",
        )
    key = File(
        path="/etc/munge/munge.key",
        content=key_text,
        owner="munge",
        group="munge",
        mode=0o400,
        secret=True,
        why="the same on every board, readable by munge alone (munged(8))",
    )
    restart = File(
        path=DROP_IN,
        content="[Service]\nRestart=always\nRestartSec=2\n",
        why="Debian's unit restarts munge only after a crash, not after an exit",
    )
    yield key
    yield Directory(path=DROP_IN.rpartition("/")[0])
    yield restart
    yield Service(
        unit="munge.service",
        configured=digest(key_text, restart.content),
        watches=(key.key, restart.key, f"{Patched.kind}:{MUNGE}"),
        ready=("sh", "-c", "munge -n | unmunge"),
        why="a running munge goes on with the old key until it is restarted",
    )
