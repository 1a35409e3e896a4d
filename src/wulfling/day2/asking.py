"""A shell script for one node, as root, and what it printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wulfling.errors import CommandFailed
from wulfling.transport.link import Address, Dial


@dataclass(frozen=True)
class Ask:
    """The way to the nodes. Scripts go by standard input, so that no process list shows them."""

    addresses: Mapping[str, Address]
    dial: Dial

    async def script(self, node: str, text: str, *, about: str, timeout: float = 60) -> str:
        """What ``text`` printed on ``node``. Raises what ``Dial.run`` raises, and
        ``CommandFailed`` when it ends badly, which calls the script by ``about``."""
        to = self.addresses[node]
        done = await self.dial.run(to, ("sh", "-s"), stdin=text, root=True, timeout=timeout)
        if done.code != 0:
            raise CommandFailed((about,), done.code, done.stderr or done.stdout, where=node)
        return done.stdout
