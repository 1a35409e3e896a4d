"""`profile: shared`: on a compute board a person is a guest of a job of theirs (issue 5, items 3
and 5; pam_slurm_adopt.html of Slurm)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from boards import Cluster

pytestmark = pytest.mark.crash

SSH = "ssh -o BatchMode=yes"
REFUSED = "you have no active jobs on this node"


@pytest.fixture(scope="module", autouse=True)
def shared(cluster: Cluster) -> Iterator[Cluster]:
    """The example as many people share it, and afterwards as it was."""
    text = cluster.file.read_text(encoding="utf-8")
    cluster.file.write_text(f"{text}profile: shared\n", encoding="utf-8")
    cluster.wulfling("apply", "-y")
    cluster.wait_idle()
    yield cluster
    cluster.file.write_text(text, encoding="utf-8")
    cluster.wulfling("apply", "-y")
    cluster.wulfling("plan")
    assert cluster.pi(f"{SSH} rpnode02 hostname").strip() == "rpnode02"
    assert cluster.pi(f"{SSH} filenode01 hostname").strip() == "filenode01"
    cluster.wait_idle()


@pytest.fixture
def job(shared: Cluster) -> Iterator[str]:
    """The number of a job of pi that runs on rpnode02."""
    number = shared.pi("sbatch --parsable -w rpnode02 -o /dev/null --wrap 'sleep 900'").strip()
    for _ in range(60):
        if shared.pi(f"squeue -h -j {number} -o %T").strip() == "RUNNING":
            break
        time.sleep(1)
    yield number
    shared.pi(f"scancel {number}")
    shared.wait_idle()


def refused(cluster: Cluster, node: str) -> str:
    return cluster.pi(f"! {SSH} {node} hostname 2>&1")


def test_a_second_apply_changes_nothing(shared: Cluster) -> None:
    shared.wulfling("plan")


def test_without_a_job_a_compute_board_is_closed_by_one_line(shared: Cluster) -> None:
    """An attack as in test_attacks.py: refused, let in without its protection, refused again."""
    assert REFUSED in refused(shared, "rpnode02")
    shared.on("rpnode02", "cp -p /etc/pam.d/sshd ~/sshd; sed -i /slurm_adopt/d /etc/pam.d/sshd")
    try:
        assert shared.pi(f"{SSH} rpnode02 hostname").strip() == "rpnode02"
    finally:
        shared.on("rpnode02", "mv ~/sshd /etc/pam.d/sshd")
    assert REFUSED in refused(shared, "rpnode02")


def test_a_job_opens_the_board_and_whoever_comes_is_a_part_of_it(shared: Cluster, job: str) -> None:
    """Its memory and its processors are the job's own."""
    assert f"/job_{job}/" in shared.pi(f"{SSH} rpnode02 cat /proc/self/cgroup")


def test_what_a_guest_left_running_ends_with_the_job(shared: Cluster, job: str) -> None:
    shared.pi(f"{SSH} rpnode02 'sleep 4321 > /dev/null 2>&1 &'")
    assert shared.on("rpnode02", "pgrep -u pi -f 'sleep 432[1]'").strip()
    shared.pi(f"scancel {job}")
    shared.wait_idle()
    assert not shared.on("rpnode02", "pgrep -u pi -f 'sleep 432[1]' || true").strip()
    assert REFUSED in refused(shared, "rpnode02")


def test_mpi_finds_its_way_by_ssh_inside_a_job(shared: Cluster) -> None:
    said = shared.pi("salloc -Q -N 2 mpiexec -launcher ssh -n 2 -ppn 1 hostname")
    assert set(said.split()) == {"rpnode01", "rpnode02"}


def test_the_storage_board_is_for_administrators(shared: Cluster) -> None:
    assert "Permission denied" in refused(shared, "filenode01")
    assert shared.on("filenode01", "hostname").strip() == "filenode01"


def test_an_administrator_comes_in_while_slurm_is_ill(shared: Cluster) -> None:
    shared.on("rpnode02", "systemctl stop slurmd")
    try:
        assert shared.on("rpnode02", "systemctl is-active slurmd || true").strip() == "inactive"
    finally:
        shared.on("rpnode02", "systemctl start slurmd")
    shared.wait_idle()
