"""The sweep, on loopback: what it makes of servers that speak, that are silent, and of none."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from wulfling.bringup import sweep

BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def knocked(monkeypatch: pytest.MonkeyPatch, said: bytes) -> tuple[tuple[str, str], bytes]:
    """What came of one knock, and what the server got to read."""
    read: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        try:
            read.set_result(await reader.read())
        except ConnectionResetError:
            read.set_result(b"reset")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        monkeypatch.setattr(sweep, "PORT", server.sockets[0].getsockname()[1])
        return await sweep.knock("127.0.0.1"), await read


async def test_an_sshd_tells_its_banner_and_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, read = await knocked(monkeypatch, BANNER)
    assert found == ("open", BANNER.decode().strip())
    assert read == b"reset"


async def test_what_a_server_says_is_short_and_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = await knocked(monkeypatch, b"\x1b[31m" + b"x" * 5000)
    assert found[0] == "open"
    assert found[1].startswith("?[31mxxx") and len(found[1]) == sweep.LONGEST_BANNER


async def test_a_silent_server_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "BANNER_PATIENCE", 0.1)
    found, _ = await asyncio.wait_for(knocked(monkeypatch, b""), 60)
    assert found == ("open", "")


async def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(sweep, "PORT", port)
    assert await sweep.knock("127.0.0.1") == ("shut", "")


async def test_addresses_are_knocked_at_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at: list[float] = []

    async def knock(address: str) -> tuple[str, str]:
        at.append(time.monotonic())
        return "silent", address

    monkeypatch.setattr(sweep, "knock", knock)
    monkeypatch.setattr(sweep, "RATE", 200.0)
    began = time.monotonic()
    doors, heard = await sweep.sweep([f"192.0.2.{n}" for n in range(1, 21)], "", b"")
    assert list(doors) == [f"192.0.2.{n}" for n in range(1, 21)]
    assert heard == []
    early = [n for n, when in enumerate(at) if when < began + n / 200 - 0.001]
    assert early == [], "a busy machine may be late, and nobody is early"


def test_it_is_a_program_that_needs_python_alone() -> None:
    """As it runs where another process holds the network."""
    order = json.dumps({"addresses": [], "source": "", "query": ""})
    argv = [sys.executable, "-I", "-S", str(Path(sweep.__file__))]
    done = subprocess.run(argv, input=order, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"doors": {}, "heard": []}
