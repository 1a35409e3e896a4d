"""Proves a cluster by using it: questions to the boards, and one MPI job across all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from wulfling.errors import NodeFailed, Unreachable
from wulfling.model.cluster import Cluster, Node, Person, Role
from wulfling.model.finding import Finding, Verdict
from wulfling.model.health import takes_jobs
from wulfling.node.health.ailments import LARGEST_OFFSET
from wulfling.node.health.clock import parse

Ask = Callable[[str, tuple[str, ...]], Awaitable[str]]
"""Runs a command as root on the node of that name and gives what it printed."""

# Each rank says who it is and what the sum over all ranks came to: a world that fell apart
# into single ranks cannot know the others' numbers.
MPI_PROGRAM = (
    "from mpi4py import MPI; c = MPI.COMM_WORLD;"
    " print('rank', c.rank, c.size, c.allreduce(c.rank), MPI.Get_processor_name(), flush=True)"
)

RANK = re.compile(r"^rank ([0-9]{1,9}) ([0-9]{1,9}) ([0-9]{1,18}) (\S+)$", re.MULTILINE)

# After a boot, chrony needs some seconds to choose a source, and one that asked before the head
# was there asks again only after a minute: a burst makes it ask now. waitsync is content with
# less than one second of correction (chronyc(1)).
CLOCK_QUESTION = (
    "chronyc burst 4/4 > /dev/null; chronyc waitsync 60 1.0 0 1 > /dev/null; chronyc -c tracking"
)

JOB_MEMORY = 64  # MiB for each rank of the job: Python, MPICH and UCX, with room


@dataclass(frozen=True)
class Probe:
    """One question: ``argv`` for ``node``, and ``judge``, which makes a finding of the answer."""

    node: str
    check: str
    argv: tuple[str, ...]
    judge: Callable[[str], Finding]


def probes(cluster: Cluster) -> Iterator[Probe]:
    """Every question that a cluster of this shape can be asked, in the order to ask them."""
    for node in cluster.nodes:
        yield from _clock(cluster, node)
        yield from _mounts(cluster, node)
    if cluster.slurm is not None:
        yield _states(cluster)
        for partition, nodes in _workplaces(cluster).items():
            yield _mpi_job(cluster, partition, nodes)


async def verify(
    cluster: Cluster, ask: Ask, on_finding: Callable[[Finding], None]
) -> tuple[Finding, ...]:
    """Ask everything, one question after the other, and tell each finding as it is made.

    An unreachable node makes findings that are UNKNOWN, and a command that fails one that is
    BAD. Raises ``IdentityMismatch``, and ``WulflingError`` when this machine has no ssh.
    """
    findings = []
    for probe in probes(cluster):
        try:
            finding = probe.judge(await ask(probe.node, probe.argv))
        except (Unreachable, NodeFailed) as error:
            away = isinstance(error, Unreachable)
            verdict = Verdict.UNKNOWN if away else Verdict.BAD
            finding = Finding(probe.node, probe.check, verdict, error.message, error.hint)
        on_finding(finding)
        findings.append(finding)
    return tuple(findings)


def _finding(subject: str, check: str, good: bool, words: str, hint: str) -> Finding:
    if good:
        return Finding(subject, check, Verdict.GOOD, words)
    return Finding(subject, check, Verdict.BAD, words, hint)


def _clock(cluster: Cluster, node: Node) -> Iterator[Probe]:
    """munge takes a credential for five minutes (munge(7)); one second is far from that."""
    if node.name == cluster.head:
        return

    def judge(said: str) -> Finding:
        offset = parse(said)
        return _finding(
            node.name,
            "clock",
            offset is not None and offset < LARGEST_OFFSET,
            "the clock follows nobody"
            if offset is None
            else f"the clock is {offset:.3f} s from the head's",
            "chronyc sources on that board shows whom it asks",
        )

    yield Probe(node.name, "clock", ("sh", "-c", CLOCK_QUESTION), judge)


def _mounts(cluster: Cluster, node: Node) -> Iterator[Probe]:
    for share in cluster.storage:
        if share.server == node.name:
            continue
        argv = ("timeout", "30", "stat", "--file-system", "--format=%T", f"{share.path}/.")

        def judge(said: str, path: str = share.path, server: str = share.server) -> Finding:
            kind = said.strip()
            return _finding(
                node.name,
                "mount",
                kind == "nfs",
                f"{path} is the file server's" if kind == "nfs" else f"{path} is local ({kind})",
                f"wulfling apply; then look at nfs-server on {server}",
            )

        yield Probe(node.name, "mount", argv, judge)


def _states(cluster: Cluster) -> Probe:
    expected = [node.name for node in cluster.having(Role.COMPUTE)]

    def judge(said: str) -> Finding:
        answers = (line.split(maxsplit=2) for line in said.splitlines())
        states = {words[0]: words[1:] for words in answers if len(words) > 1}
        ill = [name for name in expected if not takes_jobs(states.get(name, [""])[0])]
        return _finding(
            cluster.name,
            "nodes",
            not ill,
            ", ".join(f"{name} is {_why(states.get(name, []))}" for name in ill)
            or f"{len(expected)} nodes are ready",
            "sinfo -R says why a node is down",
        )

    return Probe(cluster.head, "nodes", ("sinfo", "-hN", "-o", "%N %T %E"), judge)


def _why(state: list[str]) -> str:
    """The state of a node that takes no jobs, with Slurm's reason if it has one."""
    match state:
        case []:
            return "unknown to Slurm"
        case [word, reason] if reason.strip() != "none":
            return f"{word} ({reason.strip()})"
        case _:
            return state[0]


def _workplaces(cluster: Cluster) -> Mapping[str, frozenset[str]]:
    """Partitions and their compute nodes, each set of nodes once: a job stays in one."""
    compute = {node.name for node in cluster.having(Role.COMPUTE)}
    found: dict[frozenset[str], str] = {}
    for partition in cluster.slurm.partitions if cluster.slurm else ():
        if nodes := compute & set(partition.nodes):
            found.setdefault(frozenset(nodes), partition.name)
    return {name: nodes for nodes, name in found.items()}


def _fits(person: Person, ranks: int, nodes: int) -> bool:
    """Whether a person's limits let a job of this size start at all."""
    limits = dict(person.limits)
    needs = {"cpu": ranks, "node": nodes, "mem": JOB_MEMORY * ranks}
    return all(limits.get(name, need) >= need for name, need in needs.items())


def _mpi_job(cluster: Cluster, partition: str, nodes: Collection[str]) -> Probe:
    ranks = len(nodes)  # one on each: also boards with a single CPU can do that
    person = next((p for p in cluster.people if _fits(p, ranks, len(nodes))), None)
    argv = [
        *("runuser", "-u", person.name if person else "root", "--"),
        *("srun", "--chdir=/tmp", "--job-name=wulfling-verify", "--time=3", "--immediate=60"),
        *(f"--partition={partition}", f"--nodes={len(nodes)}", f"--ntasks={ranks}"),
    ]
    # What a job gets unasked is its CPUs' share of the board, and on a large one that is more
    # than many a limit. Virtual boards are small, and may not even have this much.
    if person and "mem" in dict(person.limits) and not cluster.virtual:
        argv.append(f"--mem-per-cpu={JOB_MEMORY}M")
    argv += ["python3", "-c", MPI_PROGRAM]

    def judge(said: str) -> Finding:
        found: list[tuple[str, str, str, str]] = RANK.findall(said)
        hosts = Counter(host for *_, host in found)
        told = {(int(size), int(total)) for _, size, total, _ in found}
        good = told == {(ranks, ranks * (ranks - 1) // 2)} and len(found) == ranks
        worlds = sum(rank == "0" for rank, *_ in found)  # each has one rank 0
        spread = ", ".join(f"{count} on {host}" for host, count in sorted(hosts.items()))
        return _finding(
            cluster.name,
            "mpi",
            good and len(hosts) == len(nodes),
            f"{len(found)} ranks in {worlds} world{'s' * (worlds != 1)}: {spread or 'none'}",
            "every rank has to see the others: wulfling apply puts MPICH and mpi4py in order",
        )

    return Probe(cluster.head, "mpi", tuple(argv), judge)
