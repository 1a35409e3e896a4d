"""The slurm.conf keys that wulfling answers for, so that ``extra:`` cannot contradict them."""

from __future__ import annotations

# Three kinds, in this order: what the component writes; the lines that are made from
# `nodes:` and `partitions:`; older or second names by which slurm.conf(5) would take the
# same settings, and settings that break Debian's packages (PluginDir is fatal there).
OWNED_KEYS = frozenset(
    """
    AccountingStorageEnforce AccountingStorageHost AccountingStorageTRES AccountingStorageType
    AuthInfo AuthType ClusterName GresTypes HealthCheckInterval HealthCheckNodeState
    HealthCheckProgram
    JobAcctGatherFrequency JobAcctGatherType JobCompLoc JobCompType MailProg MpiDefault
    ProctrackType PropagateResourceLimitsExcept ReturnToService SchedulerType SelectType
    SelectTypeParameters SlurmUser SlurmctldHost SlurmctldLogFile SlurmctldParameters
    SlurmctldPidFile SlurmctldTimeout SlurmdLogFile SlurmdParameters SlurmdPidFile
    SlurmdSpoolDir SlurmdTimeout StateSaveLocation TaskPlugin TaskProlog

    DownNodes FrontendName Include NodeName NodeSet Nodes PartitionName SwitchName

    AccountingStorageBackupHost AccountingStoragePass AccountingStoragePort
    AccountingStorageUser BackupAddr BackupController ControlAddr ControlMachine CryptoType
    PluginDir PropagateResourceLimits SlurmctldAddr SlurmctldPort SlurmdPort SlurmdUser
    """.split()
)

_FOLDED = frozenset(key.lower() for key in OWNED_KEYS)


def owned(key: str) -> bool:
    """Whether wulfling writes ``key`` itself. Slurm reads its keys without regard to case."""
    return key.lower() in _FOLDED
