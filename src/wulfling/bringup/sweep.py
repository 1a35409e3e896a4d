"""The program that knocks once at every address: ``python3 -I -S sweep.py < order > answers``.

It is a program of its own because the network may be one that only another process can enter,
such as that of virtual boards. It knows sockets and no meaning: what it heard is judged outside.
The order is ``{"addresses": [...], "source": ADDRESS, "query": HEX}``, the answers are
``{"doors": {ADDRESS: [WORD, BANNER]}, "heard": [[ADDRESS, HEX], ...]}``. A door is ``open``,
``shut`` (a machine is there and nobody listens) or ``silent``.
"""

import asyncio
import json
import socket
import struct
import sys

PORT = 22
RATE = 100.0  # addresses a second: a home router's table of neighbours is small
# Long enough for a board on Wi-Fi that sleeps. The kernel sends a second SYN after 1 s, and
# would send a third after 3 s.
PATIENCE = 2.5
BANNER_PATIENCE = 2.0
LONGEST_BANNER = 255  # RFC 4253, section 4.2
_MDNS = ("224.0.0.251", 5353)  # RFC 6762
_ASK_AGAIN = 1.0
_HEARD_AT_MOST = 2000


async def knock(address: str) -> "tuple[str, str]":
    """Whether somebody listens at ``address``, and the first line that is said there.

    Three packets to a machine that answers: SYN, ACK, RST. The reset is what spares the others.
    """
    plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        plug.setblocking(False)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(loop.sock_connect(plug, (address, PORT)), PATIENCE)
        # No ACK of its own for the banner: the reset comes sooner (tcp(7)).
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        return "open", await _banner(plug)
    except ConnectionRefusedError:
        return "shut", ""
    except (OSError, asyncio.TimeoutError):
        return "silent", ""
    finally:
        plug.close()


async def _banner(plug: socket.socket) -> str:
    """The line with the version, which need not be the first (RFC 4253, section 4.2)."""
    said = b""
    loop = asyncio.get_running_loop()
    try:
        while len(said) < LONGEST_BANNER and b"\n" not in said:
            piece = await asyncio.wait_for(
                loop.sock_recv(plug, LONGEST_BANNER - len(said)), BANNER_PATIENCE
            )
            if not piece:
                break
            said += piece
    except (OSError, asyncio.TimeoutError):
        pass
    line = said.partition(b"\n")[0].decode("ascii", "replace").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in line)


class _Listener(asyncio.DatagramProtocol):
    """Keeps what comes back upon our question."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def datagram_received(self, data: bytes, addr: "tuple[str, int]") -> None:
        if len(self.heard) < _HEARD_AT_MOST:
            self.heard.append((addr[0], data.hex()))

    def error_received(self, exc: Exception) -> None:
        pass


async def _ask_everybody(source: str, query: bytes, listener: _Listener) -> None:
    """Ask twice, a second apart (RFC 6762, section 5.2), for answers that come to us alone."""
    plug = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        plug.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
        plug.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        plug.bind((source, 0))
    except OSError:
        plug.close()
        return
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: listener, sock=plug
    )
    try:
        for _ in range(2):
            transport.sendto(query, _MDNS)
            await asyncio.sleep(_ASK_AGAIN)
        await asyncio.sleep(_ASK_AGAIN)
    finally:
        transport.close()


async def sweep(
    addresses: "list[str]", source: str, query: bytes
) -> "tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]":
    """Knock at ``addresses``, ``RATE`` a second, and ask all at once by multicast meanwhile."""
    listener = _Listener()
    asking = asyncio.ensure_future(_ask_everybody(source, query, listener)) if source else None
    loop = asyncio.get_running_loop()
    began = loop.time()
    knocking = []
    for number, address in enumerate(addresses):
        await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
        knocking.append(asyncio.ensure_future(knock(address)))
    found = await asyncio.gather(*knocking)
    if asking:
        await asking
    return dict(zip(addresses, found, strict=True)), listener.heard


def main() -> int:
    """Read the order, sweep, print the answers."""
    order = json.load(sys.stdin)
    doors, heard = asyncio.run(
        sweep(order["addresses"], order["source"], bytes.fromhex(order["query"]))
    )
    json.dump({"doors": doors, "heard": heard}, sys.stdout)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
