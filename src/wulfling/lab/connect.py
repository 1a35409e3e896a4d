"""OpenSSH ProxyCommand into a lab: ``python3 -I -S connect.py SOCKET HOST PORT``.

It starts in a few milliseconds because it imports nothing that Python has not loaded anyway,
and it leaves bytes and half-closed connections as they are.
"""

import os
import select
import socket
import sys

_CHUNK = 1 << 16
_PIECE = 4096  # a pipe that select calls writable takes as much without waiting


def _answer(plug: "socket.socket") -> str:
    """The relay's first line, and not one byte more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = plug.recv(1)
        if not byte:
            return "no answer from the lab"
        line += byte
    return line.decode(errors="replace").strip()


def _carry(plug: "socket.socket") -> None:
    """Copy standard input to the lab and the lab to standard output until the lab ends.

    Neither direction waits for the other: what cannot be passed on yet is kept, and no more is
    read on that side meanwhile.
    """
    plug.setblocking(False)
    upward, downward = b"", b""
    up_open, down_open = True, True
    while up_open or upward or down_open or downward:
        readers = [0] * (up_open and not upward) + [plug] * (down_open and not downward)
        writers = [plug] * bool(upward) + [1] * bool(downward)
        readable, writable, _ = select.select(readers, writers, [])
        if plug in writable:
            upward = upward[plug.send(upward) :]
        if 1 in writable:
            downward = downward[os.write(1, downward[:_PIECE]) :]
        if 0 in readable:
            upward = os.read(0, _CHUNK)
            if not upward:
                up_open = False
                plug.shutdown(socket.SHUT_WR)
        if plug in readable:
            downward = plug.recv(_CHUNK)
            if not downward:
                down_open = False
                os.close(1)


def main(words: "list[str]") -> int:
    """Carry one connection; 1 when it cannot be made, with the reason on stderr."""
    path, host, port = words
    plug = socket.socket(socket.AF_UNIX)
    try:
        plug.connect(path)
        plug.sendall(f"{host} {port}\n".encode())
        answer = _answer(plug)
        if answer != "ok":
            sys.stderr.write(f"{host}: {answer.removeprefix('no ')}\n")
            return 1
        _carry(plug)
    except OSError as error:
        sys.stderr.write(f"{host}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
