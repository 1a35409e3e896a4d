"""The 25 illnesses of the issue and two more, each planted alone on real boards: doctor names the
cause first, blames no healthy node, and mends what a tool can mend."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from boards import Cluster

from wulfling.lab import board as lab_board
from wulfling.lab import lab as labs

pytestmark = pytest.mark.crash  # minutes, most of them of boards that mend

HEAD, WORKER, FILES = "rpnode01", "rpnode02", "filenode01"
Do = Callable[[Cluster], None]


@dataclass(frozen=True)
class Illness:
    """``plant`` is a shell script for ``node`` or what Python does; ``check`` the cause expected
    of ``subject`` (by default of ``node``). ``heal`` undoes it when ``--fix`` cannot."""

    name: str
    node: str
    plant: str | Do
    check: str
    subject: str = ""
    heal: str | Do = ""
    also: tuple[str, ...] = field(default=())  # words that have to be in the sentence or evidence

    @property
    def mends(self) -> bool:
        """Whether a tool can mend it."""
        return not self.heal


DROP_THE_KEY = (
    "ssh-keygen -q -t ed25519 -N '' -f /root/new; cd /etc/ssh;"
    " cp -p ssh_host_ed25519_key /root/old; cp -p ssh_host_ed25519_key.pub /root/old.pub;"
    # Our own way back: nobody gets in by ssh until then.
    " systemd-run -q --on-active=120 sh -c 'cp -p /root/old /etc/ssh/ssh_host_ed25519_key;"
    " cp -p /root/old.pub /etc/ssh/ssh_host_ed25519_key.pub; systemctl restart ssh';"
    " mv /root/new ssh_host_ed25519_key; mv /root/new.pub ssh_host_ed25519_key.pub;"
    " systemctl restart ssh"
)
OTHER_VERSION = (
    "for file in /usr/sbin/slurmd $(ls /usr/lib/*/slurm-wlm/libslurmfull.so); do"
    " sed 's/22\\.05\\.8/23.02.8/g' $file > $file.new; chmod --reference=$file $file.new;"
    " mv $file.new $file; done; systemctl restart slurmd"
)
HALF_INSTALLED = (
    "mkdir -p /root/half/DEBIAN; cd /root; printf 'Package: half\\nVersion: 1\\n"
    "Architecture: all\\nMaintainer: x <x@example.org>\\nDescription: half\\n'"
    " > half/DEBIAN/control;"
    " dpkg-deb -b half half.deb > /dev/null; dpkg --unpack half.deb > /dev/null"
)
NEW_FOLDER = "mv /nfs /nfs.old; mkdir /nfs; cp -a /nfs.old/. /nfs/; rm -rf /nfs.old; exportfs -f"
FULL = "fallocate -l $(($(df --output=avail -B1 / | tail -1) - 50000000)) "
FILLER = "/var/tmp/filler"  # somebody's, for all that a tool can know
DOWNLOAD = "/var/cache/apt/archives/filler_1_all.deb"
NO_INODES = (
    "truncate -s 8M /root/few; mke2fs -q -t ext4 -N 64 /root/few; mkdir -p /srv;"
    " mount -o loop /root/few /srv; i=0; while touch /srv/$i 2> /dev/null; do i=$((i + 1)); done"
)


def _stale(cluster: Cluster) -> None:
    """The worker alone has it mounted when the folder is made anew."""
    cluster.on(WORKER, "ls /nfs/ > /dev/null")
    cluster.on(HEAD, "ls /nfs/ > /dev/null; umount /nfs")
    cluster.on(FILES, NEW_FOLDER)


def _boot(cluster: Cluster, *kernel_words: str) -> None:
    """The worker's kernel starts again, with these words more on its command line."""
    name = cluster.file.read_text().split("cluster: ")[1].split("\n")[0]
    cluster.wulfling("lab", "cut", WORKER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_board, "KERNEL_WORDS", (*lab_board.KERNEL_WORDS, *kernel_words))
        labs.start(name, [WORKER], lambda line: None)
    cluster.on(WORKER, "rm -f /var/lib/wulfling/boots.json")  # this was no bad supply


def _copy_id(cluster: Cluster) -> None:
    number = cluster.on(HEAD, "cat /etc/machine-id").strip()
    cluster.on(
        WORKER, f"echo {number} > /etc/machine-id.new; mv /etc/machine-id.new /etc/machine-id"
    )


def _no_memory_controller(cluster: Cluster) -> None:
    cluster.on(WORKER, "sync")
    _boot(cluster, "cgroup_disable=memory")


def _checked_card(cluster: Cluster) -> None:
    """What e2fsck(8) does at the boot of a board with an initramfs, which a virtual one has not."""
    _boot(cluster)
    for value in ("error_count 0", "state 1"):
        cluster.on(WORKER, f"debugfs -w -R 'ssv {value}' /dev/ubda 2> /dev/null")
    cluster.on(WORKER, "cat /sys/fs/ext4/ubda/errors_count")


def _wait_for_the_key(cluster: Cluster) -> None:
    for _ in range(40):
        process = cluster.start("node", "shell", WORKER, "--", "true")
        process.communicate()
        if process.returncode == 0:
            return
        time.sleep(5)


ILLNESSES = (
    Illness("clock +10 min", WORKER, "date -s '+10 min' > /dev/null", "clock"),
    Illness(
        "munge key differs",
        WORKER,
        "head -c 128 /dev/urandom > /etc/munge/munge.key; systemctl restart munge",
        "munge",
    ),
    Illness(
        "munge was not restarted after its key was copied",
        WORKER,
        "cd /etc/munge; cp -p munge.key /root/; head -c 128 /dev/urandom > munge.key;"
        " systemctl restart munge; cat /root/munge.key > munge.key; rm /root/munge.key",
        "munge",
    ),
    Illness("munge stopped", WORKER, "systemctl stop munge", "munge"),
    Illness(
        "127.0.1.1 in hosts",
        WORKER,
        "sed -i '1i 127.0.1.1 rpnode02' /etc/hosts",
        "names",
        also=("127.0.1.1",),
    ),
    Illness(
        "uid mismatch",
        WORKER,
        "sed -i 's/^pi:x:2001:/pi:x:2345:/' /etc/passwd",
        "people",
        heal="sed -i 's/^pi:x:2345:/pi:x:2001:/' /etc/passwd",
        also=("2345",),
    ),
    Illness("NFS server off", FILES, "systemctl stop nfs-server", "export"),
    Illness(
        "export missing",
        FILES,
        "sed -i '/^.nfs /d' /etc/exports.d/wulfling.exports; exportfs -ra",
        "export",
    ),
    Illness("stale handle", WORKER, _stale, "mount", also=("stale",)),
    Illness("slurmd version mismatch", WORKER, OTHER_VERSION, "versions", also=("23.02.8",)),
    Illness(
        "RealMemory too high",
        HEAD,
        "sed -i '/^NodeName=rpnode02/s/RealMemory=[0-9]*/RealMemory=9000/' /etc/slurm/slurm.conf;"
        " scontrol reconfigure",
        "memory",
        subject=WORKER,
        also=("9000",),
    ),
    Illness("cgroup memory off", WORKER, _no_memory_controller, "cgroup", heal=_boot),
    Illness("disk full", WORKER, FULL + FILLER, "space", heal=f"rm {FILLER}", also=(FILLER,)),
    Illness("disk full of downloads", WORKER, FULL + DOWNLOAD, "space", also=(DOWNLOAD,)),
    Illness(
        "inode exhaustion",
        WORKER,
        NO_INODES,
        "space",
        heal="umount /srv; rm /root/few",
        also=("inodes",),
    ),
    Illness("apt half-installed", WORKER, HALF_INSTALLED, "packages", also=("half",)),
    Illness(
        "duplicate machine-id",
        WORKER,
        _copy_id,
        "machine-id",
    ),
    Illness("wrong host key", WORKER, DROP_THE_KEY, "identity", heal=_wait_for_the_key),
    Illness("slurmdbd down", HEAD, "systemctl stop slurmdbd", "accounting"),
    Illness("MariaDB down", HEAD, "systemctl stop mariadb", "database"),
    Illness(
        "association missing",
        HEAD,
        "sacctmgr -i delete user pi account=compute > /dev/null",
        "association",
        also=("Invalid account",),
    ),
    Illness(
        "node drained by hand",
        HEAD,
        "scontrol update nodename=rpnode02 state=drain reason='a new fan'",
        "node",
        subject=WORKER,
        heal="scontrol update nodename=rpnode02 state=resume",
        also=("a new fan", "root"),
    ),
    Illness(
        "partition down",
        HEAD,
        "scontrol update partitionname=batch state=down",
        "partition",
        subject="the cluster",
    ),
    Illness(
        "configless server unreachable",
        WORKER,
        "sed -i s/:6817/:6818/ /etc/default/slurmd; systemctl restart slurmd",
        "configless",
    ),
    Illness(
        "DNS dead",
        WORKER,
        "echo 'nameserver 10.0.0.99' > /etc/resolv.conf",
        "dns",
        heal=": > /etc/resolv.conf",
    ),
    Illness(
        "sshd, keys only, finds a mode that is too open",
        WORKER,
        "chmod 0777 /var/local/wulfling/.ssh",
        "login",
        also=("/var/local/wulfling/.ssh",),
    ),
    # Last, because the board has to be switched off and on.
    Illness(
        "ext4 gave up and still shows rw",
        WORKER,
        "mount -o remount,errors=remount-ro /; echo 1 > /sys/fs/ext4/ubda/trigger_fs_error;"
        " grep -q ' / ext4 rw' /proc/mounts",
        "disk",
        heal=_checked_card,
    ),
)


def do(cluster: Cluster, node: str, what: str | Do) -> None:
    """Plant or heal."""
    if callable(what):
        what(cluster)
    elif what:
        cluster.on(node, what)


def doctor(cluster: Cluster, *words: str, code: int) -> dict[str, Any]:
    """What doctor says as JSON."""
    said: dict[str, Any] = json.loads(cluster.wulfling("doctor", *words, "-o", "json", code=code))
    return said


def test_a_healthy_cluster_is_silent(cluster: Cluster) -> None:
    cluster.wait_idle()
    assert cluster.wulfling("doctor") == ""
    assert doctor(cluster, code=0) == {"findings": [], "mended": [], "failed": []}


@pytest.mark.parametrize("illness", ILLNESSES, ids=lambda illness: illness.name)
def test_the_cause_is_named_and_mended(cluster: Cluster, illness: Illness) -> None:
    for node in (HEAD, WORKER):  # each alone: who falls ill three times in an hour stays drained
        cluster.on(node, "rm -f /run/wulfling-health.json")
    do(cluster, illness.node, illness.plant)
    try:
        found = doctor(cluster, code=4)["findings"]
        told = [(cause["subject"], cause["check"]) for cause in found]
        subject = illness.subject or illness.node
        if subject == "the cluster":
            subject = found[0]["subject"]
            assert subject not in (HEAD, WORKER, FILES)
        assert told == [(subject, illness.check)], json.dumps(found, indent=1)
        words = " ".join([found[0]["words"], *found[0]["evidence"]])
        assert [word for word in illness.also if word not in words] == []
        done = doctor(cluster, "--fix", code=0 if illness.mends else 4)
        if illness.mends:
            assert (subject, illness.check) in [(c["subject"], c["check"]) for c in done["mended"]]
            assert done["failed"] == []
        else:
            assert [cause["cannot"] for cause in done["findings"] if not cause["cannot"]] == []
    finally:
        do(cluster, illness.node, illness.heal)
    if not illness.mends:  # a drain by the health check ends by itself, minutes later
        for node in (HEAD, WORKER):
            cluster.on(node, "/etc/slurm/health-check; /etc/slurm/health-check")
    cluster.wait_idle(240)
    _quiet(cluster)


def _quiet(cluster: Cluster) -> None:
    """Doctor has nothing more to say, at the latest when Slurm has noticed."""
    for _ in range(10):
        process = cluster.start("doctor")
        out, _ = process.communicate()
        if process.returncode == 0:
            return
        time.sleep(5)
    pytest.fail(out)


def test_doctor_explains_a_job(cluster: Cluster) -> None:
    job = cluster.pi("sbatch --parsable --hold -o /dev/null --wrap true").strip()
    try:
        said = cluster.wulfling("doctor", "job", job, code=4)
        assert "its owner holds it" in said
    finally:
        cluster.pi(f"scancel {job}")


def test_doctor_explains_how_jobs_end(cluster: Cluster) -> None:
    hog = "python3 -c 'x = bytearray(300 << 20); print(len(x))'"
    job = cluster.pi(f'sbatch --parsable --mem=64 -o /dev/null --wrap "{hog}"').strip()
    assert cluster.state(job) == "OUT_OF_MEMORY"
    said = cluster.wulfling("doctor", "job", job, code=4)
    assert "more memory than it had asked for" in said
    assert "64M" in said
    first = cluster.pi("sbatch --parsable -c 3 --mem=20 -o /dev/null --wrap 'sleep 90'").strip()
    second = cluster.pi("sbatch --parsable -c 2 --mem=20 -o /dev/null --wrap 'sleep 1'").strip()
    time.sleep(3)
    said = cluster.wulfling("doctor", "job", second, code=4)
    cluster.pi(f"scancel {first} {second}")
    assert "limit of CPUs" in said
    assert cluster.wulfling("doctor", "job", "999999", code=1).startswith("job 999999")
