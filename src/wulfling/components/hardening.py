"""Closes what a board does not need: kernel settings, modules that nobody uses, and a weekly look
at whether programs are still Debian's. The page "Safe by default" says what is left out."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

# After Debian's 99-protect-links.conf. It says nothing of ip_forward, which a head that is a
# router or the end of a tunnel sets to 1 (90-wulfling-*.conf).
SYSCTL_FILE = "/etc/sysctl.d/99-wulfling-hardening.conf"
SYSCTL_TEXT = """\
# Written by wulfling. A kernel that lacks one of these goes on with the others (sysctl.d(5)).

# Nobody on the network tells a board to send its packets another way; a router of ours does not
# either, because boards of one switch would then go past its firewall.
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv6.conf.default.accept_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.default.send_redirects = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.conf.default.accept_source_route = 0
net.ipv6.conf.all.accept_source_route = 0
net.ipv6.conf.default.accept_source_route = 0

# A packet from an address to which no way leads back is dropped, and told to the journal. Not 1: a
# board with cable and Wi-Fi in one network, or with a tunnel, is answered by another way.
net.ipv4.conf.all.rp_filter = 2
net.ipv4.conf.all.log_martians = 1
net.ipv4.conf.default.log_martians = 1

# Half-open connections by the thousand leave room for real ones, and a ping to all is not answered
# by all.
net.ipv4.tcp_syncookies = 1
net.ipv4.icmp_echo_ignore_broadcasts = 1
net.ipv4.icmp_ignore_bogus_error_responses = 1

# Addresses of the kernel and its messages are of use to whoever wants to become root.
kernel.kptr_restrict = 2
kernel.dmesg_restrict = 1
kernel.randomize_va_space = 2

# Programs for the kernel are root's business, as are line disciplines, which are modules full of
# old mistakes that any terminal could ask for.
kernel.unprivileged_bpf_disabled = 1
net.core.bpf_jit_harden = 2
dev.tty.ldisc_autoload = 0

# A keyboard or a serial line is no account.
kernel.sysrq = 0

# /tmp is everybody's: nobody gets another's link, file or pipe put under a program that is theirs.
fs.protected_hardlinks = 1
fs.protected_symlinks = 1
fs.protected_fifos = 2
fs.protected_regular = 2

# What a program of root had in memory is written nowhere; and ranks that a person asked for core
# files do not write over each other's.
fs.suid_dumpable = 0
kernel.core_uses_pid = 1
"""

# The kernel loads a network protocol when any user opens a socket of it, and a filesystem when
# somebody pushes a stick in. USB disks stay: homes and backups live on them, and boards start
# from them.
MODULES = {
    "network protocols that no program here speaks, and any user could have loaded": (
        *("dccp", "sctp", "rds", "tipc", "ax25", "netrom", "rose", "x25", "appletalk"),
    ),
    "a bus that reads and writes memory without asking": (
        *("firewire-core", "firewire-ohci", "firewire-sbp2"),
    ),
    "filesystems of other machines, read by old code that few have looked at": (
        *("cramfs", "freevxfs", "jffs2", "hfs", "hfsplus", "minix", "sysv", "ufs", "qnx4"),
    ),
}
MODULES_FILE = "/etc/modprobe.d/wulfling-hardening.conf"

LIMITS_FILE = "/etc/security/limits.d/wulfling.conf"
LIMITS_TEXT = """\
# Written by wulfling. A program that crashes leaves its memory on no disk unless its person asks.
* soft core 0
"""

NEEDRESTART_FILE = "/etc/needrestart/conf.d/wulfling.conf"
NEEDRESTART_TEXT = "$nrconf{restart} = 'l';\n"

# What no package brought, and debsums therefore cannot judge. auditd writes down what people change
# there; this finds what changed by whomever, daemons too. The list is made anew each time, so that
# a change is told once. Some hundred small files, against the whole card of a malware scanner.
AIDE_FILE = "/etc/aide/aide.conf"
AIDE_TEXT = """# Written by wulfling.
database_in=file:/var/lib/aide/aide.db
database_out=file:/var/lib/aide/aide.db.new
report_url=stdout
Looked = ftype+p+u+g+s+sha256
/etc Looked
/usr/local Looked
/root/\\.ssh Looked
/var/spool/cron Looked
"""

UNITS = "/etc/systemd/system"
CHECK = "wulfling-debsums"
# Everything is read once: at night of the board's own choosing, behind all that jobs do. aide(1)
# exits with up to 7 when something has changed, and debsums has to come after it in any case.
CHECK_TEXT = """[Unit]
Description=Are all programs those of their packages, and what else has changed? (wulfling)

[Service]
Type=oneshot
StateDirectory=aide
StateDirectoryMode=0700
WorkingDirectory=/var/lib/aide
ExecStart=-/bin/sh -c 'task=--update; [ -e aide.db ] || task=--init; \\
    aide --config=/etc/aide/aide.conf $$task; [ $$? -lt 8 ] && mv aide.db.new aide.db'
ExecStart=/usr/bin/debsums --changed --silent
Nice=19
IOSchedulingClass=idle
CPUSchedulingPolicy=idle
"""
TIMER_TEXT = """[Unit]
Description=Weekly: which files have changed? (wulfling)

[Timer]
OnCalendar=Sun *-*-* 03:00:00
RandomizedDelaySec=3h
Persistent=yes

[Install]
WantedBy=timers.target
"""

ISSUE_TEXT = """\
This system is private. Access is for authorized people alone, and is logged.
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The same on every board, unless the file says `hardening: false`."""
    if not cluster.hardening:
        return
    yield from _kernel()
    yield from _passwords()
    yield from _check(cluster)
    yield Directory(path=NEEDRESTART_FILE.rpartition("/")[0])
    yield File(
        path=NEEDRESTART_FILE,
        content=NEEDRESTART_TEXT,
        why="needrestart(1), which Ubuntu brings, names the daemons that run old libraries; it"
        " must not restart Slurm's under running jobs",
    )
    yield Block(
        path="/etc/issue",
        text=ISSUE_TEXT,
        why="at a screen or a serial line: in some countries nobody may be there who was not told",
    )


def _kernel() -> Iterator[Resource]:
    file = File(
        path=SYSCTL_FILE,
        content=SYSCTL_TEXT,
        why="sysctl.d(5): what the kernel refuses, a reason beside each",
    )
    yield file
    yield Service(
        unit="systemd-sysctl.service",
        configured=digest(file.content),
        watches=(file.key,),
        why="the kernel takes the settings now, and at each boot",
    )
    lines = ["# Written by wulfling. `sudo modprobe -i NAME` loads one all the same."]
    for reason, names in MODULES.items():
        lines += ["", f"# {reason[0].upper()}{reason[1:]}."]
        lines += [f"install {name} /bin/false" for name in names]
    yield File(
        path=MODULES_FILE,
        content="\n".join(lines) + "\n",
        why="modprobe.d(5): modules that nobody here needs are not loaded by themselves",
    )


def _passwords() -> Iterator[Resource]:
    """Accounts of ours have none. Those that a board came with do, and it opens their keyboard."""
    yield Packages(
        names=("libpam-passwdqc",), why="a password that is set on a board is none of the usual"
    )
    yield Block(
        path="/etc/login.defs",
        text="SHA_CRYPT_MIN_ROUNDS 65536\nSHA_CRYPT_MAX_ROUNDS 65536\n",
        why="login.defs(5): newusers and chgpasswd of Debian 12 hash with SHA-512, which a guesser"
        " computes 5000 times for each guess by default; PAM's passwd has a slower one",
    )
    yield File(
        path=LIMITS_FILE,
        content=LIMITS_TEXT,
        why="limits.conf(5): who looks for a mistake types `ulimit -c unlimited` before",
    )


def _check(cluster: Cluster) -> Iterator[Resource]:
    """A virtual board lives for an hour, and checks nothing."""
    yield Packages(
        names=("aide", "debsums"), why="compare files with their packages, and with last week's"
    )
    yield Directory(path=AIDE_FILE.rpartition("/")[0])
    yield File(
        path=AIDE_FILE, content=AIDE_TEXT, why="aide.conf(5): what no package brought, and changed"
    )
    service = File(
        path=f"{UNITS}/{CHECK}.service",
        content=CHECK_TEXT,
        why="debsums(1): a changed program is in the journal, and the unit has failed; aide(1):"
        " so is what changed in /etc since last week, which is no failure",
    )
    timer = File(path=f"{UNITS}/{CHECK}.timer", content=TIMER_TEXT, why="once a week")
    yield from (service, timer)
    yield Service(
        unit=f"{CHECK}.timer",
        enabled=not cluster.virtual,
        running=not cluster.virtual,
        configured="" if cluster.virtual else digest(service.content, timer.content),
        watches=() if cluster.virtual else (service.key, timer.key),
        why="a card that decays shows here as well as somebody who changed a program",
    )
