"""How a cluster's nodes are reached: accounts, keys, pinned host keys, the way into a lab."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wulfling.transport import pins
from wulfling.transport.link import SSH_PORT, Address


def way_to(
    cluster: str, users: Sequence[str], *, virtual: bool, proxy: Sequence[str] = ()
) -> Callable[[str, str], Address]:
    """Gives the address of a node by its name and host; ``users`` are tried in their order.

    Virtual boards are reached with the cluster's own key and by ``proxy``, the words of a
    ProxyCommand.
    """
    identities = (pins.identity(cluster),) if virtual else ()
    known_hosts = (pins.known_hosts(cluster),)

    def address(node: str, host: str) -> Address:
        return Address(
            node=node,
            host=host,
            users=tuple(dict.fromkeys(users)),
            identities=identities,
            known_hosts=known_hosts,
            proxy=tuple(_filled(word, host) for word in proxy),
            virtual=virtual,
        )

    return address


def _filled(word: str, host: str) -> str:
    """One of ssh_config(5)'s tokens, which are words of their own here: a path with a %h in it
    stays what it is."""
    return {"%h": host, "%p": str(SSH_PORT)}.get(word, word)
