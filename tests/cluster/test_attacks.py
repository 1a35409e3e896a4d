"""Attacks, each refused, let in once its protection is taken away, and refused again.

A drill that nobody could pass proves nothing; so each says which protection keeps its attacker out.
The attackers: a board on the same network that is no node (``stranger``), a member user (kim), and
root on a compute board. What is not defended is in docs/explanation/safe-by-default.md.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from boards import Cluster, cluster_file, own_lab

from wulfling.transport import pins

pytestmark = pytest.mark.crash

HEAD, WORKER, FILES, STRANGER = "rpnode01", "rpnode02", "filenode01", "stranger"
NAME = "test-attacks"
STRANGERS_LINE = "  stranger: {address: 10.0.0.9, roles: [compute]}\n"
KIM = "  kim: {uid: 2002, account: compute}\n"
Do = Callable[["Drills"], None]


@dataclass(frozen=True)
class Drills:
    """A cluster of three boards, and the network's fourth, which is none of its nodes."""

    cluster: Cluster
    network: Cluster

    def on(self, node: str, script: str, *, person: str = "root") -> str:
        """What a script printed on a node, or on the stranger."""
        return (self.network if node == STRANGER else self.cluster).on(node, script, person=person)

    def gets_in(self, drill: Drill) -> bool:
        """Whether the attack works now; what it said is for who reads a failure."""
        attack = f"if ( {drill.attack}\n ) > ~/said 2>&1 < /dev/null; then echo in; fi; cat ~/said"
        said = self.on(drill.attacker, attack, person=drill.person)
        print(f"{drill.name}: {said}")
        return said.startswith("in\n")

    def comes_to(self, drill: Drill, wanted: bool) -> bool:
        """The same, with patience: NFS clients and slurmctld remember for a while who may what."""
        for _ in range(20):
            if self.gets_in(drill) == wanted:
                return True
            time.sleep(4)
        return False


@dataclass(frozen=True)
class Drill:
    """``attack`` is a shell script that ends with 0 when the attacker has what it wants.
    ``without`` takes the protection away at ``guard``, ``back`` brings it back there."""

    name: str
    attacker: str
    person: str
    attack: str
    guard: str
    without: str | Do
    back: str | Do


def _script(program: str) -> str:
    return f"python3 -c {shlex.quote(program)}"


def _leak_the_munge_key(drills: Drills) -> None:
    key = drills.on(HEAD, "base64 -w0 /etc/munge/munge.key")
    drills.on(
        STRANGER,
        f"cp -p /etc/munge/munge.key /root/own; base64 -d <<<{key} > /etc/munge/munge.key;"
        " systemctl restart munge",
    )


def _own_munge_key(drills: Drills) -> None:
    drills.on(STRANGER, "mv /root/own /etc/munge/munge.key; systemctl restart munge")


ROOT_GETS_IN = "/etc/ssh/sshd_config.d/00-root.conf"


def _key_of_a_board_in_roots_home(drills: Drills) -> None:
    """The habit of guide 001: every board's key in every authorized_keys (S12). sshd lets no root
    in by any key, so that goes as well."""
    key = drills.on(
        WORKER, "test -e ~/.ssh/id || ssh-keygen -qN '' -f ~/.ssh/id; cat ~/.ssh/id.pub"
    )
    drills.on(HEAD, f"install -d -m 700 ~/.ssh; echo '{key.strip()}' > ~/.ssh/authorized_keys")
    drills.on(HEAD, f"echo 'PermitRootLogin yes' > {ROOT_GETS_IN}; systemctl restart ssh")


def _no_memory_limit(drills: Drills) -> None:
    drills.on(HEAD, "sed -i s/ConstrainRAMSpace=yes/ConstrainRAMSpace=no/ /etc/slurm/cgroup.conf")
    _slurm_reads_anew(drills)


def _as_the_file_says(drills: Drills) -> None:
    drills.cluster.wulfling("apply", "-y")
    _slurm_reads_anew(drills)


def _no_list_of_processes(drills: Drills) -> None:
    """Slurm then ends a job's process group, and whoever left it goes on."""
    drills.on(HEAD, "sed -i s,proctrack/cgroup,proctrack/pgid, /etc/slurm/slurm.conf")
    _slurm_reads_anew(drills)


def _list_of_processes(drills: Drills) -> None:
    drills.on(WORKER, "pkill -u kim || true")
    _as_the_file_says(drills)


def _slurm_reads_anew(drills: Drills) -> None:
    drills.on(HEAD, "systemctl restart slurmctld slurmd")
    drills.on(WORKER, "systemctl restart slurmd")
    drills.cluster.wait_idle()


def _again(drills: Drills) -> None:
    drills.cluster.wulfling("apply", "-y")


NOBODY_KNOWN = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
BY_PASSWORD = (
    "export SSH_ASKPASS=/root/password SSH_ASKPASS_REQUIRE=force;"
    f" timeout 60 ssh {NOBODY_KNOWN} -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1"
    " pi@10.0.0.2 true"
)
# Whoever is in a job may try this, and then take 200 MiB where 48 were asked for.
BURST = _script(
    """
import os
place = "/sys/fs/cgroup" + open("/proc/self/cgroup").read().strip().split("::")[1]
while place != "/sys/fs/cgroup":
    try:
        open(place + "/memory.max", "w").write("max")
    except OSError as error:
        print(error)
    place = os.path.dirname(place)
print(len(b"x" * (200 << 20)))
"""
)
# A bomb that counts: it is in with so many processes alive at once.
BOMB = """
for _ in {1..500}; do sleep 300 & done
sleep 2
test $(jobs -rp | wc -l) = 500
"""
LEAVER = "setsid sleep 987 > /dev/null 2>&1 & sleep 2"
# slurmctld has to find out by itself that the caller is not who the job says.
LIAR = """
cat > ~/liar.c <<'EOF'
unsigned getuid(void) { return 2001; }
unsigned geteuid(void) { return 2001; }
EOF
gcc -shared -fPIC -o ~/liar.so ~/liar.c
LD_PRELOAD=$HOME/liar.so sbatch -o /dev/null --wrap true ||
    sudo -n -u pi sbatch -o /dev/null --wrap true
"""

DRILLS = (
    Drill(
        "a stranger mounts the homes (S1)",
        *(STRANGER, "root"),
        "timeout 30 mount -t nfs4 -o soft,timeo=50,retrans=1 10.0.0.3:/home /mnt && umount /mnt",
        FILES,
        "exportfs -o rw,sync,no_subtree_check '*:/home'",
        "exportfs -u '*:/home'",
    ),
    Drill(
        "a stranger asks what is exported",
        *(STRANGER, "root"),
        "timeout 30 showmount -e 10.0.0.3",
        FILES,
        "sed -i s/vers3=n/vers3=y/ /etc/nfs.conf.d/wulfling.conf;"
        " rm /etc/systemd/system/nfs-mountd.service.d/wulfling.conf; systemctl daemon-reload;"
        " systemctl unmask rpcbind.service rpcbind.socket; systemctl start rpcbind.socket;"
        " systemctl restart nfs-mountd nfs-server",
        _again,
    ),
    Drill(
        "a stranger speaks to slurmctld without the munge key (S19)",
        *(STRANGER, "root", "timeout 60 sinfo", STRANGER),
        _leak_the_munge_key,
        _own_munge_key,
    ),
    Drill(
        "a stranger speaks to slurmdbd without the munge key (S19)",
        *(STRANGER, "root", "timeout 60 sacctmgr -n list user | grep pi", STRANGER),
        _leak_the_munge_key,
        _own_munge_key,
    ),
    Drill(
        "a stranger reaches the database (S15)",
        *(STRANGER, "root"),
        "timeout 10 bash -c 'exec 3<> /dev/tcp/10.0.0.1/3306'",
        HEAD,
        "sed -i s/127.0.0.1/0.0.0.0/ /etc/mysql/mariadb.conf.d/99-wulfling.cnf;"
        " systemctl restart mariadb",
        _again,
    ),
    Drill(
        "a stranger knows a password (S9, S10)",
        *(STRANGER, "root", BY_PASSWORD, WORKER),
        "echo PasswordAuthentication yes > /etc/ssh/sshd_config.d/00-open.conf;"
        " systemctl reload ssh",
        "rm /etc/ssh/sshd_config.d/00-open.conf; systemctl reload ssh",
    ),
    Drill(
        "a credential of munge is used twice",
        *(HEAD, "root"),
        "munge -n > ~/once; unmunge < ~/once; test ! -e /run/forget || systemctl restart munge;"
        " sleep 1; unmunge < ~/once",
        *(HEAD, "touch /run/forget", "rm /run/forget"),
    ),
    Drill(
        "a user reads the munge key (S18)",
        *(WORKER, "kim", "cat /etc/munge/munge.key", WORKER),
        "chmod 755 /etc/munge; chmod 644 /etc/munge/munge.key",
        "chmod 400 /etc/munge/munge.key; chmod 700 /etc/munge",
    ),
    Drill(
        "a user reads how slurmdbd gets into the database (S15)",
        *(HEAD, "kim", "cat /etc/slurm/slurmdbd.conf", HEAD),
        "chmod 644 /etc/slurm/slurmdbd.conf",
        "chmod 600 /etc/slurm/slurmdbd.conf",
    ),
    Drill(
        "a user writes into the home of another (S3)",
        *(WORKER, "kim", "touch /home/pi/planted", FILES),
        "chmod 777 /home/pi",
        "rm -f /home/pi/planted; chmod 711 /home/pi",
    ),
    Drill(
        "a user plants a program that makes others act as its owner (S2)",
        *(WORKER, "kim", 'test "$(/home/pi/planted-id -u)" = 2001', WORKER),
        "mount -o remount,suid /home",
        "mount -o remount,nosuid /home",
    ),
    Drill(
        "a job takes more memory than it asked for",
        *(HEAD, "kim", f"srun --mem=48M -w {WORKER} {BURST}", HEAD),
        _no_memory_limit,
        _as_the_file_says,
    ),
    Drill(
        "a fork bomb takes a board",
        *(HEAD, "kim", f"srun --mem=48M -w {WORKER} bash -c {shlex.quote(BOMB)}", HEAD),
        _no_memory_limit,
        _as_the_file_says,
    ),
    Drill(
        "a fork bomb outlives its job",
        *(HEAD, "kim"),
        f"srun -w {WORKER} bash -c '{LEAVER}'; srun -w {WORKER} pgrep -xf 'sleep 987'",
        HEAD,
        _no_list_of_processes,
        _list_of_processes,
    ),
    Drill(
        "a user drains a board and lifts a limit",
        *(HEAD, "kim"),
        f"scontrol update nodename={WORKER} state=drain reason=mine"
        " || sacctmgr -i modify user kim set maxjobs=99",
        HEAD,
        "sacctmgr -i modify user kim set adminlevel=Admin",
        "sacctmgr -i modify user kim set adminlevel=None;"
        f" scontrol update nodename={WORKER} state=resume",
    ),
    Drill(
        "a user submits as somebody else",
        *(HEAD, "kim", LIAR, HEAD),
        "echo 'kim ALL=(pi) NOPASSWD: ALL' > /etc/sudoers.d/hole",
        "rm /etc/sudoers.d/hole",
    ),
    Drill(
        "a job reads the card of its board (S21)",
        *(HEAD, "kim", f"srun -w {WORKER} head -c 512 /dev/ubda", WORKER),
        "chmod 666 /dev/ubda",
        "chmod 660 /dev/ubda",
    ),
    Drill(
        "a user reads the script of another's job",
        *(HEAD, "kim"),
        "scontrol write batch_script $(squeue -h -n secrets -o %i) - | grep password",
        HEAD,
        "sacctmgr -i modify user kim set adminlevel=Operator",
        "sacctmgr -i modify user kim set adminlevel=None",
    ),
    Drill(
        "root of a board is root of the file server (S2)",
        *(WORKER, "root", "touch /home/pi/by-root && rm /home/pi/by-root", FILES),
        # A client remembers who may what in a folder until the folder changes.
        "exportfs -o rw,sync,no_root_squash,no_subtree_check 10.0.0.2:/home; chmod 710 /home/pi",
        "exportfs -r; chmod 700 /home/pi",
    ),
    Drill(
        "root of a board reads the controller's state (S12)",
        *(WORKER, "root"),
        "ssh -i ~/.ssh/id -o BatchMode=yes rpnode01 ls /var/lib/slurm/slurmctld/job_state",
        *(
            HEAD,
            _key_of_a_board_in_roots_home,
            f"rm ~/.ssh/authorized_keys {ROOT_GETS_IN}; systemctl restart ssh",
        ),
    ),
)

# passwd(1) would not take one that everybody knows.
KNOWN_PASSWORD = "usermod -p \"$(perl -e 'print crypt(q(letmein), q($6$drill$))')\" pi"

STRANGERS_TOOLS = """
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install --no-install-recommends nfs-common munge slurm-client >/dev/null
printf '#!/bin/sh\\necho letmein\\n' > /root/password
chmod 700 /root/password
grep -q rpnode01 /etc/hosts || echo "10.0.0.1 rpnode01
10.0.0.2 rpnode02
10.0.0.3 filenode01" >> /etc/hosts
install -d /etc/slurm
base64 -d <<<{conf} > /etc/slurm/slurm.conf
"""


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drills]:
    """Boards with what the attackers found or made before they attack."""
    file = cluster_file(tmp_path_factory.mktemp("attacks"), NAME)
    ours = file.read_text() + KIM
    storage = "  filenode01: {address: 10.0.0.3, roles: [storage]}\n"
    assert storage in ours
    everyone = file.with_name("network.yaml")
    everyone.write_text(ours.replace(storage, storage + STRANGERS_LINE))
    file.write_text(ours)
    with own_lab(everyone) as network:
        drills = Drills(Cluster(file), network)
        drills.cluster.wulfling("apply", "-y")
        drills.cluster.wait_idle()
        conf = drills.on(HEAD, "base64 -w0 /etc/slurm/slurm.conf")
        drills.on(STRANGER, STRANGERS_TOOLS.format(conf=conf))
        drills.on(WORKER, KNOWN_PASSWORD)
        drills.on(WORKER, "cp /usr/bin/id ~/planted-id; chmod 4755 ~/planted-id", person="pi")
        drills.on(FILES, "chmod 711 /home/pi")
        secret = "sbatch -H -J secrets -o /dev/null --wrap 'echo password'"
        drills.on(HEAD, f"squeue -h -n secrets | grep . || {secret}", person="pi")
        yield drills


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_refused_and_only_by_its_protection(drills: Drills, drill: Drill) -> None:
    """Issue 5: a test that would fail if the protection were taken away, and takes it away."""
    assert not drills.gets_in(drill)
    _do(drills, drill.guard, drill.without)
    try:
        assert drills.comes_to(drill, True), "it does not get in without its protection either"
    finally:
        _do(drills, drill.guard, drill.back)
    assert drills.comes_to(drill, False)


def _do(drills: Drills, node: str, what: str | Do) -> None:
    if callable(what):
        what(drills)
    else:
        drills.on(node, what)


def test_a_fork_bomb_ends_with_its_job(drills: Drills) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; sleep 30"
    script = f"srun --mem=48M -t 1 -w {WORKER} bash -c {shlex.quote(bomb)} 2>&1 | tail -3 || true"
    drills.on(HEAD, script, person="kim")
    assert drills.on(WORKER, "echo here") == "here\n"
    drills.cluster.wait_idle(180)
    assert drills.on(WORKER, "pgrep -u kim || echo none") == "none\n"


def test_another_board_under_the_address_of_a_node(drills: Drills) -> None:
    """A man in the middle: the pinned key tells, and nothing is sent to it (F31). Where his own key
    is pinned, he is believed and gets the program that runs as root."""
    drills.cluster.wulfling("lab", "cut", WORKER)
    card = drills.on(STRANGER, "ip -o address show to 10.0.0.9 | awk '{print $2}'").strip()
    drills.on(STRANGER, f"ip address add 10.0.0.2/24 dev {card}")
    nodes_own = pins.pinned(NAME, "10.0.0.2")
    try:
        refused_by_its_key(drills)
        before = sent_to_the_stranger(drills)
        pins.pin(NAME, "10.0.0.2", pins.pinned(NAME, "10.0.0.9"))
        drills.cluster.start("plan").communicate(timeout=300)
        assert sent_to_the_stranger(drills) > before, (
            "it gets nothing without the pinned key either"
        )
        pins.pin(NAME, "10.0.0.2", nodes_own)
        refused_by_its_key(drills)
    finally:
        pins.pin(NAME, "10.0.0.2", nodes_own)
        drills.on(STRANGER, f"ip address del 10.0.0.2/24 dev {card}")
        drills.cluster.wulfling("lab", "up", WORKER)
    drills.cluster.wait_idle()


def refused_by_its_key(drills: Drills) -> None:
    """`plan` ends with 8, names the node, and the stranger gets nothing."""
    before = sent_to_the_stranger(drills)
    for _ in range(10):  # the network has to notice first that the old board is gone: 3
        process = drills.cluster.start("plan")
        _, said = process.communicate(timeout=300)
        if process.returncode != 3:
            break
    assert process.returncode == 8, said
    assert WORKER in said
    assert sent_to_the_stranger(drills) == before


def sent_to_the_stranger(drills: Drills) -> int:
    """How often its sudo was asked to start the node program."""
    return int(drills.on(STRANGER, "journalctl -t sudo | grep -c sys.stdin.buffer || :"))


def test_nothing_is_left_of_it(drills: Drills) -> None:
    drills.on(FILES, "chmod 700 /home/pi; rm /home/pi/planted-id")
    drills.cluster.wulfling("plan")
    assert drills.cluster.wulfling("doctor") == ""
