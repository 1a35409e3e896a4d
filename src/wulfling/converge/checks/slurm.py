"""Checks of Slurm: what jobs are held to, the daemons, accounts, and what the scheduler says."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.converge.checks import ground, patches, shared
from wulfling.converge.checks.board import ALONE
from wulfling.converge.checks.check import Check, bad, drifted, stopped, told
from wulfling.converge.checks.ground import BOARD
from wulfling.converge.checks.shared import GROUND
from wulfling.converge.evidence import Evidence
from wulfling.model.finding import Finding, Mend
from wulfling.model.health import SlurmNode, takes_jobs
from wulfling.model.plan import Status
from wulfling.node.self_check import MARK, PROGRAM

KERNEL = "file:/etc/slurm/slurm.conf"
DATABASE = ("file:/etc/mysql/", "service:mariadb", "database:")
ACCOUNTING = (
    "file:/etc/slurm/slurmdbd.conf",
    "file:/etc/systemd/system/slurmdbd",
    "service:slurmdbd",
)
ASSOCIATIONS = ("accounting:", "account:", "association:")
CONFIG = ("file:/etc/slurm/", "directory:/etc/slurm")
CONTROLLER = ("service:slurmctld", "file:/etc/systemd/system/slurmctld", "directory:/var/lib/slurm")
DAEMON = ("service:slurmd.", "file:/etc/systemd/system/slurmd.", "file:/etc/default/slurmd")
KEYS = (
    *ground.KEYS,
    *patches.KEYS,
    *shared.KEYS,
    *DATABASE,
    *ACCOUNTING,
    *ASSOCIATIONS,
    *CONFIG,
    *CONTROLLER,
    *DAEMON,
)
"""Beginnings of the keys that have a check of their own."""

BASIS = (*GROUND, "clock", "munge")

# Reasons that Slurm itself gives, and that are over when nothing else is wrong (slurmctld's
# source): whoever is named as their author is not the person who wrote them.
SLURMS_OWN = (
    "Not responding",
    "Node unexpectedly rebooted",
    "Low RealMemory",
    "Low CPU",
    "Low socket*core*thread count",
    "Kill task failed",
    "batch job complete failure",
    "Prolog error",
    "Epilog error",
    "Duplicate jobid",
    "slurm.conf",
    "Reboot ASAP",
    "gres/",
)


def _cgroup(evidence: Evidence) -> Iterator[Finding]:
    """A kernel without the memory controller is how some boards are; one that lost it is ill."""
    for node, _ in evidence.computing():
        now, before = evidence.hardware[node], evidence.remembered.get(node)
        if "memory" in now.cgroup_controllers:
            continue
        fixable = bool(now.cmdline_file)
        if not fixable and (before is None or "memory" not in before.cgroup_controllers):
            continue
        reboot = f"wulfling node shell {node} -- sudo reboot"
        flag = Mend(
            "put cgroup_enable=memory on its kernel's command line; it counts from the next boot",
            applies=True,
        )
        yield bad(
            node,
            "cgroup",
            f"the kernel of {node} offers no memory controller, so Slurm cannot hold jobs to"
            " their memory",
            "/sys/fs/cgroup/cgroup.controllers has no `memory`",
            "it had one at the last apply" if before and not fixable else "",
            hint=f"take cgroup_disable=memory off its kernel's command line, then {reboot}",
            mend=flag if fixable else None,
            cannot="" if fixable else "the kernel has to be started with another command line",
        )


def _memory(evidence: Evidence) -> Iterator[Finding]:
    head = evidence.of(evidence.head)
    promised = {node.name: node.memory_mb for node in head.slurm_nodes} if head else {}
    drift = [step for step in evidence.drift(KERNEL) if step.node == evidence.head]
    for node, health in evidence.computing():
        if promised.get(node, 0) <= health.memory_mb:
            continue
        yield bad(
            node,
            "memory",
            f"slurm.conf promises {promised[node]} MiB on {node}, and the board has"
            f" {health.memory_mb}",
            "Slurm drains such a node as invalid, or lets jobs run out of memory",
            "slurm.conf was changed by hand" if drift else "",
            hint=f"`memory:` of {node} in the cluster file",
            mend=Mend(
                "apply what the cluster file declares (slurm.conf), and resume the node",
                applies=True,
                after=((evidence.head, _resume(node)),),
            )
            if drift
            else None,
            cannot="" if drift else "the cluster file says so itself",
        )


def _config(evidence: Evidence) -> Iterator[Finding]:
    for finding in drifted(evidence, "config", "Slurm's configuration", CONFIG):
        # A part of it belongs to the daemon in front of the database.
        if "slurmdbd.conf" not in finding.words:
            yield finding


def _database(evidence: Evidence) -> Iterator[Finding]:
    yield from drifted(evidence, "database", "the database", DATABASE)


def _accounting(evidence: Evidence) -> Iterator[Finding]:
    found = list(drifted(evidence, "accounting", "accounting", ACCOUNTING))
    yield from found
    waiting = [
        step
        for step in evidence.steps
        if step.status is Status.PENDING and step.key.startswith(ASSOCIATIONS)
    ]
    if waiting and not found:
        yield bad(
            evidence.head,
            "accounting",
            f"slurmdbd on {evidence.head} runs and does not answer",
            *(f"{step.key}: {step.message}" for step in waiting[:2]),
            hint=f"wulfling node shell {evidence.head} -- sudo journalctl -u slurmdbd -n 20",
            mend=Mend("restart slurmdbd", before=((evidence.head, "systemctl restart slurmdbd"),)),
        )


def _association(evidence: Evidence) -> Iterator[Finding]:
    for step in evidence.drift(*ASSOCIATIONS):
        kind, _, name = step.key.partition(":")
        missing = step.diff[:1] == (f"+ {step.key}",)
        words = {
            "association": f"{name} has no association in Slurm: jobs of {name} are refused with"
            " `Invalid account`",
            "account": f"there is no account {name} in Slurm",
            "accounting": f"the accounting database does not know the cluster {name}",
        }[kind]
        if not missing:
            words = f"{kind} {name} in Slurm is not what the cluster file declares"
        yield bad(
            step.node,
            "association",
            words,
            *told(step.diff),
            hint=f"wulfling node shell {step.node} -- sacctmgr show assoc user={name}",
            mend=Mend("apply what the cluster file declares (sacctmgr)", applies=True),
        )


def _controller(evidence: Evidence) -> Iterator[Finding]:
    found = list(drifted(evidence, "controller", "the controller", CONTROLLER))
    yield from (f for f in found if f.subject == evidence.head)
    head = evidence.of(evidence.head)
    if evidence.cluster.slurm is None or head is None or found or head.slurm_nodes:
        return
    yield bad(
        evidence.head,
        "controller",
        f"slurmctld on {evidence.head} runs and does not answer",
        hint=f"wulfling node shell {evidence.head} -- sudo tail /var/log/slurm/slurmctld.log",
        mend=Mend("restart slurmctld", before=((evidence.head, "systemctl restart slurmctld"),)),
    )


def _configless(evidence: Evidence) -> Iterator[Finding]:
    """slurmd fetches its configuration from the controller: can it get there?"""
    for step in evidence.drift("file:/etc/default/slurmd"):
        yield bad(
            step.node,
            "configless",
            f"slurmd on {step.node} is told to fetch its configuration from somewhere else than"
            f" {evidence.head}",
            *told(step.diff),
            hint=f"wulfling explain {step.node} /etc/default/slurmd",
            mend=Mend("apply what the cluster file declares (/etc/default/slurmd)", applies=True),
        )
    for node, health in evidence.computing():
        if health.ctld in ("", "open") or node == evidence.head:
            continue
        yield bad(
            node,
            "configless",
            f"{node} does not reach the controller on port 6817 ({health.ctld}), where its slurmd"
            " gets its configuration",
            f"slurmctld on {evidence.head} answers there",
            hint=f"a firewall on {evidence.head}? wulfling node shell {evidence.head} --"
            " sudo nft list ruleset",
            cannot="wulfling has written no rule that says so, and takes away none that it has not",
        )


def _daemon(evidence: Evidence) -> Iterator[Finding]:
    yield from drifted(evidence, "daemon", "slurmd", DAEMON)


def _drift(evidence: Evidence) -> Iterator[Finding]:
    """What no other check has for its own."""
    own = [
        step
        for step in evidence.drift("")
        if not step.key.startswith("file:/var/lib/wulfling/cluster/") and not _is_told(step.key)
    ]
    daemons = tuple(step.key for step in own if step.key.startswith("service:") and stopped(step))
    if daemons:
        yield from drifted(evidence, "drift", "a daemon", daemons)
    rest = tuple(step.key for step in own if step.key not in daemons)
    if rest:
        yield from drifted(evidence, "drift", "changed by hand", rest)


def _is_told(key: str) -> bool:
    return key.startswith(KEYS) or key.endswith(".automount")


def _partition(evidence: Evidence) -> Iterator[Finding]:
    head = evidence.of(evidence.head)
    for name, state in head.partitions if head else ():
        declared = evidence.cluster.slurm and any(
            partition.name == name for partition in evidence.cluster.slurm.partitions
        )
        if declared and state != "UP":
            yield bad(
                evidence.cluster.name,
                "partition",
                f"the partition {name} is {state}: its jobs wait (PartitionDown)",
                "the cluster file has it up",
                hint=f"sudo scontrol update partitionname={name} state=up",
                mend=Mend(
                    "put it up, as slurm.conf says",
                    after=((evidence.head, f"scontrol update partitionname={name} state=up"),),
                ),
            )


def _node(evidence: Evidence) -> Iterator[Finding]:
    head = evidence.of(evidence.head)
    seen = {node.name: node for node in head.slurm_nodes} if head else {}
    for node in seen.values():
        if takes_jobs(node.brief) or not _is_ours(evidence, node.name):
            continue
        own = node.by in ("", "slurm") or node.reason.startswith((*SLURMS_OWN, MARK))
        reason = f": {node.reason}" if node.reason else ""
        if node.reason.startswith(MARK):
            yield bad(
                node.name,
                "node",
                f"{node.name} was taken out of service by its own health check{reason}",
                f"Slurm says {node.state}, and nothing else is wrong",
                hint=f"wulfling node shell {node.name} -- sudo {PROGRAM} --tell",
                mend=Mend(
                    "have it look again, twice; it resumes the node when all is well",
                    before=((node.name, f"{PROGRAM}; {PROGRAM}"),),
                ),
            )
        elif own:
            yield bad(
                node.name,
                "node",
                f"Slurm sends {node.name} no jobs ({node.state}{reason}), and nothing else is"
                " wrong",
                hint=f"sudo scontrol update nodename={node.name} state=resume",
                mend=_back(evidence, node),
            )
        else:
            yield bad(
                node.name,
                "node",
                f"{node.name} was taken out of service by {node.by}{reason}",
                f"Slurm says {node.state}",
                hint=f"sudo scontrol update nodename={node.name} state=resume",
                cannot="somebody had a reason to drain it, and only they know whether it is over",
            )


def _back(evidence: Evidence, node: SlurmNode) -> Mend:
    resume = (evidence.head, _resume(node.name))
    if "NOT_RESPONDING" in node.state and node.name in evidence.health:
        restart = ((node.name, "systemctl restart slurmd"),)
        return Mend("restart its slurmd, and resume it", before=restart, after=(resume,))
    return Mend("resume it", after=(resume,))


def _is_ours(evidence: Evidence, name: str) -> bool:
    return any(node.name == name for node in evidence.cluster.nodes)


def _resume(node: str) -> str:
    """After a restart of slurmd a node may not need it, and scontrol then calls it an error."""
    return f"sleep 2; scontrol update nodename={node} state=resume 2> /dev/null || true"


_ILL = (
    *(*BASIS, "power", "card", "link", "versions", "cgroup", "memory", "configless", "daemon"),
    *("mount", "export", "people"),
)

CHECKS = (
    Check(
        "cgroup",
        "whether the kernel can hold jobs to their memory",
        "puts the flag on a Raspberry Pi's command line; the reboot is yours",
        _cgroup,
        GROUND,
    ),
    Check(
        "memory",
        "the memory that slurm.conf promises against what the board has",
        "writes slurm.conf again where it was changed by hand",
        _memory,
        GROUND,
    ),
    Check("database", "MariaDB", "starts it", _database, GROUND),
    Check(
        "accounting",
        "slurmdbd, and whether it answers",
        "starts it",
        _accounting,
        (*BASIS, "database"),
    ),
    Check(
        "config",
        "slurm.conf and what belongs to it",
        "writes it again",
        _config,
        GROUND,
        after_any=("cgroup", "memory"),
    ),
    Check(
        "controller",
        "slurmctld, and whether it answers",
        "starts it",
        _controller,
        (*BASIS, "config", "database", "accounting"),
        after_any=("cgroup", "memory"),
    ),
    Check(
        "configless",
        "whether slurmd reaches the controller, where it gets its configuration",
        "writes the address again; a firewall is yours",
        _configless,
        BASIS,
        after_head=(*ALONE, *BASIS, "controller"),
    ),
    Check(
        "daemon",
        "slurmd",
        "starts it",
        _daemon,
        (*BASIS, "versions", "configless"),
        after_head=(*ALONE, *BASIS, "config", "controller"),
        after_any=("cgroup", "memory"),
    ),
    Check(
        "association",
        "accounts, people and limits of the cluster file in Slurm",
        "adds them",
        _association,
        (*BASIS, "database", "accounting"),
    ),
    Check(
        "drift",
        "everything else that the cluster file declares",
        "applies it",
        _drift,
        (*BOARD, "packages"),
    ),
    Check("partition", "whether partitions are up", "puts them up", _partition),
    Check(
        "node",
        "the state that Slurm gives a node, with its reason",
        "resumes what Slurm or the health check has taken out, never what a person has",
        _node,
        (*_ILL, "drift", "access", "power", "card", "link", "strain"),
        after_head=(*ALONE, *BASIS, "config", "controller", "database"),
        after_servers=(*ALONE, "export"),
    ),
)
