"""What holds for every cluster, whatever its shape: random ones, and the three of the guides."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.measured import PI

from wulfling.components import compile_cluster
from wulfling.components.slurm_conf import memory_for_jobs
from wulfling.model.cluster import (
    Backup,
    BackupSecrets,
    Cluster,
    Hardware,
    Node,
    Partition,
    Person,
    Role,
    Secrets,
    Share,
    Slurm,
)
from wulfling.model.resource import Resource
from wulfling.node.resources import KINDS, as_json, from_json
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

KEY = "0123456789abcdef" * 8
SECRETS = Secrets(munge_key=KEY.encode(), backup=BackupSecrets("word", "private", "public"))
NAMES = ("alpha", "beta", "gamma", "delta", "eps", "zeta")
PATHS = ("/home", "/nfs", "/srv/my-data", "/srv/a_b.c", "/home2", "/cluster/shared", "/.hidden")
PEOPLE = ("kim", "lee", "park")
OF_SLURM = re.compile("slurm|munge|mariadb|account|association|database", re.IGNORECASE)

Declared = Mapping[str, tuple[Resource, ...]]


def hardware() -> st.SearchStrategy[Hardware]:
    return st.builds(
        Hardware,
        arch=st.sampled_from(["amd64", "arm64", "armhf", "riscv64"]),
        cores=st.integers(1, 64),
        threads_per_core=st.integers(1, 2),
        memory_mb=st.integers(16, 1 << 18),
        swap_mb=st.sampled_from([0, 100]),
        os_id=st.just("debian"),
        os_version=st.just("12"),
        os_codename=st.just("bookworm"),
        kernel=st.just("6.1.0"),
        python=st.sampled_from(["3.10.12", "3.11.2", "3.12.3", "3.13.5", "3.14.0"]),
        model=st.just(""),
        cgroup_controllers=st.sampled_from([("cpu", "memory"), ("cpuset", "cpu"), ()]),
        cmdline_file=st.sampled_from(["", "/boot/firmware/cmdline.txt"]),
        machine_id=st.just("0" * 32),
        host_keys=st.sampled_from([(), ("ssh-ed25519 AAAA",), ("ssh-ed25519 A", "ssh-rsa B")]),
    )


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Anything that ``spec.resolve`` can give."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    head = draw(st.sampled_from(names))
    others = st.sets(st.sampled_from([Role.COMPUTE, Role.STORAGE, Role.LOGIN]), min_size=1)
    secrets = draw(st.sampled_from([SECRETS, None]))
    nodes = []
    for number, name in enumerate(names, 1):
        roles = draw(others) | ({Role.HEAD} if name == head else set())
        measured = draw(hardware() if name == head and secrets else st.none() | hardware())
        cpus = draw(st.sampled_from([None, None, 1, 4]))
        address = IPv4Address("10.0.0.0") + number
        nodes.append(Node(name, address, frozenset(roles), measured, cpus))
    members = st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple)
    batch = st.builds(Partition, st.just("batch"), members, st.booleans())
    night = st.builds(Partition, st.just("night"), members, st.booleans())
    people = st.lists(st.sampled_from(PEOPLE), unique=True)
    return Cluster(
        name="c",
        network=IPv4Network("10.0.0.0/24"),
        domain="home.local",
        virtual=draw(st.booleans()),
        head=head,
        nodes=tuple(nodes),
        storage=tuple(
            Share(path, draw(st.sampled_from(names)))
            for path in draw(st.lists(st.sampled_from(PATHS), unique=True))
        ),
        slurm=draw(st.none() | st.builds(Slurm, st.tuples(batch) | st.tuples(batch, night))),
        people=tuple(Person(p, 2001 + n, "school") for n, p in enumerate(draw(people))),
        admin="wulfling",
        admin_keys=("ssh-ed25519 AAAA kim",),
        login="pi",
        secrets=secrets,
        backup=draw(st.none() | st.builds(Backup, st.sampled_from(names), st.just("/srv/backup"))),
    )


def files(resources: tuple[Resource, ...]) -> dict[str, str]:
    return {r.path: r.content for r in resources if isinstance(r, File)}


def block(resources: tuple[Resource, ...], path: str) -> str:
    return next(r.text for r in resources if isinstance(r, Block) and r.path == path)


@settings(max_examples=40)
@given(clusters())
def test_each_measured_node_is_declared_and_no_other(cluster: Cluster) -> None:
    assert list(compile_cluster(cluster)) == [n.name for n in cluster.nodes if n.hardware]


@settings(max_examples=40)
@given(clusters())
def test_compiling_twice_gives_the_same(cluster: Cluster) -> None:
    assert compile_cluster(cluster) == compile_cluster(cluster)


@settings(max_examples=40)
@given(clusters())
def test_keys_are_unique_and_watched_keys_exist(cluster: Cluster) -> None:
    for resources in compile_cluster(cluster).values():
        keys = [resource.key for resource in resources]
        assert len(keys) == len(set(keys))
        for resource in resources:
            if isinstance(resource, Service):
                assert set(resource.watches) <= set(keys) - {resource.key}


@settings(max_examples=40)
@given(clusters())
def test_what_a_service_watches_comes_before_it(cluster: Cluster) -> None:
    for resources in compile_cluster(cluster).values():
        seen: set[str] = set()
        for resource in resources:
            if isinstance(resource, Service):
                assert set(resource.watches) <= seen
            seen.add(resource.key)


@settings(max_examples=40)
@given(clusters())
def test_all_packages_of_a_node_are_one_transaction(cluster: Cluster) -> None:
    for resources in compile_cluster(cluster).values():
        assert sum(isinstance(resource, Packages) for resource in resources) == 1


@settings(max_examples=40)
@given(clusters())
def test_awaited_steps_exist_and_nobody_waits_for_ever(cluster: Cluster) -> None:
    """Every node takes its steps in order and stops at one that awaits what is not done."""
    left = {node: list(own) for node, own in compile_cluster(cluster).items()}
    declared = {f"{node}/{r.key}" for node, own in left.items() for r in own}
    done: set[str] = set()
    while any(left.values()):
        before = len(done)
        for node, own in left.items():
            assert all(set(resource.awaits) <= declared for resource in own)
            while own and set(own[0].awaits) <= done:
                done.add(f"{node}/{own.pop(0).key}")
        assert len(done) > before, f"everybody waits: {left}"


@settings(max_examples=40)
@given(clusters())
def test_exports_name_all_other_boards_by_address_and_nobody_else(cluster: Cluster) -> None:
    for name, resources in compile_cluster(cluster).items():
        others = {str(node.address) for node in cluster.nodes if node.name != name}
        for path, content in files(resources).items():
            if "exports" not in path:
                continue
            served = [share.path for share in cluster.storage if share.server == name]
            assert [line.split()[0] for line in content.splitlines()] == served
            for line in content.splitlines():
                clients = line.split()[1:]
                assert clients, "exports(5): a line without clients is for the whole world"
                assert {client.partition("(")[0] for client in clients} == others
                for client in clients:
                    options = client.partition("(")[2].rstrip(")").split(",")
                    assert "root_squash" in options
                    assert "no_root_squash" not in options
                assert "*" not in line


@settings(max_examples=40)
@given(clusters())
def test_hosts_have_every_node_and_no_board_maps_itself_to_loopback(cluster: Cluster) -> None:
    for resources in compile_cluster(cluster).values():
        hosts = block(resources, "/etc/hosts").splitlines()
        assert hosts == [f"{n.address} {n.name} {n.name}.home.local" for n in cluster.nodes]
        assert not any(line.startswith("127.") for line in hosts)
        for text in files(resources).values():
            assert "127.0.1.1" not in text


@settings(max_examples=40)
@given(clusters())
def test_slurm_conf(cluster: Cluster) -> None:
    if cluster.slurm is None:
        return
    for resources in compile_cluster(cluster).values():
        text = files(resources).get("/etc/slurm/slurm.conf")
        if text is None:
            continue
        assert "\nSelectType=select/cons_tres\n" in text
        told = {m[1]: int(m[2]) for m in re.finditer(r"NodeName=(\S+) .*RealMemory=(\d+)", text)}
        measured = {n.name: n for n in cluster.having(Role.COMPUTE) if n.hardware}
        assert told.keys() == measured.keys()
        for name, memory in told.items():
            board = measured[name].hardware
            assert board is not None
            assert 0 < memory <= board.memory_mb
            assert memory < board.memory_mb or board.memory_mb <= 64
        partitions = dict(re.findall(r"^PartitionName=(\S+) Nodes=(\S+)", text, re.MULTILINE))
        for partition in cluster.slurm.partitions:
            expected = [n for n in measured if n in partition.nodes]
            assert partitions.get(partition.name, "") == ",".join(expected)
        for share in re.findall(r"DefMemPerCPU=(\d+)", text):
            assert int(share) > 0  # 0 would mean: all of the node's (slurm.conf(5))


@settings(max_examples=40)
@given(clusters())
def test_without_the_heads_secrets_nothing_of_slurm_is_touched(cluster: Cluster) -> None:
    for resources in compile_cluster(replace(cluster, secrets=None)).values():
        assert not [r.key for r in resources if OF_SLURM.search(r.key)]
        (packages,) = (r for r in resources if isinstance(r, Packages))
        assert not [name for name in packages.names if OF_SLURM.search(name)]


@settings(max_examples=40)
@given(clusters())
def test_without_slurm_nothing_of_it_is_declared(cluster: Cluster) -> None:
    for resources in compile_cluster(replace(cluster, slurm=None)).values():
        assert not [r.key for r in resources if OF_SLURM.search(r.key)]
        (packages,) = (r for r in resources if isinstance(r, Packages))
        assert not [name for name in packages.names if OF_SLURM.search(name)]
        assert KEY not in "".join(files(resources).values())


@settings(max_examples=40)
@given(clusters())
def test_the_munge_key_is_in_secret_files_of_mode_0600_or_less_and_nowhere_else(
    cluster: Cluster,
) -> None:
    for name, resources in compile_cluster(cluster).items():
        for resource in resources:
            if KEY not in json.dumps(as_json(resource)):
                continue
            assert isinstance(resource, File)
            assert resource.secret
            assert resource.mode & 0o077 == 0
            assert resource.path == "/etc/munge/munge.key" or name == cluster.head
            shown = (*resource.commands(), *resource.difference(None), resource.why)
            assert KEY[:16] not in " ".join(shown)


@settings(max_examples=40)
@given(clusters())
def test_every_resource_crosses_the_wire_unharmed(cluster: Cluster) -> None:
    for resources in compile_cluster(cluster).values():
        for resource in resources:
            told = from_json(json.loads(json.dumps(as_json(resource))))
            assert told == resource
            assert as_json(told) == as_json(resource)


@settings(max_examples=40)
@given(clusters())
def test_every_home_is_made_on_exactly_the_boards_where_it_lives(cluster: Cluster) -> None:
    servers = [share.server for share in cluster.storage if share.path == "/home"]
    for name, resources in compile_cluster(cluster).items():
        made = {r.path for r in resources if isinstance(r, Directory)}
        for person in cluster.people:
            assert (f"/home/{person.name}" in made) is (servers in ([], [name]))


@given(hardware(), st.sets(st.sampled_from(list(Role)), min_size=1), st.integers(1, 64))
def test_memory_for_jobs_is_some_and_never_more_than_there_is(
    board: Hardware, roles: set[Role], memory: int
) -> None:
    node = Node("n", IPv4Address("10.0.0.1"), frozenset(roles), replace(board, memory_mb=memory))
    assert 0 < memory_for_jobs(node) <= memory
    node = replace(node, hardware=board)
    assert 0 < memory_for_jobs(node) <= board.memory_mb


# -- the three shapes of the guides


BOARD = replace(PI, swap_mb=100, cmdline_file="/boot/firmware/cmdline.txt")
H, C, S, L = Role.HEAD, Role.COMPUTE, Role.STORAGE, Role.LOGIN


def shape(
    roles: Mapping[str, set[Role]], server: str, *, slurm: bool, quota_mb: int | None = None
) -> Declared:
    nodes = tuple(
        Node(name, IPv4Address("10.0.0.0") + number, frozenset(own), BOARD)
        for number, (name, own) in enumerate(roles.items(), 1)
    )
    compute = tuple(node.name for node in nodes if C in node.roles)
    partitions = (Partition("batch", compute, default=True),)
    cluster = Cluster(
        name="c",
        network=IPv4Network("10.0.0.0/24"),
        domain="home.local",
        virtual=False,
        head=next(name for name, own in roles.items() if H in own),
        nodes=nodes,
        storage=(Share("/home", server),),
        slurm=Slurm(partitions) if slurm else None,
        people=(Person("kim", 2001, "school", quota_mb=quota_mb),),
        admin="wulfling",
        admin_keys=("ssh-ed25519 AAAA kim",),
        login="pi",
        secrets=SECRETS,
    )
    return compile_cluster(cluster)


def units(resources: tuple[Resource, ...]) -> set[str]:
    """What is to run here and not on every board."""
    running = {r.unit for r in resources if isinstance(r, Service) and r.running}
    return running - ON_EVERY_BOARD


ON_EVERY_BOARD = {
    *("chrony.service", "ssh.service", "systemd-journald.service", "systemd-sysctl.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"),
    *("auditd.service", "wulfling-debsums.timer"),
}
ON_THE_HEAD = {"munge.service", "mariadb.service", "slurmdbd.service", "slurmctld.service"}
ON_A_WORKER = {"munge.service", "slurmd.service", "home.automount"}


def test_guide_000_one_head_that_is_the_file_server_too() -> None:
    declared = shape({"vim4": {H}, "pi1": {C}, "pi2": {C}}, "vim4", slurm=True)
    assert units(declared["vim4"]) == ON_THE_HEAD | {"nfs-server.service"}
    assert units(declared["pi1"]) == units(declared["pi2"]) == ON_A_WORKER


def test_guide_001_mpi_without_slurm() -> None:
    declared = shape({"pi01": {H, C}, "pi02": {C}}, "pi01", slurm=False)
    assert units(declared["pi01"]) == {"nfs-server.service"}
    assert units(declared["pi02"]) == {"home.automount"}
    for resources in declared.values():
        (packages,) = (r for r in resources if isinstance(r, Packages))
        assert "mpich" in packages.names


def test_guide_002_head_worker_and_storage() -> None:
    declared = shape({"one": {H, C}, "two": {C}, "files": {S}}, "files", slurm=True)
    assert units(declared["one"]) == ON_THE_HEAD | {"slurmd.service", "home.automount"}
    assert units(declared["two"]) == ON_A_WORKER
    assert units(declared["files"]) == {"munge.service", "nfs-server.service"}


def test_a_login_node_has_slurm_conf_and_no_slurmd() -> None:
    declared = shape({"one": {H, C}, "door": {L}}, "one", slurm=True)
    assert units(declared["door"]) == {"munge.service", "home.automount"}
    assert "/etc/slurm/slurm.conf" in files(declared["door"])


def test_a_cluster_of_one_board_exports_nothing() -> None:
    """exports(5): a path without a client is exported to the whole world."""
    (resources,) = shape({"one": {H, C}}, "one", slurm=True).values()
    assert not [path for path in files(resources) if "exports" in path]
    assert "nfs-server.service" not in units(resources)
    assert "/home" in {r.path for r in resources if isinstance(r, Directory)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_used_or_waits_for_a_board_that_needs_it(kind: str) -> None:
    boards = {"one": {H, C}, "two": {C}, "files": {S}}
    declared = shape(boards, "files", slurm=True, quota_mb=1024)
    used = {resource.kind for resources in declared.values() for resource in resources}
    only_with_a_build = {"blob", "slurm_upgrade"}  # test_repository.py
    only_in_an_upgrade = {"updates"}  # day2/test_upgrade.py
    only_of_two_releases = {"libraries"}  # golden/two-releases
    only_with_a_backup = {"restored", "state_known"}  # test_backup.py
    only_with_a_vendor = {"keyring"}  # test_tailscale.py
    rare = only_with_a_build | only_in_an_upgrade | only_of_two_releases
    only_when_asked_for = {"certificate", "pam"}  # transport/test_host_ca.py, model/test_zones.py
    rare |= only_with_a_backup | only_with_a_vendor | only_when_asked_for
    assert kind in used | {"kernel"} | rare
