"""Writes slurm.conf, cgroup.conf and gres.conf from the cluster: a typed writer, never a template.

Every key is written here and nowhere else; ``model.slurm_keys`` lists them, so that the
file's ``extra:`` cannot say the opposite in silence. Sources: slurm.conf(5), cgroup.conf(5),
gres.conf(5).
"""

from __future__ import annotations

from collections import Counter

from wulfling.model.cluster import Cluster, Node, Partition, Profile, Role
from wulfling.node.self_check import PROGRAM as HEALTH_CHECK

# Memory that jobs never get, in MiB, by what else runs on the board: the system itself,
# MariaDB with slurmdbd and slurmctld (measured: 165), the NFS server's cache.
RESERVED = {Role.COMPUTE: 64, Role.HEAD: 192, Role.STORAGE: 64}
SMALLEST_MEMORY = 64

TASK_PROLOG = "/etc/slurm/task-prolog"


def slurm_conf(cluster: Cluster) -> str:
    """The text of slurm.conf. Nodes that were never measured are left out until they are."""
    assert cluster.slurm is not None
    pairs = {**_settings(cluster), **dict(cluster.slurm.extra)}
    lines = ["# Written by wulfling from the cluster file; `wulfling plan` shows what differs."]
    lines += [f"{key}={value}" for key, value in sorted(pairs.items())]
    lines += [_node_line(node) for node in _measured(cluster)]
    for partition in cluster.slurm.partitions:
        nodes = [node for node in _measured(cluster) if node.name in partition.nodes]
        if nodes:
            lines.append(_partition_line(partition, nodes))
    return "\n".join(lines) + "\n"


def cgroup_conf(cluster: Cluster) -> str:
    """The text of cgroup.conf: what every board can enforce, no more (2-43)."""
    nodes = _measured(cluster)

    def everywhere(controller: str) -> bool:
        return all(n.hardware and controller in n.hardware.cgroup_controllers for n in nodes)

    swap = any(n.hardware and n.hardware.swap_mb for n in nodes)
    pairs = {
        "CgroupPlugin": "cgroup/v2",
        "ConstrainCores": _yes(everywhere("cpuset")),
        "ConstrainRAMSpace": _yes(everywhere("memory")),
        "ConstrainSwapSpace": _yes(swap and everywhere("memory")),
    }
    if _gpus(cluster):
        # The one thing that is kept from jobs: other device files are for their owners to
        # guard, and a list of those that jobs may open is obsolete (cgroup.conf(5)).
        pairs["ConstrainDevices"] = "yes"
    return "".join(f"{key}={value}\n" for key, value in sorted(pairs.items()))


def gres_conf(cluster: Cluster) -> str:
    """The text of gres.conf, "" where no board has a GPU (2-65)."""
    lines = [
        f"NodeName={node.name} Name=gpu Type={gpu.type} File={gpu.device}\n"
        for node in _gpus(cluster)
        for gpu in node.gpus
    ]
    # Debian's Slurm is built without the libraries that could find GPUs by themselves.
    return "".join(["AutoDetect=off\n", *lines]) if lines else ""


def _gpus(cluster: Cluster) -> tuple[Node, ...]:
    return tuple(node for node in _measured(cluster) if node.gpus)


def _settings(cluster: Cluster) -> dict[str, str]:
    head = cluster.head
    settings = {
        "ClusterName": cluster.name,
        "SlurmctldHost": f"{head}({cluster.address(head)})",
        "SlurmctldParameters": "enable_configless",
        "SlurmUser": "slurm",
        "AuthType": "auth/munge",
        "AuthInfo": "cred_expire=30",  # a requeued job waits this long, by default 120 s
        "StateSaveLocation": "/var/lib/slurm/slurmctld",
        "SlurmdSpoolDir": "/var/lib/slurm/slurmd",
        "SlurmctldPidFile": "/run/slurmctld.pid",
        "SlurmdPidFile": "/run/slurmd.pid",
        "SlurmctldLogFile": "/var/log/slurm/slurmctld.log",
        "SlurmdLogFile": "/var/log/slurm/slurmd.log",
        "MailProg": "/bin/true",
        "MpiDefault": "pmi2",
        "ProctrackType": "proctrack/cgroup",
        "TaskPlugin": "task/cgroup",
        "TaskProlog": TASK_PROLOG,
        "ReturnToService": "2",  # a board that comes back from a power cut is used again
        "HealthCheckProgram": HEALTH_CHECK,
        "HealthCheckInterval": "60",
        "HealthCheckNodeState": "ANY",
        "SlurmctldTimeout": "60",
        "SlurmdTimeout": "60",
        "SchedulerType": "sched/backfill",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "JobAcctGatherType": "jobacct_gather/cgroup",
        "JobAcctGatherFrequency": "10",
        "JobCompType": "jobcomp/filetxt",  # a second witness, should the database be away
        "JobCompLoc": "/var/log/slurm/jobcomp.log",
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": head,
        "AccountingStorageEnforce": "associations,limits",
        "PropagateResourceLimitsExcept": "MEMLOCK,NPROC",
    }
    if any(n.hardware and n.cpus not in (None, n.hardware.cpus) for n in _measured(cluster)):
        # Virtual boards have one CPU each and say so in the file when they stand for more.
        settings["SlurmdParameters"] = "config_overrides"
    if cluster.profile is Profile.SHARED:
        settings["PrologFlags"] = "Contain"  # what pam_slurm_adopt puts people into
    if _gpus(cluster):
        settings |= {"GresTypes": "gpu", "AccountingStorageTRES": "gres/gpu"}  # 2-38
    return settings


def memory_for_jobs(node: Node) -> int:
    """MiB that Slurm may hand out: what was measured less what the board itself needs.

    Rounded down to 16 MiB, because a new kernel takes a few more pages, and a node that
    registers less than RealMemory is drained as invalid (slurm.conf(5)).
    """
    if node.memory_mb is not None:
        return node.memory_mb
    assert node.hardware is not None
    reserved = sum(RESERVED.get(role, 0) for role in node.roles)
    left = max(node.hardware.memory_mb - reserved, SMALLEST_MEMORY)
    most = min(left, node.hardware.memory_mb)
    return most // 16 * 16 or most


def _measured(cluster: Cluster) -> tuple[Node, ...]:
    return tuple(node for node in cluster.having(Role.COMPUTE) if node.hardware is not None)


def _cores_and_threads(node: Node) -> tuple[int, int]:
    assert node.hardware is not None
    if node.cpus is not None and node.cpus != node.hardware.cpus:
        return node.cpus, 1
    return node.hardware.cores, node.hardware.threads_per_core


def _node_line(node: Node) -> str:
    cores, threads = _cores_and_threads(node)
    kinds = Counter(gpu.type for gpu in node.gpus)
    gres = ",".join(f"gpu:{kind}:{count}" for kind, count in kinds.items())
    return (
        f"NodeName={node.name} NodeAddr={node.address} CPUs={cores * threads} Boards=1"
        f" SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore={threads}"
        f" RealMemory={memory_for_jobs(node)}{gres and f' Gres={gres}'} State=UNKNOWN"
    )


def _partition_line(partition: Partition, nodes: list[Node]) -> str:
    """One partition (2-40). A job that does not say gets its CPUs' share of the memory,
    because without a default it would get all of the node's."""
    share = min(
        memory_for_jobs(node) // (cores * threads) or 1  # 0 would mean all of it
        for node in nodes
        for cores, threads in (_cores_and_threads(node),)
    )
    for_gpus = " DefCpuPerGPU=1" if any(node.gpus for node in nodes) else ""  # 2-40
    return (
        f"PartitionName={partition.name} Nodes={','.join(node.name for node in nodes)}"
        f" Default={_yes(partition.default).upper()} DefaultTime={partition.default_time}"
        f" MaxTime={partition.max_time} DefMemPerCPU={share}{for_gpus} State=UP"
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
