"""Proves a cluster by using it: questions to the boards, and one MPI job across all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from wulfling.errors import Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.model.finding import Finding, Verdict

Ask = Callable[[str, tuple[str, ...]], Awaitable[str]]
"""Runs a command as root on the node of that name and gives what it printed."""

# Each rank says who it is and what the sum over all ranks came to: a world that fell apart
# into single ranks cannot know the others' numbers.
MPI_PROGRAM = (
    "from mpi4py import MPI; c = MPI.COMM_WORLD;"
    " print('rank', c.rank, c.size, c.allreduce(c.rank), MPI.Get_processor_name(), flush=True)"
)


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
        yield _mpi_job(cluster)


async def verify(
    cluster: Cluster, ask: Ask, on_finding: Callable[[Finding], None]
) -> tuple[Finding, ...]:
    """Ask everything, one question after the other, and tell each finding as it is made."""
    findings = []
    for probe in probes(cluster):
        try:
            finding = probe.judge(await ask(probe.node, probe.argv))
        except WulflingError as error:
            away = isinstance(error, Unreachable)
            verdict = Verdict.UNKNOWN if away else Verdict.BAD
            finding = Finding(probe.node, probe.check, verdict, error.message, error.hint)
        on_finding(finding)
        findings.append(finding)
    return tuple(findings)


def _finding(subject: str, check: str, good: bool, words: str, hint: str = "") -> Finding:
    return Finding(subject, check, Verdict.GOOD if good else Verdict.BAD, words, hint)


def _clock(cluster: Cluster, node: Node) -> Iterator[Probe]:
    """munge takes a credential for five minutes (munge(7)); one second is far from that."""
    if node.name == cluster.head:
        return

    def judge(said: str) -> Finding:
        fields = said.strip().split(",")
        offset = abs(float(fields[4])) if len(fields) > 4 else float("inf")
        return _finding(
            node.name,
            "clock",
            offset < 1.0,
            f"the clock is {offset:.3f} s from the head's",
            "chronyc sources on that board shows whom it asks",
        )

    yield Probe(node.name, "clock", ("chronyc", "-c", "tracking"), judge)


def _mounts(cluster: Cluster, node: Node) -> Iterator[Probe]:
    for share in cluster.storage:
        if share.server == node.name:
            continue
        argv = ("timeout", "30", "stat", "--file-system", "--format=%T", f"{share.path}/.")

        def judge(said: str, path: str = share.path, server: str = share.server) -> Finding:
            return _finding(
                node.name,
                "mount",
                said.strip() == "nfs",
                f"{path} is the file server's" if said.strip() == "nfs" else f"{path} is local",
                f"wulfling apply; then look at nfs-server on {server}",
            )

        yield Probe(node.name, "mount", argv, judge)


def _states(cluster: Cluster) -> Probe:
    expected = {node.name for node in cluster.having(Role.COMPUTE)}

    def judge(said: str) -> Finding:
        states = dict(line.split() for line in said.splitlines() if line.strip())
        well = {name for name, state in states.items() if state in ("idle", "mix", "alloc")}
        ill = [f"{name} is {states.get(name, 'unknown')}" for name in sorted(expected - well)]
        return _finding(
            cluster.name,
            "nodes",
            not ill,
            ", ".join(ill) or f"{len(expected)} nodes are ready",
            "sinfo -R says why a node is down",
        )

    return Probe(cluster.head, "nodes", ("sinfo", "-hN", "-o", "%N %T"), judge)


def _mpi_job(cluster: Cluster) -> Probe:
    nodes = cluster.having(Role.COMPUTE)
    ranks = max(4, len(nodes))
    person = cluster.people[0].name if cluster.people else "root"
    argv = (
        *("runuser", "-u", person, "--", "srun", "--chdir=/tmp", "--job-name=wulfling-verify"),
        *("--time=3", "--immediate=60", f"--nodes={len(nodes)}", f"--ntasks={ranks}"),
        *("python3", "-c", MPI_PROGRAM),
    )

    def judge(said: str) -> Finding:
        words = [line.split() for line in said.splitlines() if line.startswith("rank ")]
        worlds = {(int(size), int(total)) for _, _, size, total, _ in words}
        hosts = Counter(host for *_, host in words)
        good = worlds == {(ranks, ranks * (ranks - 1) // 2)} and len(hosts) == len(nodes)
        spread = ", ".join(f"{count} on {host}" for host, count in sorted(hosts.items()))
        return _finding(
            cluster.name,
            "mpi",
            good and len(words) == ranks,
            f"{len(words)} ranks in {len(worlds)} world{'s' * (len(worlds) != 1)}: {spread}",
            "every rank has to see the others: wulfling apply puts MPICH and mpi4py in order",
        )

    return Probe(cluster.head, "mpi", argv, judge)
