"""The kinds of things that can be declared about a node, and how they cross the wire."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.alternative import Alternative
from wulfling.node.resources.blob import Blob
from wulfling.node.resources.block import Block
from wulfling.node.resources.database import Database
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.firewall import Firewall
from wulfling.node.resources.hostname import Hostname
from wulfling.node.resources.kernel import KernelFlags
from wulfling.node.resources.keyring import Keyring
from wulfling.node.resources.libraries import Libraries
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.patched import Patched
from wulfling.node.resources.quota import Quota
from wulfling.node.resources.restored import Restored, StateKnown
from wulfling.node.resources.service import Service
from wulfling.node.resources.slurm import Account, AccountingCluster, Association
from wulfling.node.resources.slurm_upgrade import SlurmUpgrade
from wulfling.node.resources.sshd import HostCertificate, LoginRules, SshServer
from wulfling.node.resources.updates import Updates
from wulfling.node.resources.wheel import Wheel

KINDS: dict[str, type[Resource]] = {
    kind.kind: kind
    for kind in (
        Account,
        AccountingCluster,
        Alternative,
        Association,
        Blob,
        Block,
        Database,
        Directory,
        File,
        Firewall,
        Group,
        HostCertificate,
        Hostname,
        KernelFlags,
        Keyring,
        Libraries,
        Link,
        LoginRules,
        Packages,
        Patched,
        Quota,
        Restored,
        Service,
        SlurmUpgrade,
        SshServer,
        StateKnown,
        Updates,
        User,
        Wheel,
    )
}


def as_json(resource: Resource) -> dict[str, Any]:
    """A resource for the wire. ``why`` stays at home: the board does not need it."""
    values = {item.name: getattr(resource, item.name) for item in fields(resource)}
    del values["why"]
    return {"kind": resource.kind, **values}


def from_json(values: dict[str, Any]) -> Resource:
    """The resource that ``as_json`` told. Raises ``WulflingError`` for an unknown kind, and for
    fields that this kind does not have or cannot do without."""
    values = dict(values)
    name = values.pop("kind", "")
    kind = KINDS.get(name)
    if kind is None:
        raise WulflingError(f"there is no kind of resource called {name!r}")
    try:
        return kind(**{field: _frozen(value) for field, value in values.items()})
    except TypeError as error:
        raise WulflingError(f"a {name} was told with the wrong fields: {error}") from None


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
