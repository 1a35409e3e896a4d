"""Boards as network namespaces of this machine, for what virtual boards cannot be.

Their kernel has no nftables and they have one cable. A head with two sides, or boards on a switch:
here the kernel, nft(8) and dnsmasq(8) are this machine's own; nothing of its network is touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

SETUP = """
set -eu
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
for side in board internet; do ip netns add $side; done
ip link add eth0 type veth peer name eth0 netns board
ip link add wlan0 type veth peer name eth0 netns internet
ip address add 10.0.0.1/24 dev eth0
ip address add 198.51.100.1/24 dev wlan0
ip link set eth0 up
ip link set wlan0 up
for side in board internet; do
    ip -n $side link set lo up
    ip -n $side link set eth0 up
done
ip -n board link set eth0 address dc:a6:32:01:02:03
ip -n internet address add 198.51.100.2/24 dev eth0
echo 0 >/proc/sys/net/ipv4/ip_forward
"""

SWITCH = """
set -eu
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
ip link add switch type bridge
ip link set switch up
"""

PLUG = """
ip netns add {name}
ip link add {plug} type veth peer name eth0 netns {name}
ip link set {plug} master switch up
ip -n {name} link set lo up
ip -n {name} link set eth0 up
ip -n {name} address add {address}/24 dev eth0
"""

READY = "echo ready\nexec cat\n"

# A server that tells whoever calls which address the call came from.
SERVER = """
import socket, sys
server = socket.create_server(
    ("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True
)
print("ready", flush=True)
while True:
    caller, peer = server.accept()
    caller.sendall(peer[0].removeprefix("::ffff:").encode())
    caller.close()
"""

CLIENT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as server:
        print(server.recv(64).decode())
except OSError as error:
    print(type(error).__name__)
"""

# One question for an A record, as bytes (RFC 1035); the last four bytes of the answer are it.
NAME = """
import socket, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[2].split("."))
question = b"\\x12\\x34\\x01\\x00\\x00\\x01" + bytes(6) + name + b"\\x00\\x00\\x01\\x00\\x01"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
    plug.settimeout(2)
    plug.connect((sys.argv[1], 53))
    try:
        plug.send(question)
        answer = plug.recv(512)
        print(socket.inet_ntoa(answer[-4:]) if answer[7] else f"code {answer[3] & 15}")
    except OSError as error:
        print(type(error).__name__)
"""

# Who asks for an address gets it printed, with the router and the name server.
LEASE = '[ "$1" != bound ] || echo "$ip ${router:-none} $dns $hostname"'


@dataclass(frozen=True)
class Head:
    """The head's namespace, and those of a board before it and of the internet behind it."""

    pid: int

    def words(self, side: str, *words: str) -> list[str]:
        """The words that run ``words`` on one side: head, board or internet."""
        user = ["-U", "--preserve-credentials"] if os.getuid() else []
        enter = ["nsenter", f"--target={self.pid}", *user, "-n", "-m"]
        netns = [] if side == "head" else ["ip", "netns", "exec", side]
        return [*enter, *netns, *words]

    def run(self, side: str, *words: str, stdin: str = "", check: bool = True) -> str:
        """What a program printed on one side."""
        done = subprocess.run(
            self.words(side, *words),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Put files below the namespace's own /run."""
        for name, text in files.items():
            self.run("head", "tee", f"/run/{name}", stdin=text)

    def call(self, side: str, address: str, port: int) -> str:
        """The address that a server saw the call come from, or the name of the error."""
        return self.run(side, sys.executable, "-c", CLIENT, address, str(port))

    def resolve(self, side: str, server: str, name: str) -> str:
        """The address that a name server gave for a name, or what went wrong."""
        return self.run(side, sys.executable, "-c", NAME, server, name)

    def lease(self, side: str) -> str:
        """What a DHCP server gave: address, router, name server, host name; "" for nothing."""
        self.write({"lease": f"#!/bin/sh\n{LEASE}\n"})
        self.run("head", "chmod", "+x", "/run/lease")
        words = ("-i", "eth0", "-n", "-q", "-t", "3", "-T", "1", "-s", "/run/lease")
        return self.run(side, "udhcpc", *words, check=False)

    @contextmanager
    def server(self, side: str, *words: str, ready: str = "") -> Iterator[None]:
        """While the block lasts a program runs on one side; it has said ``ready`` before."""
        with subprocess.Popen(
            self.words(side, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                assert process.stdout is not None
                said = ""
                while ready not in said:
                    line = process.stdout.readline()
                    assert line, f"{words} ended: {said}"
                    said += line
                yield
            finally:
                process.terminate()

    @contextmanager
    def echo(self, side: str, port: int) -> Iterator[None]:
        """While the block lasts a server on one side tells callers their address."""
        with self.server(side, sys.executable, "-c", SERVER, str(port), ready="ready\n"):
            yield


@contextmanager
def two_sided_head() -> Iterator[Head]:
    """The namespaces; with the block they are gone."""
    with _namespaces(SETUP) as found:
        yield found


@contextmanager
def on_a_switch(addresses: Mapping[str, str]) -> Iterator[Head]:
    """A namespace for each name, all on one switch, which is in the outer one ("head")."""
    plugs = (
        PLUG.format(name=name, address=address, plug=f"port{number}")
        for number, (name, address) in enumerate(addresses.items())
    )
    with _namespaces(SWITCH + "".join(plugs)) as found:
        yield found


@contextmanager
def _namespaces(setup: str) -> Iterator[Head]:
    # A range of users, because dnsmasq changes to another even when that one is root.
    user = ["--user", "--map-auto", "--map-root-user"] if os.getuid() else []
    unshare = ["unshare", *user, "-n", "-m", "--propagation=private", "sh", "-c", setup + READY]
    with subprocess.Popen(
        unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Head(process.pid)
        finally:
            process.terminate()
