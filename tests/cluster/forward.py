"""A router that passes one UDP port on, from the network of one lab to a board of another.

Nothing else leads from lab to lab. It is two processes, one in the network of each, which hand
each other datagrams: the networks of labs are namespaces of this machine, and stay so.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST = 1 << 16  # bytes of a datagram


def outside(wire: socket.socket, address: str, port: int) -> None:
    """Where callers come: what each sends goes on, with the caller's address before it."""
    plug = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plug.bind((address, port))
    while True:
        ready, _, _ = select.select([plug, wire], [], [])
        if plug in ready:
            data, (host, number) = plug.recvfrom(MOST)
            wire.send(f"{host} {number}\n".encode() + data)
        if wire in ready:
            caller, _, data = wire.recv(MOST).partition(b"\n")
            host, number = caller.decode().split()
            with suppress(OSError):  # whoever called is gone
                plug.sendto(data, (host, int(number)))


def inside(wire: socket.socket, address: str, port: int) -> None:
    """Where the board is: each caller has a port here, so that answers find their way."""
    plugs: dict[bytes, socket.socket] = {}
    while True:
        ready, _, _ = select.select([wire, *plugs.values()], [], [])
        if wire in ready:
            caller, _, data = wire.recv(MOST).partition(b"\n")
            if caller not in plugs:
                plugs[caller] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                plugs[caller].connect((address, port))
            with suppress(OSError):  # the board is off
                plugs[caller].send(data)
        for caller, plug in plugs.items():
            if plug in ready:
                with suppress(OSError):
                    wire.send(caller + b"\n" + plug.recv(MOST))


@contextmanager
def port_forward(outer: str, inner: str, board: str, port: int) -> Iterator[None]:
    """While the block lasts, UDP ``port`` of the gateway of the lab ``outer`` is that of the
    address ``board`` in the lab ``inner``."""
    wires = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ends = (("outside", outer, "0.0.0.0"), ("inside", inner, board))
    halves = []
    try:
        for wire, (side, lab, address) in zip(wires, ends, strict=True):
            words = (sys.executable, __file__, side, str(wire.fileno()), address, str(port))
            halves.append(subprocess.Popen([*_into(lab), *words], pass_fds=[wire.fileno()]))
        yield
    finally:
        for half in halves:
            half.terminate()
            half.wait()
        for wire in wires:
            wire.close()


def _into(lab: str) -> tuple[str, ...]:
    """The words that run a program in a lab's network."""
    from wulfling.lab import network, processes
    from wulfling.lab.places import lab_files

    relay = network.relay_process(processes.own_processes(), lab_files(lab))
    assert relay is not None, f"lab {lab} is down"
    return network.enter(relay.pid)


if __name__ == "__main__":
    side, wire, address, port = sys.argv[1:]
    {"outside": outside, "inside": inside}[side](
        socket.socket(fileno=int(wire)), address, int(port)
    )
