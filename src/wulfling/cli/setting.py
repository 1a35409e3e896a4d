"""What a verb needs before it starts: the cluster file, and how to reach each of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wulfling import spec
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Hardware, Secrets
from wulfling.transport import host_ca, pins, way
from wulfling.transport.link import Address

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
        self,
        hardware: Mapping[str, Hardware] | None = None,
        secrets: Secrets | None = None,
        *,
        join: bool = True,
    ) -> Cluster:
        """The cluster as far as it is known: what the file says and what was measured, and with
        ``join`` the packages that were built for it. Raises ``WulflingError`` when some are not
        built yet."""
        cluster = spec.resolve(self.spec, hardware or {}, secrets, self.admin_keys)
        if hardware:
            cluster = replace(cluster, certificates=host_ca.certificates(cluster))
        if not join or cluster.slurm is None or cluster.slurm.build is None:
            return cluster
        from wulfling.bringup.slurm_repository import joined  # few clusters build their Slurm

        return joined(cluster)


def setting(file: Path) -> Setting:
    """Read the cluster file. Raises ``BadFile`` with every problem at once."""
    read, warnings = spec.check(spec.read(file))
    keys = _tool_keys(read.cluster) if read.boards == "virtual" else spec.operator_keys()
    cluster = spec.resolve(read, {}, None, keys)
    users = (cluster.admin, cluster.login)
    address = way_to(cluster.name, users, virtual=cluster.virtual)
    addresses = {node.name: address(node.name, str(node.address)) for node in cluster.nodes}
    return Setting(read, warnings, keys, addresses)


def way_to(cluster: str, users: Sequence[str], *, virtual: bool) -> Callable[[str, str], Address]:
    """Gives the address of a node by its name and host. On real boards and virtual ones alike
    the accounts ``users`` are tried in their order."""
    proxy = _lab_proxy(cluster) if virtual else ()
    return way.way_to(cluster, users, virtual=virtual, proxy=proxy)


def _tool_keys(cluster: str) -> tuple[str, ...]:
    return (pins.public_key(cluster),)


def _lab_proxy(cluster: str) -> tuple[str, ...]:
    from wulfling.lab import lab  # only virtual boards need it

    return lab.proxy_command(cluster)
