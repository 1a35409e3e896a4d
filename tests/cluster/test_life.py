"""A cluster's life: nodes rest, fall ill and start anew, come, go and are replaced, while people's
jobs go on. No job is lost and none runs twice."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from boards import Cluster, cluster_file, own_lab

from wulfling.transport import pins

pytestmark = pytest.mark.crash

NAME = "test-life"
FILL = """
free=$(($(stat -f -c '%a * %S' /) / 1048576 - 200))
fallocate -l ${free}M /var/full
"""
TWO_ROUNDS = "/etc/slurm/health-check; /etc/slurm/health-check"


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Boards of their own: some of them come and go."""
    with own_lab(cluster_file(tmp_path_factory.mktemp("life"), NAME)) as cluster:
        cluster.wulfling("apply", "-y")
        cluster.wait_idle()
        yield cluster


def state_of(cluster: Cluster, node: str) -> str:
    """State and reason as Slurm has them."""
    return cluster.on("rpnode01", f"sinfo -hN -n {node} -o '%T %E'").strip()


def test_a_drained_node_ends_its_job_and_takes_no_other(living: Cluster) -> None:
    wait = "rm -f go; sbatch --parsable -w rpnode02 --mem=20 -o /dev/null --wrap"
    job = living.pi(f"{wait} 'until [ -e go ]; do sleep 1; done'").strip()
    living.on("rpnode01", f"until squeue -h -j {job} -t running | grep .; do sleep 0.2; done")
    said = living.wulfling("node", "drain", "rpnode02", "--reason", "new fan, says kim")
    assert said == f"rpnode02: drained once these are done, 1 job: {job}\n"
    assert state_of(living, "rpnode02") == "draining new fan, says kim"
    living.pi("touch go")
    assert living.state(job) == "COMPLETED"
    assert state_of(living, "rpnode02") == "drained new fan, says kim"
    living.wulfling("node", "resume", "rpnode02")
    assert state_of(living, "rpnode02") == "idle none"


def test_a_board_that_falls_ill_rests_until_it_is_well(living: Cluster) -> None:
    living.on("rpnode02", FILL + TWO_ROUNDS)
    assert state_of(living, "rpnode02").startswith("drained health: its disk is full: ")
    living.on("rpnode02", f"rm /var/full; {TWO_ROUNDS}")
    assert state_of(living, "rpnode02") == "idle none"


def test_a_board_starts_anew_after_its_job(living: Cluster) -> None:
    job = living.pi("sbatch --parsable -w rpnode02 --mem=20 -o /dev/null --wrap 'sleep 3'").strip()
    boot = living.on("rpnode02", "cat /proc/sys/kernel/random/boot_id")
    (found,) = json.loads(living.wulfling("node", "reboot", "rpnode02", "-y", "-o", "json"))
    assert (found["node"], found["again"]) == ("rpnode02", True)
    assert living.on("rpnode02", "cat /proc/sys/kernel/random/boot_id") != boot
    assert living.state(job) == "COMPLETED"
    assert state_of(living, "rpnode02") == "idle none"


# The long part: fifty jobs, and everything that can happen to boards meanwhile.

JOBS = 50
SECONDS = int(os.environ.get("WULFLING_JOB_SECONDS", "120"))

# A file for each beginning and each end, because two boards that append to one file over NFS
# may write over each other. The queue is to outlast the upgrade on the slowest machine, and no
# fast one is to wait for it: jobs end early once the file "enough" is there.
JOB = f"""#!/bin/bash
#SBATCH --mem=20 -c 2 -o /dev/null --requeue
mktemp -q ledger/$SLURM_JOB_ID.began.XXXXXX
for _ in $(seq {SECONDS}); do [ ! -e enough ] || break; sleep 1; done
mktemp -q ledger/$SLURM_JOB_ID.ended.XXXXXX
"""

# Packages that are newer by a version number: all of Slurm's, and one that is nobody's.
NEWER = r"""
out=/nfs/repository; new=/root/new; rm -rf $new; mkdir $new; cd $new
echo 'deb [trusted=yes] file:/nfs/repository ./' > /etc/apt/sources.list.d/newer.list
names=$(dpkg-query -W -f='${Package} ${source:Package}\n' | awk '$2 == "slurm-wlm" {print $1}')
version=$(dpkg-query -W -f='${Version}' slurmd)
chmod 777 .; apt-get -q download $names
for deb in *.deb; do
    dpkg-deb -R $deb tree; rm $deb
    sed -i "s/$version/$version.1/g" tree/DEBIAN/control
    dpkg-deb -Znone -b tree ${deb%%_*}.deb; rm -r tree
done
mkdir -p tree/DEBIAN
for number in 1 2; do
    printf 'Package: canary\nVersion: %s\nArchitecture: all\nMaintainer: x <x@x>\n' $number \
        > tree/DEBIAN/control
    echo 'Description: sings' >> tree/DEBIAN/control
    dpkg-deb -b tree canary$number.deb
done
cp canary1.deb $out
for deb in $(ls *.deb | grep -v canary1); do
    dpkg-deb -f $deb; echo "Filename: ./$deb"; echo "Size: $(stat -c %s $deb)"
    echo "SHA256: $(sha256sum $deb | cut -d' ' -f1)"; echo
done > Packages
cp *.deb Packages $out
"""
OLDER = "dpkg -i /nfs/repository/canary1.deb"
LIST = "echo 'deb [trusted=yes] file:/nfs/repository ./' > /etc/apt/sources.list.d/newer.list"


BACK = "timeout 120 sh -c 'until sacctmgr -n show cluster > /dev/null 2>&1; do sleep 1; done'"


def submit(cluster: Cluster) -> None:
    """Fifty jobs of two CPUs, two at a time: pi's limit is four, and they are to last until the
    boards are upgraded."""
    cluster.pi(f"rm -rf ledger jobs enough; mkdir ledger; cat > job <<'EOF'\n{JOB}\nEOF")
    cluster.pi(f"for n in $(seq {JOBS}); do sbatch --parsable job; done > jobs")


def running(cluster: Cluster) -> int:
    """How many jobs run now."""
    return len(cluster.on("rpnode01", "squeue -h -t running -o %i").split())


def test_a_board_comes(living: Cluster) -> None:
    submit(living)
    living.wulfling("node", "add", "rpnode03", "--address", "10.0.0.4", "-y")
    assert running(living)
    assert 'nodes: "rpnode[01-03]"' in living.file.read_text(encoding="utf-8")
    assert "drained" not in state_of(living, "rpnode03")
    living.wulfling("plan")


def test_a_board_is_replaced_by_a_blank_one(living: Cluster) -> None:
    address, old = "10.0.0.2", pins.pinned(NAME, "10.0.0.2")
    born = living.on("rpnode02", "cat /etc/machine-id")
    assert "the old board still answers" in refused(living, 4, "node", "replace", "rpnode02", "-y")
    assert living.on("rpnode01", "squeue -h -w rpnode02") == ""
    living.wulfling("lab", "replace", "rpnode02")
    assert "no board answers" in refused(living, 3, "node", "replace", "rpnode02", "-y")
    living.wulfling("lab", "up", "rpnode02")
    # The lab has pinned the new key; a real board's is compared by a person, or by its answers.
    (new,) = pins.pinned(NAME, address)
    pins.pin(NAME, address, old)
    answers = living.file.with_name("answers.yaml")
    answers.write_text(json.dumps({"rpnode02": {"fingerprint": pins.fingerprint(new)}}))
    answers.chmod(0o600)
    living.wulfling("node", "replace", "rpnode02", "-y", "--answers", str(answers))
    assert pins.pinned(NAME, address) == (new,)
    assert living.on("rpnode02", "cat /etc/machine-id") != born
    assert "drain" not in state_of(living, "rpnode02")
    living.wulfling("plan")


def test_all_boards_start_anew_one_after_the_other(living: Cluster) -> None:
    assert running(living)
    found = json.loads(living.wulfling("node", "reboot", "-y", "-o", "json"))
    assert [one["node"] for one in found] == ["rpnode02", "rpnode03", "filenode01", "rpnode01"]
    assert all(one["again"] for one in found)
    living.wulfling("plan")


def test_all_boards_are_upgraded(living: Cluster) -> None:
    nodes = ("rpnode01", "rpnode02", "rpnode03", "filenode01")
    assert running(living)
    living.on("filenode01", "mkdir -p -m 777 /nfs/repository")
    living.on("rpnode01", NEWER)
    for node in nodes:
        living.on(node, f"{LIST}; {OLDER}")
    seen = living.wulfling("upgrade", "--check", code=2)
    assert "canary 1 -> 2" in seen
    assert "slurm_acct_db is dumped on the head" in seen
    assert "one way" not in seen  # the same release
    began = living.on("rpnode01", "date +%s")
    said = living.wulfling("upgrade", "-y").splitlines()
    order = [line.split(":")[0] for line in said if ", well after" in line]
    assert order == [
        *("rpnode02", "rpnode03", "filenode01", "rpnode01"),  # the system, the canary first
        # Slurm, the head first; MPI brings its library to the file server.
        *("rpnode01", "rpnode02", "rpnode03", "filenode01"),
    ]
    for node in nodes:
        assert living.on(node, "dpkg-query -W -f='${Version}' canary") == "2"
    assert living.on("rpnode03", "dpkg-query -W -f='${Version}' slurmd").endswith(".1")
    dumps = living.on("rpnode01", "stat -c '%Y %s' /var/lib/wulfling/dumps/*.sql").split()
    assert int(dumps[0]) >= int(began)
    assert int(dumps[1]) > 10_000
    assert "nothing is newer" in living.wulfling("upgrade", "--check")
    living.wulfling("plan")
    assert running(living), "the queue ran on meanwhile"
    living.pi("touch enough")


def test_no_job_was_lost_and_none_ran_twice(living: Cluster) -> None:
    deadline = time.monotonic() + JOBS * SECONDS
    while living.on("rpnode01", "squeue -h") and time.monotonic() < deadline:
        time.sleep(5)
    jobs = living.pi("cat jobs").split()
    assert len(jobs) == JOBS
    told = [name.split(".")[:2] for name in living.pi("ls ledger").split()]
    assert Counter(job for job, what in told if what == "began") == Counter(jobs)
    assert Counter(job for job, what in told if what == "ended") == Counter(jobs)
    rows = living.pi(f"sacct -n -X -D -P -j {','.join(jobs)} -o JobID,State").split()
    assert rows == [f"{job}|COMPLETED" for job in jobs]


def test_power_off_and_on_again(living: Cluster) -> None:
    running_one = living.pi("sbatch --parsable --mem=20 -o /dev/null --wrap 'sleep 10'").strip()
    later = living.pi("sbatch --parsable --mem=20 -o /dev/null --begin=now+20 --wrap true").strip()
    living.wulfling("power", "off", "-y")
    boards = json.loads(living.wulfling("lab", "list", "-o", "json"))
    assert {board["state"] for board in boards if board["lab"] == NAME} == {"off"}
    # By hand, as when the plug is put back: nobody types `power on`.
    living.wulfling("lab", "up")
    living.on("rpnode01", BACK)
    assert living.state(running_one) == "COMPLETED"
    assert living.state(later) == "COMPLETED"
    living.wulfling("power", "off", "-y")
    living.wulfling("power", "on")
    assert set(living.on("rpnode01", "sinfo -hN -o %T").split()) == {"idle"}
    living.wulfling("verify")
    living.wulfling("plan")


def test_a_board_goes_and_is_of_use_to_others(living: Cluster) -> None:
    before = living.file.with_name("before.yaml")
    before.write_text(living.file.read_text(encoding="utf-8"), encoding="utf-8")
    living.wulfling("node", "remove", "rpnode03", "-y")
    assert "rpnode03" not in living.file.read_text(encoding="utf-8")
    assert living.on("rpnode01", "sinfo -hN -o %N").split() == ["rpnode01", "rpnode02"]
    left = Cluster(before)
    asked = "ls /etc/munge/munge.key /etc/slurm/task-prolog; findmnt /home; grep nfs4 /etc/fstab"
    assert left.on("rpnode03", f"({asked}) 2> /dev/null || true") == ""
    assert left.on("rpnode03", "getent hosts rpnode03").split()[0] == "10.0.0.4"
    units = "for unit in munge slurmd chrony ssh; do systemctl is-active $unit || true; done"
    assert left.on("rpnode03", units).split() == ["inactive", "inactive", "active", "active"]
    living.wulfling("plan")


def refused(cluster: Cluster, code: int, *words: str) -> str:
    """What ``wulfling`` said on stderr when it exited with ``code``."""
    process = cluster.start(*words)
    out, err = process.communicate("", timeout=1800)
    assert process.returncode == code, f"{out}\n{err}"
    return err
