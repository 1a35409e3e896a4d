"""From a valid file to a Cluster: what is decided where the file says nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from tests.unit.measured import PI

from wulfling import spec
from wulfling.errors import BadFile, WulflingError
from wulfling.model.cluster import (
    Cards,
    Cluster,
    Firewall,
    Gateway,
    Gpu,
    Hardware,
    Partition,
    Role,
    Secrets,
    Share,
)
from wulfling.spec import document
from wulfling.spec.members import members
from wulfling.spec.schema import Spec

ROOT = Path(__file__).parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f kim"
BOARD = replace(PI, memory_mb=1849)


def read(text: str, *, top: str = "wulfling: 1\ncluster: c\n") -> Spec:
    return spec.check(document.parse((top + text).encode(), Path("cluster.yaml")))[0]


def cluster(text: str, **hardware: Hardware) -> Cluster:
    return spec.resolve(read(text), hardware, None, ())


ONE = "nodes: {n1: {address: 10.0.0.1}}\n"
THREE = "nodes:\n  n1: {address: 10.0.0.1, roles: [head]}\n  n[2-3]: {address: 10.0.0.2}\n"


def test_names_and_addresses_are_enough() -> None:
    small = cluster("nodes:\n  n[1-3]: {address: 10.0.0.1}\n")
    assert small.head == "n1"
    assert [sorted(node.roles) for node in small.nodes] == [["compute", "head"]] + [["compute"]] * 2
    assert [str(node.address) for node in small.nodes] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert small.network == IPv4Network("10.0.0.0/24")
    assert small.domain == "home.local"
    assert not small.virtual
    assert (small.admin, small.login) == ("wulfling", "pi")
    assert small.storage == (Share("/home", "n1"), Share("/nfs", "n1"))
    assert small.slurm is not None
    assert small.slurm.partitions == (Partition("batch", ("n1", "n2", "n3"), default=True),)
    assert small.people == ()
    assert small.secrets is None


@pytest.mark.parametrize("said", ["dc:a6:32:01:02:03", "DC-A6-32-01-02-03", "'dca632010203'"])
def test_a_mac_is_told_in_one_way(said: str) -> None:
    read = cluster(
        f"nodes:\n  n1: {{address: 10.0.0.1, mac: {said}}}\n  n2: {{address: 10.0.0.2}}\n"
    )
    assert [node.mac for node in read.nodes] == ["dc:a6:32:01:02:03", None]


def test_a_head_that_is_named_leaves_the_first_a_compute_node() -> None:
    found = cluster("nodes:\n  n1: {address: 10.0.0.1}\n  n2: {address: 10.0.0.2, roles: [head]}\n")
    assert found.head == "n2"
    assert found.node("n1").roles == {Role.COMPUTE}


def test_a_storage_node_serves_what_nobody_was_told_to() -> None:
    found = cluster(THREE + "  f1: {address: 10.0.0.9, roles: [storage]}\n")
    assert found.storage == (Share("/home", "f1"), Share("/nfs", "f1"))


@pytest.mark.parametrize("said", ["{}", "false", "False"])
def test_no_storage(said: str) -> None:
    assert cluster(f"{ONE}storage: {said}\n").storage == ()


@pytest.mark.parametrize("said", ["storage:", "slurm:", "people:", "admin:", "slurm: {}"])
def test_a_key_without_a_value_says_nothing(said: str) -> None:
    assert cluster(f"{ONE}{said}\n") == cluster(ONE)


def test_no_slurm() -> None:
    assert cluster(ONE + "slurm: false\n").slurm is None


def test_partitions() -> None:
    found = cluster(
        THREE + "slurm:\n  partitions:\n    short: {max_time: 30, nodes: n3}\n"
        "    long: {nodes: 'n3,n2', shared: true, max_time: UNLIMITED}\n"
        "    quick: {nodes: n2, default_time: '10:00', default: true}\n"
    ).slurm
    assert found is not None
    assert found.partitions == (
        Partition("short", ("n3",), default=False, default_time="30", max_time="30"),
        Partition("long", ("n2", "n3"), default=False, max_time="UNLIMITED"),
        Partition("quick", ("n2",), default=True, default_time="10:00"),
    )


def test_the_first_partition_is_the_default_unless_it_says_no() -> None:
    text = THREE + "slurm:\n  partitions:\n    a: {nodes: n2, default: false}\n    b: {nodes: n3}\n"
    found = cluster(text).slurm
    assert found is not None
    assert [part.default for part in found.partitions] == [False, True]


def test_extra_keys_keep_their_text_and_order() -> None:
    found = cluster(ONE + "slurm:\n  extra: {Prolog: 1.10, DebugFlags: NO, X: 'a b'}\n").slurm
    assert found is not None
    assert found.extra == (("Prolog", "1.10"), ("DebugFlags", "NO"), ("X", "a b"))


def test_people() -> None:
    (kim, lee) = cluster(
        ONE + "people:\n  kim: {account: school, limits: {mem: 1.5G, cpu: 4}, uid: 2001}\n"
        f"  lee: {{keys: ['{KEY}', '{KEY}']}}\n"
    ).people
    assert (kim.name, kim.uid, kim.account) == ("kim", 2001, "school")
    assert kim.limits == (("cpu", 4), ("mem", 1536))
    assert (lee.account, lee.keys, lee.limits) == ("compute", (KEY,), ())


def test_a_uid_depends_on_the_name_alone() -> None:
    """These numbers own files on people's disks: they never change."""
    uids = {p.name: p.uid for p in cluster(ONE + "people: {kim: {}, lee: {}, pi: {}}\n").people}
    assert uids == {"kim": 21056, "lee": 52563, "pi": 28741}
    assert {p.name: p.uid for p in cluster(ONE + "people: {pi: {}}\n").people} == {"pi": 28741}


def test_virtual_boards_are_entered_as_admin_and_made_as_large_as_they_say() -> None:
    text = (
        "boards: virtual\nlogin: someone\nadmin: {name: tool}\nstorage: {}\nnodes:\n"
        "  n1: {address: 10.0.0.1, roles: [head, storage], memory: 640M}\n"
        "  n2: {address: 10.0.0.2, cpus: 4}\n  n3: {address: 10.0.0.3, roles: [storage]}\n"
        "  n4: {address: 10.0.0.4, roles: [login]}\n"
    )
    found = cluster(text, n2=replace(BOARD, cores=1))
    assert (found.admin, found.login) == ("tool", "tool")
    assert [member.board_memory_mb for member in members(read(text))] == [640, 256, 192, 256]
    assert [node.memory_mb for node in found.nodes] == [None] * 4
    assert found.node("n2").cpus == 4


def test_real_boards_are_what_was_measured() -> None:
    text = "nodes: {n1: {address: 10.0.0.1, cpus: %d, memory: %s}}\n"
    found = cluster(text % (4, "1G"), n1=BOARD).node("n1")
    assert (found.cpus, found.memory_mb, found.hardware) == (4, 1024, BOARD)
    with pytest.raises(WulflingError, match="cpus: 8, and the board has 4") as caught:
        cluster(text % (8, "1G"), n1=BOARD)
    assert caught.value.where == "n1"
    with pytest.raises(WulflingError, match="memory: 2048M for jobs, and the board has 1849M"):
        cluster(text % (4, "2G"), n1=BOARD)
    assert cluster(text % (8, "2G")).node("n1").hardware is None


def test_admin_keys() -> None:
    own = f"admin: {{keys: ['{KEY}']}}\n"
    for text, keys in (
        (ONE, ("tool",)),
        (ONE + own, (KEY,)),
        ("boards: virtual\n" + ONE + own, (KEY, "tool")),
    ):
        assert spec.resolve(read(text), {}, None, ("tool",)).admin_keys == keys


def test_what_was_measured_and_the_secrets_are_passed_on() -> None:
    secrets = Secrets(munge_key=b"m")
    found = spec.resolve(read(ONE), {"n1": BOARD, "gone": BOARD}, secrets, ())
    assert found.secrets is secrets
    assert found.node("n1").hardware is BOARD


def warnings(text: str) -> list[tuple[str, str]]:
    content = f"wulfling: 1\ncluster: c\n{text}".encode()
    _, found = spec.check(document.parse(content, Path("f")))
    assert all(warning.hint for warning in found)
    return [(warning.where, warning.message) for warning in found]


def test_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    virtual = "boards: virtual\n" + ONE
    assert warnings(virtual) == []
    assert warnings(virtual + "people: {kim: {quota: 10G}}\n") == []
    assert warnings(virtual + "slurm: {partitions: {a: {default: false}}}\n") == [
        ("f:5:9", "no partition is the default: every job has to name one")
    ]
    assert warnings(ONE) == [
        ("f:1:1", "nobody can log in as wulfling: no key here, and none in ~/.ssh/id_*.pub")
    ]
    assert warnings(ONE + f"admin: {{keys: ['{KEY}']}}\n") == []


def test_a_spec_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(ONE).cluster = "other"  # type: ignore[misc]


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda f: f.stem)
def test_the_examples_resolve(file: Path) -> None:
    found = spec.resolve(spec.load(file), {}, None, (KEY,))
    assert found.node(found.head).has(Role.HEAD)
    assert found.people


def test_the_shapes_of_the_guides() -> None:
    shapes = {file: spec.load(ROOT / "examples" / f"{file}.yaml") for file in SHAPES}
    found = {file: spec.resolve(shape, {}, None, ()) for file, shape in shapes.items()}
    assert {name: len(shape.nodes) for name, shape in found.items()} == SHAPES
    assert found["plain-mpi"].slurm is None
    assert found["one-head"].storage[0] == Share("/cluster/shared", "vim4")
    assert found["one-head"].address("pi8") == IPv4Address("192.168.0.18")
    assert found["raspi-hpc"].virtual
    assert found["raspi-hpc"].people[0].limits == (("cpu", 4), ("mem", 1024))


SHAPES = {"raspi-hpc": 3, "one-head": 9, "plain-mpi": 4}


def test_a_gateway_is_a_name_server_too() -> None:
    assert cluster(ONE).cards == Cards()
    assert cluster(f"{ONE}cards: {{gateway: 10.0.0.254}}\n").cards == Cards(
        gateway=IPv4Address("10.0.0.254"), dns=(IPv4Address("10.0.0.254"),)
    )
    own = cluster(f"{ONE}cards: {{gateway: 10.0.0.254, dns: [9.9.9.9], country: KR}}\n").cards
    assert (own.dns, own.country) == ((IPv4Address("9.9.9.9"),), "KR")


ROUTER = "gateway: {packages: true, nat: true, uplink: wlan0}\n"


def test_the_head_is_a_gateway_where_the_file_says_so() -> None:
    assert cluster(ONE).gateway == Gateway()
    assert cluster(ONE + ROUTER).gateway == Gateway(packages=True, nat=True, uplink="wlan0")


def test_a_virtual_head_is_no_router_and_says_so() -> None:
    """It has one cable, and a kernel without nftables; the file stays good for real boards."""
    text = f"wulfling: 1\ncluster: c\nboards: virtual\n{ONE}{ROUTER}"
    found, warnings = spec.check(document.parse(text.encode(), Path("cluster.yaml")))
    assert spec.resolve(found, {}, None, ()).gateway == Gateway(packages=True, uplink="wlan0")
    assert [str(warning).count("nat is left out") for warning in warnings] == [1]


def test_2_65_gpus_are_counted_through_or_named() -> None:
    said = '{a2000: 2, rx6400: "/dev/dri/renderD[128-129]", a4000: 1}'
    one, two = cluster(
        f"nodes:\n  n1: {{address: 10.0.0.1}}\n  n2: {{address: 10.0.0.2, gpus: {said}}}\n"
    ).nodes
    assert one.gpus == ()
    assert two.gpus == (
        Gpu("a2000", "/dev/nvidia0"),
        Gpu("a2000", "/dev/nvidia1"),
        Gpu("rx6400", "/dev/dri/renderD128"),
        Gpu("rx6400", "/dev/dri/renderD129"),
        Gpu("a4000", "/dev/nvidia2"),
    )


def test_gpus_without_slurm_get_a_word() -> None:
    text = "nodes: {n1: {address: 10.0.0.1, gpus: {a2000: 1}}}\nslurm: false\n"
    parsed = document.parse(f"wulfling: 1\ncluster: c\n{text}".encode(), Path("cluster.yaml"))
    said = [str(warning.message) for warning in spec.check(parsed)[1]]
    assert len([text for text in said if "nobody hands out GPUs" in text]) == 1


def test_programs_of_the_file_are_there_once() -> None:
    said = "software: {packages: [openfoam, octave, openfoam]}\n"
    assert cluster(f"{ONE}{said}").programs == ("openfoam", "octave")
    assert cluster(f"{ONE}software:\n").programs == ()


def test_the_firewall_lets_in_whom_the_file_names() -> None:
    assert cluster(ONE).firewall == Firewall()
    text = "firewall: {ssh: [192.168.1.0/24, 10.9.0.7], open: [80, 53/udp]}\n"
    networks = (IPv4Network("192.168.1.0/24"), IPv4Network("10.9.0.7/32"))
    assert cluster(ONE + text).firewall == Firewall(networks, (("tcp", 80), ("udp", 53)))
    assert cluster(f"{ONE}firewall: false\n").firewall is None
    assert cluster(f"{ONE}firewall:\n").firewall == Firewall()


@pytest.mark.parametrize(
    "wrong", ["open: [0]", "open: [80/sctp]", "ssh: [10.0.0.1/24]", "ssh: [pi]"]
)
def test_a_firewall_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(BadFile, match="cluster.yaml:"):
        cluster(f"{ONE}firewall: {{{wrong}}}\n")


def test_hardening_can_be_turned_off() -> None:
    assert cluster(ONE).hardening
    assert not cluster(f"{ONE}hardening: false\n").hardening
