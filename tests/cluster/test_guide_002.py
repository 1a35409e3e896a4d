"""Every step of guide 002 that a user sees, on three boards (requirements 2-47 to 2-58)."""

from __future__ import annotations

import time

import pytest
from boards import ROOT, Cluster

pytestmark = pytest.mark.lab

# What a board does to ranks that share its CPU, made certain: they are still in MPI when the
# first one has left it (pmodels/mpich#6596).
LATE = """
import time
import wulfling_mpi
from mpi4py import MPI

world = MPI.COMM_WORLD


class Late:
    monotonic = time.monotonic

    def sleep(seconds):
        end = time.monotonic() + (0.2 if world.rank < world.size - 1 else 0)
        while time.monotonic() < end:
            world.Iprobe()
        time.sleep(seconds)


wulfling_mpi.time = Late
ranks = world.gather(world.rank)
if ranks:
    print(len(ranks), "ranks")
"""

# The guide's batch script as it stands there (2-58), --mem=10mb included.
SUBMIT = """#!/usr/bin/sh

#SBATCH --job-name=testjob
#SBATCH --mem=10mb
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --time=00:01:00

srun sleep 10
"""


def test_2_47_sinfo_shows_two_idle_nodes(cluster: Cluster) -> None:
    assert cluster.pi("sinfo -h").split() == [
        *("batch*", "up", "30-00:00:0", "2", "idle", "rpnode[01-02]")
    ]


def test_2_57_srun_hostname(cluster: Cluster) -> None:
    assert cluster.pi("srun hostname").strip() == "rpnode01"


def test_2_55_srun_on_the_second_node(cluster: Cluster) -> None:
    assert cluster.pi("srun -w rpnode02 hostname").strip() == "rpnode02"


def test_2_58_the_guides_batch_script_unchanged(cluster: Cluster) -> None:
    cluster.pi(f"cat > submit.sh << 'EOF'\n{SUBMIT}EOF")
    # In one conversation: the next may begin when a job of ten seconds has ended.
    look = "for _ in $(seq 60); do squeue -al | grep ' RUNNING ' && break; sleep 0.5; done"
    submitted, row = cluster.pi(f"sbatch submit.sh; {look}").splitlines()
    job = submitted.split()[-1]
    assert row.split()[:1] == [job]
    assert row.split()[1:5] == ["batch", "testjob", "pi", "RUNNING"]
    assert cluster.state(job) == "COMPLETED"


def test_2_56_scontrol_show_partition_and_nodes(cluster: Cluster) -> None:
    partition = cluster.pi("scontrol show partition")
    assert "PartitionName=batch" in partition
    assert "MaxTime=30-00:00:00" in partition
    assert "Nodes=rpnode[01-02]" in partition
    nodes = cluster.pi("scontrol show nodes")
    assert nodes.count("State=IDLE") == 2


def test_2_51_sacctmgr_shows_the_user_with_limits(cluster: Cluster) -> None:
    users = cluster.pi("sacctmgr -nP show user").splitlines()
    assert "pi|compute|None" in users
    limits = cluster.pi("sacctmgr -nP show assoc user=pi format=account,user,grptres").strip()
    assert limits == "compute|pi|cpu=4,mem=1G"


def test_2_43_a_job_over_its_memory_dies_in_its_own_cgroup(cluster: Cluster) -> None:
    hog = "python3 -c 'x = bytearray(300 << 20); print(len(x))'"
    job = cluster.pi(f'sbatch --parsable --mem=64 -o hog.out --wrap "{hog}"').strip()
    assert cluster.state(job) == "OUT_OF_MEMORY"
    cluster.wait_idle(30)


def test_2_50_a_user_over_grptres_waits_with_that_reason(cluster: Cluster) -> None:
    first = cluster.pi("sbatch --parsable -c 3 --mem=20 -o /dev/null --wrap 'sleep 60'").strip()
    second = cluster.pi("sbatch --parsable -c 2 --mem=20 -o /dev/null --wrap 'sleep 1'").strip()
    try:
        for _ in range(20):
            said = cluster.pi(f"squeue -h -j {second} -o '%T %r'").strip()
            if said == "PENDING AssocGrpCpuLimit":
                break
            time.sleep(1)
        assert said == "PENDING AssocGrpCpuLimit"
    finally:
        cluster.pi(f"scancel {first} {second}")
        cluster.wait_idle(60)


def test_2_63_mpi4py_under_srun_is_one_world(cluster: Cluster) -> None:
    hello = (ROOT / "examples" / "hello" / "hello.py").read_text(encoding="utf-8")
    cluster.pi(f"cat > hello.py << 'EOF'\n{hello}EOF")
    lines = cluster.pi("srun -N 2 -n 4 python3 hello.py").splitlines()
    assert sorted(line.split()[3] for line in lines) == ["0", "1", "2", "3"]
    assert {line.split()[5] for line in lines} == {"4"}
    assert {line.split()[7] for line in lines} == {"rpnode01", "rpnode02"}


def test_2_63_ranks_that_leave_late_do_not_wait_for_ever(cluster: Cluster) -> None:
    """Three of four come out of the last barrier a fifth of a second after the fourth."""
    cluster.pi(f"cat > late.py << 'EOF'\n{LATE}EOF")
    for _ in range(3):
        assert cluster.pi("timeout 60 srun -N 2 -n 4 python3 late.py") == "4 ranks\n"


def test_2_22_home_is_one_place_for_all_boards(cluster: Cluster) -> None:
    cluster.pi("echo from-rpnode01 > shared.txt")
    assert cluster.pi("cat shared.txt", node="rpnode02").strip() == "from-rpnode01"
    assert cluster.on("filenode01", "cat /home/pi/shared.txt").strip() == "from-rpnode01"


def test_root_of_a_board_is_nobody_on_the_file_server(cluster: Cluster) -> None:
    said = cluster.on("rpnode02", "touch /nfs/mine 2>&1 || echo refused")
    assert "refused" in said


def test_2_08_the_same_uid_everywhere(cluster: Cluster) -> None:
    uids = {cluster.on(n, "id -u pi").strip() for n in ("rpnode01", "rpnode02", "filenode01")}
    assert len(uids) == 1


def test_1_24_ssh_takes_keys_and_trusted_boards_and_no_password(cluster: Cluster) -> None:
    ask = "ssh -o BatchMode=yes -o PreferredAuthentications=none"
    for node in ("rpnode01", "rpnode02", "filenode01"):
        said = cluster.pi(f"{ask} {node} true 2>&1 || true")
        assert "Permission denied (publickey,hostbased)" in said
