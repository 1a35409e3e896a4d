"""How resources cross the wire: everything arrives as it was sent, or is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.resources import KINDS, as_json, from_json
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

ONE_OF_EACH: tuple[Resource, ...] = (
    Account(account="a", description="d", organization="o"),
    AccountingCluster(cluster="c"),
    Alternative(choice="mpirun", path="/usr/bin/mpirun.mpich", fixed=False),
    Association(user="u", account="a", limits=(("cpu", 4), ("mem", 1024))),
    Blob(path="/b", sha256="ff"),
    Block(path="/etc/hosts", text="x\n", without=("127.*", "y"), label="other"),
    Database(database="d", user="u"),
    Directory(path="/d", owner="o", group="g", mode=0o2775),
    File(path="/f", content="ä\n\udce9", mode=0o400, secret=True, validate=("visudo", "-cf")),
    Firewall(rules="table inet wulfling\n", loaded=False, boots=False, patience=5),
    Group(group="g", gid=1),
    HostCertificate(path="/c", content="x\n"),
    Hostname(value="rpnode01"),
    KernelFlags(file="/boot/cmdline.txt", flags=("a=1", "b")),
    Keyring(path="/k", fingerprint="F", url="https://example.org/k"),
    Libraries(path="/c", folder="/f", names=(("a.so", "b.so"),)),
    Link(path="/l", target="t"),
    LoginRules(path="/etc/pam.d/sshd", text="account\n"),
    Packages(names=("a", "b"), versions=(("a", "1-"),)),
    Quota(user="pi", limit_mb=10),
    Restored(at="latest", awaits=("disk/file:/k",)),
    Service(
        unit="u.service",
        enabled=False,
        running=False,
        configured="c",
        watches=("file:/f",),
        reload=True,
        ready=("true",),
        ready_timeout=5,
        awaits=("rpnode01/service:x",),
    ),
    SlurmUpgrade(version="24.11.5", database="d"),
    SshServer(path="/s", content="x\n", tried=False),
    Patched(source="munge", packages=("munge",), fixed="2", cves=("CVE-1",), older=("munge 1",)),
    StateKnown(),
    Updates(what="slurm", pending=("a 1 -> 2",), unfinished="slurmd", database="d"),
    User(user="u", uid=1, gid=1, home="/h", shell="/s", system=True),
    Wheel(distribution="d", version="1", blob="ff", into="/i"),
)


def test_there_is_one_of_each() -> None:
    assert {type(resource) for resource in ONE_OF_EACH} == set(KINDS.values())
    assert {resource.kind for resource in ONE_OF_EACH} == set(KINDS)


@pytest.mark.parametrize("resource", ONE_OF_EACH, ids=lambda resource: resource.kind)
def test_there_and_back(resource: Resource) -> None:
    """All but the reason, which the board does not need."""
    wire = json.loads(json.dumps(as_json(replace(resource, why="because"))))
    back = from_json(wire)
    assert repr(back) == repr(resource)
    assert hash(back) == hash(resource)
    assert back.key == resource.key


@pytest.mark.parametrize("resource", ONE_OF_EACH, ids=lambda resource: resource.kind)
def test_each_tells_how_to_do_it_by_hand(resource: Resource) -> None:
    assert all(resource.commands())
    assert all(resource.undo())


def test_keys_differ() -> None:
    assert len({resource.key for resource in ONE_OF_EACH}) == len(ONE_OF_EACH)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({}, "no kind of resource called ''"),
        ({"kind": "teapot"}, "no kind of resource called 'teapot'"),
        ({"kind": "link", "path": "/l", "target": "t", "colour": 1}, "colour"),
        ({"kind": "link", "path": "/l"}, "target"),
    ],
)
def test_what_does_not_fit_is_refused(wire: dict[str, Any], said: str) -> None:
    with pytest.raises(WulflingError, match=said):
        from_json(wire)
