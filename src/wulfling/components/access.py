"""Who may log in where: the tool's own account, the people, and trust between the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages

ADMIN_ID = 970  # below 1000, where people start, and outside what Debian's packages take

# Whose word a board takes for who somebody is: other boards', while it is one of a cluster.
TRUST = (
    "/etc/ssh/shosts.equiv",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_config.d/10-wulfling.conf",
)

KEYS_DIRECTORY = "/etc/ssh/authorized_keys.d"  # sshd_config(5) has it too, in sshd.py


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The admin account, everybody's account and keys, and host-based trust."""
    yield Packages(names=("openssh-client", "sudo"), why="from board to board, and to root")
    yield from admin(cluster)
    yield Directory(path=KEYS_DIRECTORY)
    for person in cluster.people:
        yield Group(group=person.name, gid=person.uid, why="each person has a group of their own")
        yield User(
            user=person.name,
            uid=person.uid,
            gid=person.uid,
            home=f"/home/{person.name}",
            shell=person.shell,
            why="NFS knows people by number, so the number is the same everywhere (2-08)",
        )
        yield File(
            path=f"{KEYS_DIRECTORY}/{person.name}",
            content="".join(f"{key}\n" for key in person.keys),
            why="on every board's own disk, so that a login needs no file server",
        )
    yield from _homes(cluster, node)
    yield from _trust(cluster, node)


def admin(cluster: Cluster) -> Iterator[Resource]:
    """The account that wulfling logs in with; `card write` has a board make it at first boot."""
    home = f"/var/local/{cluster.admin}"
    yield Group(group=cluster.admin, gid=ADMIN_ID)
    yield User(
        user=cluster.admin,
        uid=ADMIN_ID,
        gid=ADMIN_ID,
        home=home,
        shell="/bin/bash",
        system=True,
        why="the account wulfling logs in with; its home is local, so that a dead file server"
        " or a mount over /home never locks you out",
    )
    yield Directory(path=home, owner=cluster.admin, group=cluster.admin, mode=0o700)
    yield Directory(path=f"{home}/.ssh", owner=cluster.admin, group=cluster.admin, mode=0o700)
    yield File(
        path=f"{home}/.ssh/authorized_keys",
        content="".join(f"{key}\n" for key in cluster.admin_keys),
        owner=cluster.admin,
        group=cluster.admin,
        mode=0o600,
        why="keys, never a password",
    )
    yield File(
        path=f"/etc/sudoers.d/{cluster.admin}",
        content=f"{cluster.admin} ALL=(ALL:ALL) NOPASSWD: ALL\n",
        mode=0o440,
        validate=("visudo", "-cf"),
        why="wulfling's program on the board runs as root",
    )


def _homes(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Homes are made where they live; on the other boards they appear through the mount."""
    for person in cluster.people:
        if not cluster.holds_home(node, person):
            continue
        yield Directory(
            path=f"/home/{person.name}",
            owner=person.name,
            group=person.name,
            mode=0o700,
            why="nobody reads another's home",
        )


def _trust(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """ssh between nodes without a key in anybody's home: sshd(8), host-based authentication.

    The guides copy every user's key to every node (1-23, 1-24); here a node vouches for the
    user by its own host key, which every other node has pinned. Neither is stronger than the
    other against root on a node, and this one has no private keys on the file server.
    """
    names = [f"{n.name},{n.name}.{cluster.domain},{n.address}" for n in cluster.nodes]
    known = "".join(
        f"{name} {key}\n"
        for name, n in zip(names, cluster.nodes, strict=True)
        for key in (n.hardware.host_keys if n.hardware else ())
    )
    equivalent = "".join(
        f"{n.name}\n{n.name}.{cluster.domain}\n{n.address}\n" for n in cluster.nodes
    )
    client = "HostbasedAuthentication yes\nEnableSSHKeysign yes\n"
    keys = node.hardware.host_keys if node.hardware else ()
    if any(key.startswith("ssh-ed25519 ") for key in keys):
        # Where the other board takes nobody's word for somebody, each host key is a try lost for
        # that person's own keys.
        client += "HostbasedAcceptedAlgorithms ssh-ed25519\n"
    yield File(path="/etc/ssh/ssh_known_hosts", content=known, why="pinned: nobody is asked yes/no")
    yield File(path="/etc/ssh/shosts.equiv", content=equivalent, why="which boards may vouch")
    yield File(path="/etc/ssh/ssh_config.d/10-wulfling.conf", content=client, why="ask by host key")
