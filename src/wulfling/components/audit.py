"""Writes down who came in, and who changed what decides about a board: accounts, sudo, sshd, keys.

Jobs and daemons are not looked at, because each of their system calls would pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

RULES_FILE = "/etc/audit/rules.d/wulfling.rules"

# The size is the package's: five files of 8 MB, and on a full disk it is the log that waits.
RULES_TEXT = """\
# Written by wulfling. `sudo ausearch -i -k logins` shows what the lines that end so have kept.

# Whoever makes more events than the disk takes loses some of them, and is not held up.
--backlog_wait_time 0

# What nobody logged in for is not looked at, from its first system call on: jobs and daemons.
-a never,task -F auid=unset

# Each timer and each connection would fill the log with what the journal and the next lines have.
-a always,exclude -F msgtype=SERVICE_START
-a always,exclude -F msgtype=SERVICE_STOP
-a always,exclude -F msgtype=BPF
-a always,exclude -F msgtype=CRYPTO_KEY_USER
-a always,exclude -F msgtype=CRED_ACQ
-a always,exclude -F msgtype=CRED_REFR
-a always,exclude -F msgtype=CRED_DISP

# Who there is, who may become root, who gets in, and what starts by itself.
-w /etc/passwd -p wa -k accounts
-w /etc/shadow -p wa -k accounts
-w /etc/group -p wa -k accounts
-w /etc/sudoers -p wa -k root
-w /etc/sudoers.d -p wa -k root
-w /etc/pam.d -p wa -k logins
-w /etc/ssh -p wa -k logins
-w /etc/systemd/system -p wa -k units
-w /etc/audit -p wa -k audit

# What opens the cluster: also who reads it, for a key that was read is a key that is known.
-w /etc/munge -p rwa -k keys
-w /var/lib/wulfling/secrets -p rwa -k keys
-w /etc/slurm -p wa -k slurm

# What becomes a part of the kernel.
-a always,exit -F arch=@ARCH@ -S init_module,finit_module,delete_module -k modules
"""

# Debian 13 loads the rules by a unit of their own, without which the daemon does not start.
DROP_INS = tuple(
    f"/etc/systemd/system/{unit}.service.d/wulfling.conf" for unit in ("auditd", "audit-rules")
)
CONDITION = "[Unit]\nConditionSecurity=audit\n"


def before(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The package starts the daemon, and on a kernel without audit it would fail."""
    if not cluster.hardening:
        return
    for path in DROP_INS:
        yield Directory(path=path.rpartition("/")[0])
        yield File(
            path=path,
            content=CONDITION,
            why="systemd.unit(5): not every kernel of a small board can do it; without it the"
            " unit is skipped, and has not failed",
        )


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The same on every board, unless the file says `hardening: false`."""
    if not cluster.hardening:
        return
    yield Packages(names=("auditd",), why="writes down what the kernel is told to look at")
    rules = File(
        path=RULES_FILE,
        content=RULES_TEXT.replace("@ARCH@", _arch(node)),
        mode=0o640,
        why="auditctl(8): logins, keys and what decides about them; not what jobs do",
    )
    yield rules
    yield Service(
        unit="auditd.service",
        configured=digest(rules.content, CONDITION),
        watches=(rules.key, *(f"{File.kind}:{path}" for path in DROP_INS)),
        conditional=True,
        why="loads the rules, and writes /var/log/audit/audit.log",
    )


def _arch(node: Node) -> str:
    """How auditctl(8) calls the system calls of the board's own programs."""
    assert node.hardware
    return "b32" if node.hardware.arch in ("armhf", "armel", "i386") else "b64"
