"""What reaching a node means to everything above: an address, and a line to the program there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wulfling.errors import NodeFailed, Unreachable
from wulfling.proc import Finished

SSH_PORT = 22


@dataclass(frozen=True, kw_only=True)
class Address:
    """How to reach one node.

    ``users`` are accounts that get root by sudo without a password, tried in this order: the
    admin account first, then the one that answers on a board wulfling has never touched.
    ``identities`` are private keys; without any, the user's own keys and agent are offered.
    ``proxy`` is a command that carries the bytes in place of a TCP connection, with ``%h`` and
    ``%p`` for host and port; with ``proxy_connects`` it opens the connection and hands it over
    (ssh_config(5), ProxyCommand and ProxyUseFdpass).
    """

    node: str
    host: str
    users: tuple[str, ...]
    port: int = SSH_PORT
    identities: tuple[Path, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    proxy: tuple[str, ...] = ()
    proxy_connects: bool = False
    virtual: bool = False  # on this PC: ~/.ssh is not asked, and the cheapest ciphers do

    @property
    def pinned_as(self) -> str:
        """The name of this address in a known_hosts file (sshd(8))."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"


class Unpinned(Unreachable):
    """A node answered, and nobody has said yet which host key is its own."""


class Refused(NodeFailed):
    """A node answered and let none of our accounts in."""


class Link(Protocol):
    """One session with the node program, JSON objects in both directions."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Hand over one message. A dead line is not told here but by ``messages``."""

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the program says, until it ends.

        Raises ``Unreachable`` when the line goes dead and ``NodeFailed`` when the program
        ends badly, with what it said on stderr.
        """

    async def close(self) -> None:
        """Hang up. A program that was still at work sees the end of its input."""


class Dial(Protocol):
    """A way to reach nodes."""

    async def open(self, to: Address) -> Link:
        """Start the node program as root.

        Raises ``Unreachable`` (``Unpinned`` when its host key is not known), ``Refused``,
        ``NodeFailed`` when the program cannot start, and ``IdentityMismatch``.
        """

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        """Run one command to its end and give what it left behind, whatever its exit code.

        Raises what ``open`` raises, and ``CommandFailed`` after ``timeout`` seconds.
        """
