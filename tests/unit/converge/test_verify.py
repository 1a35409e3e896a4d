"""What verify asks, and what it makes of good, bad and garbled answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from wulfling.converge.verify import Probe, probes, verify
from wulfling.errors import CommandFailed, IdentityMismatch, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Node, Partition, Person, Role, Share, Slurm
from wulfling.model.finding import Finding, Verdict

HEAD = frozenset({Role.HEAD, Role.COMPUTE})
COMPUTE = frozenset({Role.COMPUTE})
NODES = (
    Node("one", IPv4Address("10.0.0.1"), HEAD, None),
    Node("two", IPv4Address("10.0.0.2"), COMPUTE, None),
    Node("files", IPv4Address("10.0.0.3"), frozenset({Role.STORAGE}), None),
)
KIM = Person("kim", 2001, "school")
CLUSTER = Cluster(
    name="c",
    network=IPv4Network("10.0.0.0/24"),
    domain="home.local",
    virtual=False,
    head="one",
    nodes=NODES,
    storage=(Share("/home", "files"),),
    slurm=Slurm((Partition("batch", ("one", "two"), default=True),)),
    people=(KIM,),
    admin="wulfling",
    admin_keys=(),
    login="pi",
)

SYNCED = "0A000001,10.0.0.1,11,1795398406.1,{offset},0.0,0.0,0.2,0.0,0.3,0.0,0.0,16.3,Normal\n"
NOT_SYNCED = "00000000,,0,0.0,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"
ONE_WORLD = "rank 0 2 1 one\nrank 1 2 1 two\n"

GARBLED = ("", "\n", ",", "?", "rank", "rank a b c d", "one", "\0\xff", ",,,,x,", "a b c d e f g")


def found(cluster: Cluster, check: str, node: str = "") -> Probe:
    return next(p for p in probes(cluster) if p.check == check and node in ("", p.node))


def judged(check: str, said: str, node: str = "", cluster: Cluster = CLUSTER) -> Finding:
    return found(cluster, check, node).judge(said)


# -- the questions


def test_a_cluster_is_asked_for_clocks_mounts_nodes_and_one_mpi_job() -> None:
    asked = [(probe.node, probe.check) for probe in probes(CLUSTER)]
    assert asked == [
        ("one", "mount"),
        ("two", "clock"),
        ("two", "mount"),
        ("files", "clock"),
        ("one", "nodes"),
        ("one", "mpi"),
    ]


def test_without_slurm_nobody_asks_slurm() -> None:
    assert {probe.check for probe in probes(replace(CLUSTER, slurm=None))} == {"clock", "mount"}


def test_each_partition_is_proven_because_a_job_does_not_leave_its_own() -> None:
    both = Slurm((Partition("a", ("one",), default=True), Partition("b", ("two",))))
    jobs = [p.argv for p in probes(replace(CLUSTER, slurm=both)) if p.check == "mpi"]
    assert len(jobs) == 2
    assert {"--partition=a", "--nodes=1"} <= set(jobs[0])
    assert {"--partition=b", "--nodes=1"} <= set(jobs[1])


def test_partitions_of_the_same_nodes_are_proven_once() -> None:
    both = Slurm((Partition("day", ("one", "two")), Partition("night", ("two", "one"))))
    assert sum(p.check == "mpi" for p in probes(replace(CLUSTER, slurm=both))) == 1


def test_the_job_runs_as_somebody_who_uses_the_cluster() -> None:
    argv = found(CLUSTER, "mpi").argv
    assert argv[argv.index("-u") + 1] == "kim"
    assert "--ntasks=2" in argv


@pytest.mark.parametrize("limit", [("cpu", 1), ("node", 1), ("mem", 100)])
def test_the_job_is_nobodys_whose_limits_would_keep_it_waiting(limit: tuple[str, int]) -> None:
    small = replace(KIM, limits=(limit,))
    argv = found(replace(CLUSTER, people=(small,)), "mpi").argv
    assert argv[argv.index("-u") + 1] == "root"
    argv = found(replace(CLUSTER, people=(small, replace(KIM, name="lee"))), "mpi").argv
    assert argv[argv.index("-u") + 1] == "lee"


def test_somebody_with_a_memory_limit_asks_for_little() -> None:
    """A CPU's share of an 8 GB board is 1.9 GB: four of them never fit into 1 GB."""
    limited = replace(KIM, limits=(("cpu", 4), ("mem", 1024)))
    assert "--mem-per-cpu=64M" in found(replace(CLUSTER, people=(limited,)), "mpi").argv
    assert not any(word.startswith("--mem") for word in found(CLUSTER, "mpi").argv)
    virtual = replace(CLUSTER, people=(limited,), virtual=True)
    assert not any(word.startswith("--mem") for word in found(virtual, "mpi").argv)


# -- the answers


def test_a_good_clock() -> None:
    finding = judged("clock", SYNCED.format(offset="-0.000123"), "two")
    assert finding == Finding("two", "clock", Verdict.GOOD, "the clock is 0.000 s from the head's")


def test_a_clock_that_is_off() -> None:
    finding = judged("clock", SYNCED.format(offset="-301.5"), "two")
    assert finding.verdict is Verdict.BAD
    assert finding.words == "the clock is 301.500 s from the head's"
    assert "chronyc sources" in finding.hint


def test_a_clock_that_follows_nobody_is_not_good_although_its_offset_is_zero() -> None:
    finding = judged("clock", NOT_SYNCED, "two")
    assert finding.verdict is Verdict.BAD
    assert finding.words == "the clock follows nobody"


def test_a_clock_is_given_a_moment_to_find_the_head_after_a_boot() -> None:
    assert any("waitsync" in word for word in found(CLUSTER, "clock", "two").argv)


def test_mounts() -> None:
    assert judged("mount", "nfs\n").verdict is Verdict.GOOD
    local = judged("mount", "ext2/ext3\n", "two")
    assert local.verdict is Verdict.BAD
    assert local.words == "/home is local (ext2/ext3)"
    assert "nfs-server on files" in local.hint


@pytest.mark.parametrize("state", ["idle", "mixed", "allocated", "completing", "planned", "idle-"])
def test_nodes_that_work_or_are_about_to_are_well(state: str) -> None:
    finding = judged("nodes", f"one idle\ntwo {state}\n")
    assert finding == Finding("c", "nodes", Verdict.GOOD, "2 nodes are ready")


@pytest.mark.parametrize("state", ["down", "down*", "idle*", "drained", "draining", "unknown*"])
def test_nodes_that_take_no_job_are_not(state: str) -> None:
    finding = judged("nodes", f"one idle\ntwo {state}\n")
    assert finding.verdict is Verdict.BAD
    assert finding.words == f"two is {state}"
    assert "sinfo -R" in finding.hint


def test_a_down_node_is_told_with_its_reason() -> None:
    finding = judged("nodes", "one idle none\ntwo down* Not responding at all\n")
    assert finding.words == "two is down* (Not responding at all)"


def test_a_node_that_slurm_does_not_know() -> None:
    assert judged("nodes", "one idle\n").words == "two is unknown to Slurm"


def test_one_world() -> None:
    finding = judged("mpi", ONE_WORLD)
    assert finding.verdict is Verdict.GOOD
    assert finding.words == "2 ranks in 1 world: 1 on one, 1 on two"


def test_worlds_of_one_rank_are_told_as_such() -> None:
    """What Debian's python3-mpi4py does under srun."""
    finding = judged("mpi", "rank 0 1 0 one\nrank 0 1 0 two\n")
    assert finding.verdict is Verdict.BAD
    assert finding.words == "2 ranks in 2 worlds: 1 on one, 1 on two"


def test_a_host_that_is_missing() -> None:
    finding = judged("mpi", "".join(f"rank {r} 2 1 one\n" for r in range(2)))
    assert finding.verdict is Verdict.BAD
    assert finding.words == "2 ranks in 1 world: 2 on one"


def test_a_rank_that_is_missing() -> None:
    assert judged("mpi", ONE_WORLD.split("\n", 1)[1]).verdict is Verdict.BAD


def test_a_sum_that_is_wrong() -> None:
    assert judged("mpi", ONE_WORLD.replace("2 1", "2 7")).verdict is Verdict.BAD


def test_what_else_a_job_prints_is_not_a_rank() -> None:
    noise = "slurmstepd: hello\nrank and file\n"
    assert judged("mpi", noise + ONE_WORLD).verdict is Verdict.GOOD


@pytest.mark.parametrize("check", ["clock", "mount", "nodes", "mpi"])
@pytest.mark.parametrize("said", GARBLED)
def test_a_garbled_answer_is_bad_and_no_crash(check: str, said: str) -> None:
    finding = judged(check, said)
    assert finding.verdict is Verdict.BAD
    assert finding.hint


def test_a_good_finding_has_no_hint() -> None:
    assert judged("mpi", ONE_WORLD).hint == ""
    assert judged("mount", "nfs\n").hint == ""


# -- asking


GOOD_ANSWERS = {"clock": SYNCED.format(offset="0.0"), "mount": "nfs\n"}
GOOD_ANSWERS |= {"nodes": "one idle\ntwo idle\n", "mpi": ONE_WORLD}


def verified(refusals: Mapping[str, WulflingError]) -> tuple[Finding, ...]:
    answers = {probe.argv: GOOD_ANSWERS[probe.check] for probe in probes(CLUSTER)}
    heard: list[Finding] = []

    async def ask(node: str, argv: tuple[str, ...]) -> str:
        if node in refusals:
            raise refusals[node]
        return answers[argv]

    findings = asyncio.run(verify(CLUSTER, ask, heard.append))
    assert tuple(heard) == findings
    return findings


def test_all_good() -> None:
    assert {finding.verdict for finding in verified({})} == {Verdict.GOOD}


def test_an_unreachable_node_is_unknown_and_the_others_are_asked() -> None:
    findings = verified({"two": Unreachable("10.0.0.2: No route to host", hint="is it on?")})
    by = {(finding.subject, finding.check): finding for finding in findings}
    assert by["two", "clock"] == Finding(
        "two", "clock", Verdict.UNKNOWN, "10.0.0.2: No route to host", "is it on?"
    )
    assert by["two", "mount"].verdict is Verdict.UNKNOWN
    assert by["files", "clock"].verdict is Verdict.GOOD
    assert by["c", "mpi"].verdict is Verdict.GOOD


def test_a_command_that_fails_is_bad() -> None:
    findings = verified({"two": CommandFailed(("chronyc",), 1, "506 Cannot talk to daemon")})
    (clock,) = [f for f in findings if (f.subject, f.check) == ("two", "clock")]
    assert clock.verdict is Verdict.BAD
    assert "506 Cannot talk to daemon" in clock.words


@pytest.mark.parametrize("error", [IdentityMismatch("other key"), WulflingError("no ssh here")])
def test_an_impostor_and_a_machine_without_ssh_are_no_findings(error: WulflingError) -> None:
    with pytest.raises(type(error)):
        verified({"two": error})
