"""Slurm: the controller on the head, a daemon on every compute node, accounts and limits."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from wulfling.components.slurm_conf import TASK_PROLOG, cgroup_conf, gres_conf, slurm_conf
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.model.resource import Resource, digest
from wulfling.node.install import starter
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service
from wulfling.node.resources.slurm import Account, AccountingCluster, Association
from wulfling.node.self_check import PROGRAM as HEALTH_CHECK
from wulfling.node.self_check import Expected

SLURM_CONF = "/etc/slurm/slurm.conf"
CGROUP_CONF = "/etc/slurm/cgroup.conf"
GRES_CONF = "/etc/slurm/gres.conf"

# Debian 12's slurmd.service refuses to start without a local slurm.conf and never restarts;
# a board that boots before its controller would stay down.
SLURMD_DROP_IN = """[Unit]
ConditionPathExists=
After=munge.service network-online.target remote-fs.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=1
"""

SLURMCTLD_DROP_IN = """[Unit]
After=munge.service network-online.target slurmdbd.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=2
OOMScoreAdjust=-900
"""

# The controller reads the new gres.conf first, and a daemon that still has the old one is drained
# by it for the GPUs that it does not tell of, for good. The daemon that has just started tells.
GPUS_READY = """ls {devices}
reason=$(scontrol show node {node} | sed -n 's/^ *Reason=//p')
case $reason in
    gres/gpu*"reported lower"*) scontrol update nodename={node} state=resume ;;
esac
"""

# A task gets the environment of the shell that submitted it, and not every shell reads
# /etc/environment (sudo -i does not); what MPI has to know of this board comes from here.
TASK_PROLOG_TEXT = """#!/bin/sh
sed -n 's/^\\(UCX_[A-Z]*\\)="\\(.*\\)"$/export \\1=\\2/p' /etc/environment
"""
# ... and the same goes for what /etc/profile.d says of programs. A function in the environment
# is how Debian's modules.sh, too, hands `module` on to the shells that a login shell starts.
SOFTWARE_PROLOG_TEXT = """case ":$PATH:" in
    *:{software}/bin:*) ;;
    *) echo "export PATH={software}/bin:$PATH" ;;
esac
case ":${{MODULEPATH:-}}:" in
    *:{software}/modulefiles:*) ;;
    *)
        others=${{MODULEPATH:-/usr/share/modules/modulefiles}}
        echo "export MODULEPATH={software}/modulefiles:$others"
        echo 'export BASH_FUNC_module%%=() {{ eval "$(/usr/bin/modulecmd bash "$@")"; }}'
        ;;
esac
"""


def before(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The configuration, on the boards that keep a copy: the head and login nodes.

    Compute nodes fetch it from the controller at each start (configless_slurm.html), so it
    is the same everywhere (2-41) and a board that was away catches up by itself.
    """
    if _takes_part(cluster) and (node.name == cluster.head or _only_login(node)):
        yield Directory(path="/etc/slurm")
        yield from _configuration(cluster)


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Daemons by role, and on the head the accounts, people and limits of the file."""
    if not _takes_part(cluster):
        return
    if node.roles & {Role.HEAD, Role.COMPUTE, Role.LOGIN}:
        yield _packages(cluster, node, "slurm-client", "srun, sbatch, squeue")
        yield from _folders(cluster, node)
        yield from _pmix(cluster, node)
    if node.name == cluster.head:
        yield from _controller(cluster, node)
    if node.has(Role.COMPUTE):
        yield from _compute(cluster, node)


def _packages(cluster: Cluster, node: Node, name: str, why: str) -> Packages:
    """One of Slurm's packages. When one version goes to all boards, the head's daemons run it
    before any other board gets it: a slurmd that is newer than its controller is not understood
    (upgrades.html of Slurm)."""
    assert cluster.slurm
    later = cluster.slurm.build is not None and node.name != cluster.head
    return Packages(
        names=cluster.slurm.packages(node, name),
        versions=cluster.slurm.versions(node, name),
        awaits=(f"{cluster.head}/service:slurmctld.service",) if later else (),
        why=why,
    )


def _folders(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Slurm's own packaging makes no account, so they come with the account there."""
    assert cluster.slurm
    if cluster.slurm.build and cluster.slurm.build.repository(node.hardware):
        return
    yield Directory(path="/var/log/slurm", owner="slurm", group="slurm")
    yield Directory(path="/var/lib/slurm", owner="slurm", group="slurm")


def _pmix(cluster: Cluster, node: Node) -> Iterator[Packages | Link]:
    """What ranks of Open MPI find each other by, `srun --mpi=pmix`: Debian 12's plugin looks for
    its library under a name that the development package alone has. Other releases, and Slurm
    that was built anew, were not tried."""
    assert cluster.slurm
    hardware = node.hardware
    ours = cluster.slurm.build is not None and cluster.slurm.build.repository(hardware)
    if ours or hardware is None or hardware.os_codename != "bookworm" or not hardware.triplet:
        return
    yield Packages(names=("libpmix2",), why="starts programs that were built for Open MPI")
    yield Link(
        path=f"/usr/lib/{hardware.triplet}/pmix2/lib/libpmix.so",
        target="libpmix.so.2",
        why="the name under which Slurm's plugin looks for it",
    )


def _takes_part(cluster: Cluster) -> bool:
    """Nothing of Slurm is touched while the head, which keeps its key, cannot be reached."""
    return cluster.slurm is not None and cluster.secrets is not None


def _only_login(node: Node) -> bool:
    return node.has(Role.LOGIN) and not node.has(Role.COMPUTE)


def _configuration(cluster: Cluster) -> tuple[File, ...]:
    files = (
        File(path=SLURM_CONF, content=slurm_conf(cluster), why="slurm.conf(5) (2-36 to 2-40)"),
        File(path=CGROUP_CONF, content=cgroup_conf(cluster), why="cgroup.conf(5) (2-43)"),
        File(path=GRES_CONF, content=gres_conf(cluster), why="gres.conf(5): GPUs (2-65)"),
    )
    return tuple(file for file in files if file.content)


def _controller(cluster: Cluster, node: Node) -> Iterator[Resource]:
    assert cluster.slurm
    yield _packages(cluster, node, "slurmctld", "the controller")
    drop_in = _drop_in("slurmctld", SLURMCTLD_DROP_IN)
    yield from drop_in
    yield Directory(path="/var/lib/slurm/slurmctld", owner="slurm", group="slurm", mode=0o700)
    yield AccountingCluster(cluster=cluster.name, why="slurmdbd keeps accounts by cluster (2-48)")
    files = _configuration(cluster)
    yield Service(
        unit="slurmctld.service",
        configured=digest(
            *(file.content for file in (*files, drop_in[1])), *cluster.slurm.version_read
        ),
        watches=(*tuple(file.key for file in (*files, drop_in[1])), "service:munge.service"),
        ready=("scontrol", "ping"),
        why="the controller; running jobs survive its restart",
    )
    for account in dict.fromkeys(person.account for person in cluster.people):
        yield Account(
            account=account,
            description=f"{account} account",
            organization=cluster.name,
            why="people are charged to an account (2-48)",
        )
    for person in cluster.people:
        yield Association(
            user=person.name,
            account=person.account,
            limits=person.limits,
            why="without one, AccountingStorageEnforce answers `Invalid account` (2-49, 2-50)",
        )


def _compute(cluster: Cluster, node: Node) -> Iterator[Resource]:
    assert cluster.slurm
    yield _packages(cluster, node, "slurmd", "runs the jobs on this board")
    drop_in = _drop_in("slurmd", SLURMD_DROP_IN)
    yield from drop_in
    yield Directory(path="/var/lib/slurm/slurmd", owner="slurm", group="slurm")
    if node.name != cluster.head:
        yield Directory(path="/etc/slurm")
    yield File(
        path=TASK_PROLOG,
        content=_task_prolog(cluster),
        mode=0o755,
        why="slurm.conf(5), TaskProlog: what it prints joins the environment of each task",
    )
    yield File(
        path=HEALTH_CHECK,
        content=_health_check(cluster, node),
        mode=0o755,
        why="slurm.conf(5), HealthCheckProgram: drains this board with a reason when it is ill,"
        " and gives up jobs that a power cut has ended here",
    )
    local = node.name == cluster.head
    options = f"-N {node.name}" if local else f"-N {node.name} --conf-server {cluster.head}:6817"
    defaults = File(
        path="/etc/default/slurmd",
        content=f'SLURMD_OPTIONS="{options}"\n',
        why="where this daemon gets its configuration: the file here, or the controller",
    )
    yield defaults
    configuration = _configuration(cluster)
    texts = (*(file.content for file in configuration), defaults.content, SLURMD_DROP_IN)
    watched = [defaults.key, drop_in[1].key, "service:munge.service"]
    watched += [each.key for each in _pmix(cluster, node) if isinstance(each, Link)]
    if local:
        watched += [file.key for file in configuration]
    yield Service(
        unit="slurmd.service",
        configured=digest(*texts, *cluster.slurm.version_read),
        watches=tuple(watched),
        awaits=() if local else (f"{cluster.head}/service:slurmctld.service",),
        ready=_gpus_ready(node),
        why="takes jobs from the controller; running jobs survive its restart (KillMode=process)",
    )


def _gpus_ready(node: Node) -> tuple[str, ...]:
    devices = " ".join(gpu.device for gpu in node.gpus)
    return ("sh", "-ec", GPUS_READY.format(devices=devices, node=node.name)) if devices else ()


def _health_check(cluster: Cluster, node: Node) -> str:
    """The script. What it has to find on the board are its arguments; with --tell it says what is
    wrong and does nothing about it."""
    expected = Expected(
        mounts=tuple(share.path for share in cluster.storage if share.server != node.name),
        people=tuple((person.name, person.uid) for person in cluster.people),
        clock=node.name != cluster.head,
    )
    words = " ".join(map(shlex.quote, expected.words))
    return "#!/bin/sh\n" + starter("wulfling.node.self_check", words)


def _task_prolog(cluster: Cluster) -> str:
    if not cluster.software:
        return TASK_PROLOG_TEXT
    return TASK_PROLOG_TEXT + SOFTWARE_PROLOG_TEXT.format(software=cluster.software)


def _drop_in(unit: str, text: str) -> tuple[Directory, File]:
    directory = f"/etc/systemd/system/{unit}.service.d"
    return (
        Directory(path=directory),
        File(
            path=f"{directory}/wulfling.conf",
            content=text,
            why="boot order never matters, and a daemon that ends is started again",
        ),
    )
