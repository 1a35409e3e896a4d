"""What a verb needs before it starts: the cluster file, and how to reach each of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wulfling import spec
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Hardware, Secrets
from wulfling.transport import pins
from wulfling.transport.link import SSH_PORT, Address

if TYPE_CHECKING:
    from wulfling.spec.schema import Spec


@dataclass(frozen=True)
class Setting:
    """A cluster file that was read, its tool key, and the addresses of its nodes.

    ``warnings`` are worth a word and no refusal.
    """

    spec: Spec
    warnings: tuple[WulflingError, ...]
    admin_keys: tuple[str, ...]
    addresses: Mapping[str, Address]

    def resolve(
        self, hardware: Mapping[str, Hardware] | None = None, secrets: Secrets | None = None
    ) -> Cluster:
        """The cluster as far as it is known: what the file says and what was measured."""
        return spec.resolve(self.spec, hardware or {}, secrets, self.admin_keys)


def setting(file: Path) -> Setting:
    """Read the cluster file. Raises ``BadFile`` with every problem at once."""
    read, warnings = spec.check(spec.read(file))
    keys = _tool_keys(read.cluster) if read.boards == "virtual" else spec.operator_keys()
    cluster = spec.resolve(read, {}, None, keys)
    users = (cluster.admin, cluster.login)
    way = way_to(cluster.name, users, virtual=cluster.virtual)
    addresses = {node.name: way(node.name, str(node.address)) for node in cluster.nodes}
    return Setting(read, warnings, keys, addresses)


def way_to(cluster: str, users: Sequence[str], *, virtual: bool) -> Callable[[str, str], Address]:
    """Gives the address of a node by its name and host. On real boards and virtual ones alike
    the accounts ``users`` are tried in their order."""
    identities = (pins.identity(cluster),) if virtual else ()
    proxy = _lab_proxy(cluster) if virtual else ()
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


def _tool_keys(cluster: str) -> tuple[str, ...]:
    return (Path(f"{pins.identity(cluster)}.pub").read_text(encoding="utf-8").strip(),)


def _lab_proxy(cluster: str) -> tuple[str, ...]:
    from wulfling.lab import lab  # only virtual boards need it

    return lab.proxy_command(cluster)
