"""A way to the head where no port can be opened, by any machine with a public address: the head
keeps a tunnel of SSH open to it, which leads to its own SSH and to nothing else (0-05).

What that machine sees is encrypted for the head. It needs an account there whose key may do this
alone; `wulfling remote relay` prints the line.
"""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node, Relay
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.service import Service

ACCOUNT, ACCOUNT_ID = "wulfling-relay", 972
HOME = f"/var/local/{ACCOUNT}"
KEY_FILE = f"{HOME}/key"
KNOWN_HOSTS = f"{HOME}/known_hosts"
PROGRAM = "/usr/local/sbin/wulfling-relay"
UNIT = "wulfling-relay.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
SERVER_FILE = "/etc/ssh/sshd_config.d/wulfling-relay.conf"  # on the machine in between

# Not autossh: ssh itself ends when the other side is silent (ServerAlive), and is started again.
# By a loop and not by systemd, so that a machine that is away is no service that has failed.
PROGRAM_TEXT = """#!/bin/sh
# Keeps a tunnel open to the machine in between (wulfling). The key is made here and stays here.
set -u
cd {home}
if [ ! -s key ]; then
    rm -f key.new key.new.pub
    ssh-keygen -q -t ed25519 -N '' -C {account}@$(hostname) -f key.new || exit 1
    mv key.new.pub key.pub
    sync key.pub key.new
    mv key.new key
fi
while :; do
    ssh -F none -N -T -p {there} -i {home}/key \\
        -o BatchMode=yes -o IdentitiesOnly=yes -o PreferredAuthentications=publickey \\
        -o StrictHostKeyChecking=yes -o UserKnownHostsFile={home}/known_hosts \\
        -o GlobalKnownHostsFile=/dev/null -o HostKeyAlias=relay -o UpdateHostKeys=no \\
        -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=3 \\
        -o ExitOnForwardFailure=yes -R 127.0.0.1:{port}:127.0.0.1:22 {user}@{host}
    sleep 10
done
"""

UNIT_TEXT = f"""[Unit]
Description=Way to this board by a machine with a public address (wulfling)
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
User={ACCOUNT}
ExecStart={PROGRAM}
Restart=always
RestartSec=10
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={HOME}
ProtectHome=yes
PrivateTmp=yes
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The head's end of the tunnel."""
    relay = cluster.relay
    if relay is None or node.name != cluster.head:
        return
    yield Group(group=ACCOUNT, gid=ACCOUNT_ID)
    yield User(
        user=ACCOUNT,
        uid=ACCOUNT_ID,
        gid=ACCOUNT_ID,
        home=HOME,
        shell="/usr/sbin/nologin",
        system=True,
        why="what talks to a machine in the internet is not root",
    )
    yield Directory(path=HOME, owner=ACCOUNT, group=ACCOUNT, mode=0o700)
    known = File(
        path=KNOWN_HOSTS,
        content=f"relay {relay.host_key}\n",
        why="pinned: another machine gets no word",
    )
    program = File(
        path=PROGRAM, content=_program(relay), mode=0o755, why="a key, and a tunnel that comes back"
    )
    unit = File(path=UNIT_FILE, content=UNIT_TEXT, why="from each boot, with nobody logged in")
    yield from (known, program, unit)
    yield Service(
        unit=UNIT,
        configured=digest(known.content, program.content, unit.content),
        watches=(known.key, program.key, unit.key),
        why="a way in where no port can be opened",
    )


def _program(relay: Relay) -> str:
    return PROGRAM_TEXT.format(
        home=HOME,
        account=ACCOUNT,
        host=relay.host,
        there=relay.ssh_port,
        user=relay.user,
        port=relay.port,
    )


def authorized_line(relay: Relay, public: str) -> str:
    """What the machine in between writes into the account's `authorized_keys` (sshd(8)): this key
    opens one port on its loopback, and gets no command and no terminal. Without `permitopen` it
    could call anybody from there; on port 1 nobody answers."""
    allowed = f'restrict,port-forwarding,permitlisten="127.0.0.1:{relay.port}"'
    return f'{allowed},permitopen="127.0.0.1:1",command="/bin/false" {public}'


def server_rules(relay: Relay) -> str:
    """What the machine in between has in a file of `sshd_config.d` (sshd_config(5)). A head whose
    power was cut says no goodbye: without these its old tunnel holds the port there for up to two
    hours (tcp(7), tcp_keepalive_time), and the new one does not get it."""
    return f"""Match User {relay.user}
    ClientAliveInterval 15
    ClientAliveCountMax 3
"""
