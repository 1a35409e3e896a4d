"""GPUs of a node (2-65), with a device file in the place of a GPU: Slurm does not look into it.

What no virtual board can show is a program that computes on a real one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from boards import Cluster

pytestmark = pytest.mark.crash

DEVICE = "/dev/nvidia0"
STAND_IN = "1 7"  # the numbers of /dev/full, which no job needs for anything else
SLOW = "/run/systemd/system/slurmd.service.d"
# As on a busy board: the daemon that knows of no GPU answers the new controller before it ends.
STOPS_SLOWLY = f"""
mkdir -p {SLOW}
printf '[Service]\\nExecStop=/bin/sleep 20\\n' > {SLOW}/slow.conf
systemctl daemon-reload
"""
OPEN = f"cat /dev/null 2>&1 >{DEVICE} && echo opened || echo refused"


@pytest.fixture(scope="module")
def gpus(cluster: Cluster) -> Iterator[Cluster]:
    """rpnode02 has a GPU, and afterwards has none again."""
    text = cluster.file.read_text(encoding="utf-8")
    board = "rpnode02: {"
    assert board in text
    cluster.on("rpnode02", f"rm -f {DEVICE}; mknod -m 666 {DEVICE} c {STAND_IN}")
    cluster.file.write_text(text.replace(board, f"{board}gpus: {{a2000: 1}}, "), encoding="utf-8")
    cluster.on("rpnode02", STOPS_SLOWLY)
    cluster.wulfling("apply", "-y")
    cluster.on("rpnode02", f"rm -r {SLOW}; systemctl daemon-reload")
    yield cluster
    cluster.file.write_text(text, encoding="utf-8")
    cluster.wulfling("apply", "-y")
    cluster.on("rpnode02", f"rm {DEVICE}")
    assert "gres.conf" not in cluster.on("rpnode01", "ls /etc/slurm")
    cluster.wait_idle()


def test_a_board_that_told_of_its_gpus_too_late_is_not_left_drained(gpus: Cluster) -> None:
    """slurmctld drains whoever has an older gres.conf than itself, and nothing ends that."""
    said = gpus.on("rpnode01", "grep -h 'gres/gpu count reported lower' /var/log/slurm/*")
    assert "rpnode02" in said
    gpus.wait_idle()


def test_a_job_gets_the_gpu_it_asks_for_and_it_is_accounted(gpus: Cluster) -> None:
    """2-38: AccountingStorageTRES=gres/gpu."""
    script = "echo $SLURM_JOB_ID $CUDA_VISIBLE_DEVICES $(hostname)"
    for asked in ("--gres=gpu:1", "--gres=gpu:a2000:1", "--gpus=1"):
        job, *said = gpus.pi(f"srun {asked} sh -c '{script}'").split()
        assert said == ["0", "rpnode02"]
        assert gpus.state(job) == "COMPLETED"
        tres = gpus.pi(f"sacct -n -X -P -j {job} -o AllocTRES").strip()
        assert "gres/gpu=1" in tres.split(",")


def test_a_job_that_asks_for_none_is_told_of_none(gpus: Cluster) -> None:
    said = gpus.pi("srun -w rpnode02 sh -c 'echo ${CUDA_VISIBLE_DEVICES-none}'")
    assert said.strip() in ("none", "NoDevFiles", "")


def test_a_job_opens_the_gpu_only_when_it_asked_for_it(gpus: Cluster) -> None:
    """ConstrainDevices: the board's kernel refuses, whatever the mode of the file."""
    with_gpu = gpus.pi(f"srun -w rpnode02 --gres=gpu:1 sh -c '{OPEN}'")
    without = gpus.pi(f"srun -w rpnode02 sh -c '{OPEN}'")
    assert with_gpu.strip() == "opened"
    assert without.strip().endswith(f"{DEVICE}: Operation not permitted\nrefused")


def test_a_second_job_waits_for_the_gpu(gpus: Cluster) -> None:
    first, second = (
        gpus.pi("sbatch --parsable -o /dev/null --gres=gpu:1 --wrap 'sleep 300'").strip()
        for _ in range(2)
    )
    ask = f"squeue -h -j {first},{second} -o '%i %T %r'"
    for _ in range(30):
        said = gpus.pi(ask).splitlines()
        if f"{second} PENDING Resources" in said:
            break
        time.sleep(1)
    assert sorted(said) == [f"{first} RUNNING None", f"{second} PENDING Resources"]
    gpus.pi(f"scancel {first}")
    for _ in range(30):
        said = gpus.pi(ask).splitlines()
        if said == [f"{second} RUNNING None"]:
            break
        time.sleep(1)
    assert said == [f"{second} RUNNING None"]
    gpus.pi(f"scancel {second}")


def test_nothing_is_left_to_do(gpus: Cluster) -> None:
    gpus.wulfling("plan")
