"""Every illness planted as facts: its cause alone is named, and on the ill node alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.unit.measured import PI

from wulfling.converge.checks import CHECKS, diagnose
from wulfling.converge.evidence import Evidence, is_consequence
from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Backup, Cluster, Node, Partition, Person, Role, Share, Slurm
from wulfling.model.finding import Finding, Verdict
from wulfling.model.health import Health, Mount, SlurmNode, Space, takes_jobs
from wulfling.model.plan import Status, Step
from wulfling.node.self_check import PROGRAM
from wulfling.transport.link import Refused

ADDRESSES = {"one": "10.0.0.1", "two": "10.0.0.2", "files": "10.0.0.3"}
NODES = (
    Node("one", IPv4Address("10.0.0.1"), frozenset({Role.HEAD, Role.COMPUTE}), PI),
    Node("two", IPv4Address("10.0.0.2"), frozenset({Role.COMPUTE}), PI),
    Node("files", IPv4Address("10.0.0.3"), frozenset({Role.STORAGE}), PI),
)
CLUSTER = Cluster(
    name="c",
    network=IPv4Network("10.0.0.0/24"),
    domain="home.local",
    virtual=False,
    head="one",
    nodes=NODES,
    storage=(Share("/home", "files"), Share("/nfs", "files")),
    slurm=Slurm((Partition("batch", ("one", "two"), default=True),)),
    people=(Person("kim", 2001, "school"),),
    admin="wulfling",
    admin_keys=(),
    login="pi",
)
SHARES = ("/home", "/nfs")
ROOT = Space("/", "ok", mb=29000, free_mb=20000, inodes=1_900_000, free_inodes=1_700_000)
IDLE = tuple(SlurmNode(name, "IDLE", version="22.05.8", memory_mb=3600) for name in ("one", "two"))


def well(node: str) -> Health:
    """A healthy board."""
    mounts = tuple(Mount(path, "ok", "nfs4") for path in SHARES)
    health = Health(
        now=1000.0,
        up_seconds=3600,
        memory_mb=3792,
        free_mb=3000,
        spaces=(ROOT,),
        links=(("eth0", 1000),),
        names=tuple(ADDRESSES.items()),
        dns=(("10.0.0.254", True),),
        clock=0.0001,
        mounts=() if node == "files" else mounts,
        ctld="" if node == "files" else "open",
        versions=() if node == "files" else (("slurmd", "22.05.8"),),
        decoded=(("one", "ok"),),
    )
    if node == "files":
        clients = [address for name, address in ADDRESSES.items() if name != "files"]
        return replace(health, exports=tuple((p, a) for p in SHARES for a in clients))
    if node == "one":
        return replace(
            health,
            versions=(("slurmctld", "22.05.8"), ("slurmd", "22.05.8")),
            decoded=(("two", "ok"), ("files", "ok")),
            slurm_nodes=IDLE,
            partitions=(("batch", "UP"),),
            reached=(("two", True), ("files", True)),
        )
    return health


HARDWARE = {name: replace(PI, machine_id=f"{name:0>32}") for name in ADDRESSES}
HEALTHY = Evidence(
    cluster=CLUSTER,
    health={name: well(name) for name in ADDRESSES},
    ahead={"one": 0.2, "two": -0.3, "files": 0.4},
    hardware=HARDWARE,
    remembered=HARDWARE,
)

Plant = Callable[[Evidence], Evidence]


def ill(node: str, **facts: Any) -> Plant:
    """The node says otherwise."""

    def plant(was: Evidence) -> Evidence:
        return replace(was, health={**was.health, node: replace(was.health[node], **facts)})

    return plant


def step(node: str, key: str, *diff: str, status: Status = Status.CHANGE, said: str = "") -> Plant:
    """The plan has a step."""

    def plant(was: Evidence) -> Evidence:
        return replace(was, steps=(*was.steps, Step(node, key, status, diff, message=said)))

    return plant


def lost(node: str, error: WulflingError) -> Plant:
    """The node takes no part, and the rest of the cluster sees that."""

    def plant(was: Evidence) -> Evidence:
        health = {name: facts for name, facts in was.health.items() if name != node}
        ahead = {name: seconds for name, seconds in was.ahead.items() if name != node}
        return replace(was, errors={node: error}, health=health, ahead=ahead)

    return plant


def slurm_says(node: str, state: str, reason: str = "Not responding", by: str = "slurm") -> Plant:
    """The controller's view of one node."""
    nodes = tuple(
        replace(n, state=state, reason=reason, by=by) if n.name == node else n for n in IDLE
    )
    return ill("one", slurm_nodes=nodes)


def ahead(node: str, seconds: float) -> Plant:
    return lambda was: replace(was, ahead={**was.ahead, node: seconds})


def measured(node: str, **facts: Any) -> Plant:
    def plant(was: Evidence) -> Evidence:
        return replace(was, hardware={**was.hardware, node: replace(was.hardware[node], **facts)})

    return plant


HANG = tuple(Mount(path, "hangs", "nfs4") for path in SHARES)
NO_ACCOUNTS = tuple(
    step("one", key, status=Status.PENDING, said="after service:slurmdbd.service")
    for key in ("accounting:c", "account:school", "association:kim")
)


def stopped(node: str, unit: str) -> Plant:
    return step(node, f"service:{unit}", "  running: no -> yes")


# Name, what is planted (the cause and the symptoms that come with it), ill node, check.
ILLNESSES: Mapping[str, tuple[tuple[Plant, ...], str, str]] = {
    "clock 10 min ahead": (
        (
            ahead("two", 600.0),
            ill("one", decoded=(("two", "Rewound credential (16)"), ("files", "ok"))),
            ill("two", decoded=(("one", "Expired credential (15)"),)),
        ),
        "two",
        "clock",
    ),
    "munge key differs": (
        (
            step("two", "file:/etc/munge/munge.key", "  sha256: aaa -> bbb"),
            step("two", "service:munge.service", "  restart: file:/etc/munge/munge.key changes"),
            step("two", "service:slurmd.service", "  restart: service:munge.service changes"),
            ill("one", decoded=(("two", "Invalid credential (11)"), ("files", "ok"))),
            ill("two", decoded=(("one", "Invalid credential (11)"),)),
        ),
        "two",
        "munge",
    ),
    "munge runs with an older key": (
        (
            ill("one", decoded=(("two", "Invalid credential (11)"), ("files", "ok"))),
            ill("two", decoded=(("one", "Invalid credential (11)"),)),
        ),
        "two",
        "munge",
    ),
    "munge of the head runs with an older key": (
        (
            ill("one", decoded=(("two", "Invalid credential"), ("files", "Invalid credential"))),
            ill("two", decoded=(("one", "Invalid credential (11)"),)),
            ill("files", decoded=(("one", "Invalid credential (11)"),)),
            slurm_says("two", "DOWN+NOT_RESPONDING"),
        ),
        "one",
        "munge",
    ),
    "munge stopped": (
        (
            stopped("two", "munge.service"),
            step("two", "service:slurmd.service", "  restart: service:munge.service changes"),
            ill("two", munge="munge: Error: Failed to access the socket", decoded=()),
            slurm_says("two", "DOWN+NOT_RESPONDING"),
        ),
        "two",
        "munge",
    ),
    "127.0.1.1 in hosts": (
        (
            step("two", "block:/etc/hosts", "-127.0.1.1 two"),
            ill("two", names=(*well("two").names[:1], ("two", "127.0.1.1"))),
        ),
        "two",
        "names",
    ),
    "uid mismatch": (
        (step("two", "user:kim", status=Status.FAILED, said="kim has the number 2005\nwrite it"),),
        "two",
        "people",
    ),
    "NFS server off": (
        (
            stopped("files", "nfs-server.service"),
            ill("files", exports=()),
            ill("one", mounts=HANG),
            ill("two", mounts=HANG),
        ),
        "files",
        "export",
    ),
    "export missing in the file": (
        (
            step("files", "file:/etc/exports.d/wulfling.exports", "-/home 10.0.0.2(rw)"),
            ill("files", exports=()),
            ill("two", mounts=(Mount("/home", "EACCES"), Mount("/nfs", "ok", "nfs4"))),
        ),
        "files",
        "export",
    ),
    "export missing in the kernel": (
        (
            ill("files", exports=well("files").exports[:-1]),
            ill("two", mounts=(Mount("/home", "ok", "nfs4"), Mount("/nfs", "EACCES", "nfs4"))),
        ),
        "files",
        "export",
    ),
    "stale handle": (
        (ill("two", mounts=(Mount("/home", "ok", "nfs4"), Mount("/nfs", "ESTALE", "nfs4"))),),
        "two",
        "mount",
    ),
    "slurmd version mismatch": (
        (
            ill("two", versions=(("slurmd", "23.11.4"),)),
            slurm_says("two", "DOWN+NOT_RESPONDING"),
        ),
        "two",
        "versions",
    ),
    "RealMemory too high": (
        (
            step("one", "file:/etc/slurm/slurm.conf", "-RealMemory=9000", "+RealMemory=3600"),
            ill(
                "one",
                slurm_nodes=(
                    IDLE[0],
                    SlurmNode("two", "IDLE+DRAIN", "Low RealMemory", "slurm", memory_mb=9000),
                ),
            ),
        ),
        "two",
        "memory",
    ),
    "cgroup memory off": (
        (
            measured("two", cgroup_controllers=("cpuset", "cpu")),
            step("one", "file:/etc/slurm/cgroup.conf", "-ConstrainRAMSpace=yes"),
            step("one", "service:slurmctld.service", "  restart: file:/etc/slurm/... changes"),
            step(
                "two",
                "service:slurmd.service",
                "  restart: it runs with another configuration",
            ),
        ),
        "two",
        "cgroup",
    ),
    "disk full": (
        (
            ill("two", spaces=(replace(ROOT, free_mb=12, largest=("/var/tmp/x (19000 MB)",)),)),
            slurm_says("two", "DOWN+NOT_RESPONDING"),
        ),
        "two",
        "space",
    ),
    "ext4 error-shutdown that still shows rw": (
        (
            ill("two", spaces=(replace(ROOT, state="EROFS"),), disk_errors=(("sda2", 1),)),
            stopped("two", "slurmd.service"),
        ),
        "two",
        "disk",
    ),
    "no inodes left": ((ill("two", spaces=(replace(ROOT, free_inodes=3),)),), "two", "space"),
    "apt half-installed": (
        (ill("two", half_done=("hello",)), step("two", "packages:apt", "+ hello")),
        "two",
        "packages",
    ),
    "munge with a known hole": (
        (
            step("two", "patched:munge", "  munge 0.5.15-2 -> 0.5.15-2+deb12u1 or newer (CVE-1)"),
            step("two", "service:munge.service", "  restart: patched:munge changes"),
            ill("two", exposed="0.5.15-1"),
        ),
        "two",
        "patches",
    ),
    "Slurm with a known hole": (
        (
            step(
                "two",
                "patched:slurm",
                status=Status.FAILED,
                said="slurmd 22.05.8-4 has CVE-1, which 22.05.8-4+deb12u3 mends\nwulfling upgrade",
            ),
        ),
        "two",
        "patches",
    ),
    "a munge key that may be known": ((ill("two", exposed="0.5.15-2"),), "two", "munge-key"),
    "duplicate machine-id": ((measured("two", machine_id=f"{'one':0>32}"),), "two", "machine-id"),
    "wrong host key": (
        (
            lost(
                "two",
                IdentityMismatch("10.0.0.2 answered with the host key X", hint="do", where="two"),
            ),
            slurm_says("two", "IDLE+NOT_RESPONDING"),
        ),
        "two",
        "identity",
    ),
    "slurmdbd down": ((stopped("one", "slurmdbd.service"), *NO_ACCOUNTS), "one", "accounting"),
    "MariaDB down": (
        (
            stopped("one", "mariadb.service"),
            step("one", "database:slurm_acct_db", status=Status.PENDING, said="after it"),
            stopped("one", "slurmdbd.service"),
            *NO_ACCOUNTS,
        ),
        "one",
        "database",
    ),
    "association missing": (
        (step("one", "association:kim", "+ association:kim"),),
        "one",
        "association",
    ),
    "drained by hand": (
        (slurm_says("two", "IDLE+DRAIN", "new fan", "root"),),
        "two",
        "node",
    ),
    "partition down": ((ill("one", partitions=(("batch", "DOWN"),)),), "c", "partition"),
    "configless server elsewhere": (
        (
            step("two", "file:/etc/default/slurmd", "-SLURMD_OPTIONS=...9:6817"),
            step("two", "service:slurmd.service", "  running: no -> yes"),
            slurm_says("two", "DOWN+NOT_RESPONDING"),
        ),
        "two",
        "configless",
    ),
    "controller's port shut off": (
        (ill("two", ctld="ETIMEDOUT"), stopped("two", "slurmd.service")),
        "two",
        "configless",
    ),
    "DNS dead": ((ill("two", dns=(("10.0.0.99", False),)),), "two", "dns"),
    "sshd finds a mode that is too open": (
        (
            lost("two", Refused("10.0.0.2 does not let wulfling in", hint="do", where="two")),
            lambda was: replace(
                was, modes={"two": ("755 root /", "777 wulfling /var/local/wulfling/.ssh")}
            ),
        ),
        "two",
        "login",
    ),
    # ... and those beyond the twenty-five.
    "no power": (
        (
            lost("two", Unreachable("10.0.0.2 port 22: No route to host", hint="do", where="two")),
            slurm_says("two", "DOWN+NOT_RESPONDING"),
            ill("one", reached=(("two", False), ("files", True))),
        ),
        "two",
        "reach",
    ),
    "the file server has no power": (
        (
            lost(
                "files", Unreachable("10.0.0.3 port 22: No route to host", hint="do", where="files")
            ),
            ill("one", mounts=HANG),
            ill("two", mounts=HANG),
        ),
        "files",
        "reach",
    ),
    "a board that no apply has seen": (
        (
            step("two", "packages:apt", "+ munge"),
            step("two", "block:/etc/hosts", "+ block:/etc/hosts"),
            step("two", "user:kim", "+ user:kim"),
            step("two", "service:slurmd.service", status=Status.PENDING),
            lambda was: replace(was, remembered={"one": HARDWARE["one"]}),
        ),
        "two",
        "new",
    ),
    "errors on a card that still works": (
        (ill("two", disk_errors=(("mmcblk0p2", 3),)),),
        "two",
        "card",
    ),
    "no Python": (
        (lost("two", NodeFailed("it has no /usr/bin/python3", hint="do", where="two")),),
        "two",
        "program",
    ),
    "too little voltage": ((ill("two", throttled=0x50005),), "two", "power"),
    "too hot": ((ill("two", throttled=0x80000, temperature=84.0),), "two", "power"),
    "too hot, so that its own health check drains it": (
        (
            ill("two", throttled=0x8, temperature=86.0),
            slurm_says("two", "IDLE+DRAIN", "health: it is too hot and slows itself down", "root"),
        ),
        "two",
        "power",
    ),
    "drained by its own health check, and well since": (
        (slurm_says("two", "IDLE+DRAIN", "health: /home does not answer", "root"),),
        "two",
        "node",
    ),
    "no memory left": ((ill("two", free_mb=9),), "two", "strain"),
    "what hangs for a file server": (
        (
            ill("two", stuck=12, mounts=HANG),
            lost("files", Unreachable("10.0.0.3: No route to host", hint="do", where="files")),
        ),
        "files",
        "reach",
    ),
    "a cable that sends or receives": ((ill("two", half_duplex=("eth0",)),), "two", "link"),
    "a broken pair in the cable": ((ill("two", links=(("eth0", 10),)),), "two", "link"),
    "the head's clock is wrong": (
        (ahead("one", -600.0), ahead("files", -599.0)),
        "one",
        "clock",
    ),
    "slurmctld stopped": (
        (
            stopped("one", "slurmctld.service"),
            ill("one", slurm_nodes=(), partitions=(), ctld="ECONNREFUSED"),
            ill("two", ctld="ECONNREFUSED"),
            stopped("two", "slurmd.service"),
        ),
        "one",
        "controller",
    ),
    "slurmd stopped": (
        (stopped("two", "slurmd.service"), slurm_says("two", "DOWN+NOT_RESPONDING")),
        "two",
        "daemon",
    ),
    "something changed by hand": (
        (step("two", "file:/etc/systemd/journald.conf.d/x.conf", "-a", "+b"),),
        "two",
        "drift",
    ),
    "a node that Slurm has given up": (
        (slurm_says("two", "IDLE+DRAIN", "Kill task failed", "root"),),
        "two",
        "node",
    ),
}


def planted(name: str) -> tuple[Finding, ...]:
    evidence = HEALTHY
    for plant in ILLNESSES[name][0]:
        evidence = plant(evidence)
    return diagnose(evidence)


def test_a_healthy_cluster_is_silent() -> None:
    assert diagnose(HEALTHY) == ()


@pytest.mark.parametrize("name", ILLNESSES)
def test_the_cause_alone_is_named(name: str) -> None:
    _, node, check = ILLNESSES[name]
    found = planted(name)
    assert [(finding.subject, finding.check) for finding in found] == [(node, check)], found
    assert found[0].verdict is Verdict.BAD


@pytest.mark.parametrize("name", ILLNESSES)
def test_it_is_mended_or_said_why_not(name: str) -> None:
    (finding,) = planted(name)
    assert finding.mend or finding.cannot
    assert finding.hint
    assert "\n" not in finding.words


@pytest.mark.parametrize(
    ("state", "ready"),
    [
        ("IDLE", True),
        ("MIXED+PLANNED", True),
        ("ALLOCATED+COMPLETING", True),
        ("IDLE+CLOUD", True),
        ("IDLE+DRAIN", False),
        ("DOWN+NOT_RESPONDING", False),
        ("DOWN*", False),
        ("IDLE+INVALID_REG", False),
        ("UNKNOWN", False),
    ],
)
def test_states_that_take_jobs(state: str, ready: bool) -> None:
    assert takes_jobs(SlurmNode("n", state).brief) is ready


def test_two_illnesses_on_two_boards_are_two_causes() -> None:
    evidence = HEALTHY
    for name in ("NFS server off", "munge stopped", "association missing"):
        for plant in ILLNESSES[name][0]:
            evidence = plant(evidence)
    found = {(finding.subject, finding.check) for finding in diagnose(evidence)}
    assert found == {("two", "munge"), ("files", "export"), ("one", "association")}


def test_nobody_is_blamed_for_what_only_the_head_knows() -> None:
    evidence = lost("one", Unreachable("no route", hint="do", where="one"))(HEALTHY)
    evidence = step("two", "file:/etc/ssh/ssh_known_hosts", "-one ssh-ed25519")(evidence)
    assert [(f.subject, f.check) for f in diagnose(evidence)] == [("one", "reach")]


def test_a_card_with_errors_hides_nothing() -> None:
    evidence = ill("two", disk_errors=(("mmcblk0p2", 3),))(HEALTHY)
    for plant in ILLNESSES["munge stopped"][0]:
        evidence = plant(evidence)
    assert [finding.check for finding in diagnose(evidence)] == ["card", "munge"]


def test_a_person_who_drained_a_node_is_not_overruled() -> None:
    (finding,) = planted("drained by hand")
    assert finding.mend is None
    assert "root: new fan" in finding.words
    (finding,) = planted("a node that Slurm has given up")
    assert finding.mend


BY_ITSELF = slurm_says("two", "IDLE+DRAIN", "health: it was ill", "root")


def test_a_node_that_its_own_health_check_has_drained_is_asked_to_look_again() -> None:
    """It was called a person's drain, because the check runs as root; and so no `--fix` of a
    cause that had lasted for two minutes was ever complete."""
    (finding,) = diagnose(BY_ITSELF(HEALTHY))
    assert (finding.subject, finding.check, finding.cannot) == ("two", "node", "")
    assert "health: it was ill" in finding.words
    assert finding.mend
    # Two rounds without an ailment, and it resumes the node itself.
    assert [(node, script.count(PROGRAM)) for node, script in finding.mend.before] == [("two", 2)]


@pytest.mark.parametrize(
    ("check", "plant"),
    [
        ("card", ill("two", disk_errors=(("mmcblk0p2", 3),))),
        ("power", ill("two", throttled=0x1)),
        ("link", ill("two", links=(("eth0", 10),))),
    ],
)
def test_what_the_health_check_drains_for_is_the_cause(check: str, plant: Plant) -> None:
    evidence = BY_ITSELF(plant(HEALTHY))
    assert [(f.subject, f.check) for f in diagnose(evidence)] == [("two", check)]


def test_a_clock_that_was_never_synchronised_is_told_after_a_while() -> None:
    early = ill("two", clock=None, asking_seconds=300)(HEALTHY)
    late = ill("two", clock=None, asking_seconds=3000)(HEALTHY)
    assert diagnose(early) == ()
    assert [finding.check for finding in diagnose(late)] == ["clock"]


def test_the_copy_of_a_card_gets_back_what_it_was() -> None:
    (finding,) = planted("duplicate machine-id")
    assert finding.mend
    assert f"{'two':0>32}" in finding.mend.before[0][1]


@pytest.mark.parametrize(
    ("diff", "consequence"),
    [
        (("  restart: file:/etc/x changes",), True),
        (("  restart: it runs with another configuration",), False),
        (("  running: no -> yes",), False),
        ((), False),
    ],
)
def test_what_is_due_for_another_step_is_no_drift(diff: tuple[str, ...], consequence: bool) -> None:
    told = Step("two", "service:x.service", Status.CHANGE, diff)
    assert is_consequence(told) is consequence


def saving(age: float, error: str = "", what: str = "head") -> Evidence:
    """A cluster with a backup, whose last is that many seconds old."""
    cluster = replace(CLUSTER, backup=Backup("files", "/srv/backup", minutes=15))
    at = HEALTHY.health["one"].now - age
    return ill("one", backups=((what, at, error),))(replace(HEALTHY, cluster=cluster))


def test_a_backup_that_is_late_or_failed_is_told() -> None:
    assert diagnose(saving(3 * 900)) == ()
    (late,) = diagnose(saving(5 * 3600))
    assert (late.subject, late.check) == ("one", "backup")
    assert "is 5 h old" in late.words
    assert late.mend
    assert late.mend.after == (("one", "systemctl start wulfling-backup@head.service"),)
    (failed,) = diagnose(saving(60, "no room"))
    assert failed.evidence == ("the last one ended with: no room",)
    assert diagnose(saving(2 * 86400, what="drill")) == ()
    (drill,) = diagnose(saving(4 * 86400, what="drill"))
    assert "the last restore drill of one that went well is 4 d old" in drill.words


def test_a_board_that_keeps_the_backup_and_is_away_is_the_cause() -> None:
    evidence = lost("files", Unreachable("no route", hint="do", where="files"))(saving(5 * 3600))
    assert [finding.check for finding in diagnose(evidence)] == ["reach"]


def test_every_check_is_told_once_and_comes_after_its_causes() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
    for number, check in enumerate(CHECKS):
        for causes in (check.after, check.after_head, check.after_servers, check.after_any):
            assert {c for c in causes if c != check.name} <= set(names[:number]), check.name
        assert check.asks and check.mends
