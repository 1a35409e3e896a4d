"""The network as this board sees it: links, names, and who answers."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from wulfling.node.board import Board
from wulfling.node.health.background import Background

PATIENCE = 2.0  # seconds until somebody on the same network counts as silent
SSH_PORT = 22
CONTROLLER_PORT = 6817
RESOLVED = "127.0.0.53"  # systemd-resolved, which keeps the real servers in a file of its own
# One question for the name servers of the root, as bytes (RFC 1035): any answer will do.
QUESTION = b"\x57\x4c\x01\x00\x00\x01" + bytes(6) + b"\x00\x00\x02\x00\x01"


def cables(board: Board) -> dict[str, Any]:
    """Wired interfaces that are up, and their speed in Mbit/s, 0 when it is not known; and those
    that send or receive, never both."""
    links, half = [], []
    for place in sorted(board.path("/sys/class/net").glob("*")):
        wired = (place / "device").exists() and not (place / "wireless").exists()
        if wired and _word(place / "operstate") == "up":
            speed = _word(place / "speed")
            links.append((place.name, int(speed) if speed.isdigit() else 0))
            half += [place.name] if _word(place / "duplex") == "half" else []
    return {"links": tuple(links), "half_duplex": tuple(half)}


def _word(place: Any) -> str:
    try:
        return str(place.read_text().strip())
    except OSError:  # an interface that has no speed says EINVAL
        return ""


class Probe:
    """Names, name servers, the controller's port, and other boards, all asked at once."""

    def __init__(self, board: Board, asked: Mapping[str, Any]) -> None:
        addresses: Mapping[str, str] = asked.get("names", {})
        wanted = [(name, addresses[name], SSH_PORT) for name in asked.get("reach", ())]
        if controller := asked.get("controller"):
            wanted.append(("", controller, CONTROLLER_PORT))
        self._names = Background(lambda: tuple(_resolved(addresses)))
        self._servers = name_servers(board)
        self._dns = Background(lambda: _answering(self._servers))
        self._called = Background(lambda: _call(wanted))

    def collect(self) -> dict[str, Any]:
        """What came of it. Names are left out when one of them is looked for too long."""
        called = dict(self._called.result({}))
        answering = self._dns.result(frozenset())
        return {
            "names": self._names.result(()),
            "dns": tuple((server, server in answering) for server in self._servers),
            "ctld": called.pop("", ""),
            "reached": tuple((name, said == "open") for name, said in called.items()),
        }


def _resolved(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """A name that no file knows is asked of name servers, which may be dead: not forever."""
    deadline = time.monotonic() + PATIENCE
    for name in names:
        if time.monotonic() > deadline:
            return
        try:
            yield name, socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]  # type: ignore[misc]
        except OSError:
            yield name, ""


def name_servers(board: Board) -> tuple[str, ...]:
    """The servers of resolv.conf(5); those behind systemd-resolved, where it is asked."""
    found = _named(board.lines("/etc/resolv.conf"))
    if found == (RESOLVED,):
        return _named(board.lines("/run/systemd/resolve/resolv.conf"))
    return found


def _named(lines: Iterable[str]) -> tuple[str, ...]:
    words = (line.split() for line in lines)
    return tuple(word[1] for word in words if word[:1] == ["nameserver"] and len(word) > 1)


def _answering(servers: Iterable[str]) -> frozenset[str]:
    """Those that say anything, as soon as one of them does: the resolver needs no more."""
    plugs: dict[socket.socket, str] = {}
    for server in servers:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        plug = socket.socket(family, socket.SOCK_DGRAM)
        plugs[plug] = server
        with suppress(OSError):
            plug.connect((server, 53))
            plug.send(QUESTION)
    waiting = set(plugs)
    deadline = time.monotonic() + PATIENCE
    try:
        while waiting and (left := deadline - time.monotonic()) > 0:
            for plug in select.select(list(waiting), [], [], left)[0]:
                waiting.discard(plug)
                with suppress(OSError):
                    if plug.recv(512):
                        return frozenset((plugs[plug],))
        return frozenset()
    finally:
        for plug in plugs:
            plug.close()


def _call(wanted: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    """Connect to all at once: ``open``, or the name of the error, by the name of who is called."""
    plugs: dict[socket.socket, str] = {}
    said: dict[str, str] = {}
    for name, address, port in wanted:
        plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plug.setblocking(False)
        code = plug.connect_ex((address, port))
        if code in (0, errno.EINPROGRESS):
            plugs[plug] = name
            said[name] = errno.errorcode[errno.ETIMEDOUT]
        else:
            said[name] = errno.errorcode.get(code, str(code))
            plug.close()
    deadline = time.monotonic() + PATIENCE
    while plugs and (left := deadline - time.monotonic()) > 0:
        for plug in select.select([], list(plugs), [], left)[1]:
            code = plug.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            said[plugs.pop(plug)] = errno.errorcode.get(code, str(code)) if code else "open"
            with suppress(OSError):
                plug.close()
    for plug in plugs:
        plug.close()
    return said
