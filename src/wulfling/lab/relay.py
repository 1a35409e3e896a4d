"""The program that holds a lab's network: it joins calls from outside to addresses inside.

It runs with nothing but the standard library, inside the lab's namespaces, and is what keeps
them alive. Outside, a unix socket takes one line ``ADDRESS PORT``, answers ``ok`` or
``no REASON``, and is from then on a stream to that address. Inside, one port leads to the
package cache, which is a unix socket outside.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys

CONNECT_PATIENCE = 10.0
_CHUNK = 1 << 16
_IP_FREEBIND = 15


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on bytes until the source has no more, then say so to the target."""
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except OSError:
        target.transport.abort()


async def _join(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Carry both directions; each may end alone, and a broken one breaks both."""
    try:
        await asyncio.gather(_copy(near[0], far[1]), _copy(far[0], near[1]))
    finally:
        for _, writer in (near, far):
            writer.close()


async def _reach(line: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection that ``ADDRESS PORT`` asks for. Raises ``ValueError`` or ``OSError``."""
    address, _, port = line.decode("ascii").strip().partition(" ")
    socket.inet_pton(socket.AF_INET, address)
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(address, int(port)), CONNECT_PATIENCE
    )
    plug = writer.get_extra_info("socket")
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return reader, writer


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one caller from outside."""
    try:
        line = await asyncio.wait_for(reader.readline(), 60)
        far = await _reach(line)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        reason = str(error) or "no answer"
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno)
        writer.write(f"no {reason}\n".encode())
        writer.close()
        return
    writer.write(b"ok\n")
    await _join((reader, writer), far)


class _Packages:
    """Serves boards that want packages, by handing them to the cache outside."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for attempt in range(20):
            try:
                far = await asyncio.open_unix_connection(self.path)
                break
            except OSError:
                await asyncio.sleep(0.1 * (attempt + 1))
        else:
            writer.write(b"HTTP/1.1 503 no package cache\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        await _join((reader, writer), far)


def _private_listener(path: str) -> socket.socket:
    """A listening unix socket that is complete the moment its name exists."""
    fresh = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o077)
    listener.bind(fresh)
    listener.listen(128)
    os.rename(fresh, path)
    return listener


def _inside_listener(address: str, port: int) -> socket.socket:
    """A listener on an address that the bridge may get only later."""
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    listener.bind((address, port))
    listener.listen(128)
    return listener


async def _serve(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    inside = _inside_listener(options.bridge, options.port)
    await asyncio.start_server(_Packages(options.packages), sock=inside)
    await asyncio.start_unix_server(_call, sock=_private_listener(options.socket))
    await ended.wait()


def main(words: list[str]) -> None:
    """Serve until a signal says to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lab", help="the lab's folder, by which its processes are found")
    parser.add_argument("--socket", required=True)
    parser.add_argument("--bridge", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--packages", required=True)
    asyncio.run(_serve(parser.parse_args(words)))


if __name__ == "__main__":
    main(sys.argv[1:])
