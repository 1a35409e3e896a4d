"""The plug is pulled on all boards at once; they start in any order; nobody types a command."""

from __future__ import annotations

import random
import time

import pytest
from boards import Cluster

pytestmark = pytest.mark.lab

NODES = ["rpnode01", "rpnode02", "filenode01"]
SEED = 20261123


def power_cut(cluster: Cluster, turn: int) -> None:
    """Pull all plugs, and put them back in an order that only ``turn`` decides."""
    order = random.Random(SEED + turn).sample(NODES, k=len(NODES))
    cluster.wulfling("lab", "cut", *NODES)
    time.sleep(15)  # as long as a real board takes to begin to boot
    starting = []
    for node in order:
        starting.append(cluster.start("lab", "up", node))
        time.sleep(2)
    for process in starting:
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said


@pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.crash) for turn in range(1, 5))]
)
def test_all_nodes_are_idle_again_after_a_power_cut(cluster: Cluster, turn: int) -> None:
    # It ends within seconds of the cut, so Slurm may not have saved its end.
    assert sorted(cluster.pi("srun -N 2 hostname").split()) == ["rpnode01", "rpnode02"]
    power_cut(cluster, turn)
    cluster.wait_idle()
    assert sorted(cluster.pi("srun -N 2 hostname").split()) == ["rpnode01", "rpnode02"]


def test_jobs_that_a_power_cut_ended_do_not_hold_their_nodes(cluster: Cluster) -> None:
    batch = cluster.pi("sbatch --parsable -N 2 --mem=20 -o /dev/null --wrap 'srun sleep 40'")
    cluster.pi("nohup srun -N 2 --mem=20 -J lost sleep 900 > /dev/null 2>&1 < /dev/null &")
    time.sleep(10)  # both run, and the controller has saved that
    assert sorted(cluster.pi("squeue -h -t running -o %j").split()) == ["lost", "wrap"]
    power_cut(cluster, turn=5)
    cluster.wait_idle()
    assert cluster.pi("squeue -h -n lost") == ""
    said = cluster.pi(f"scontrol show job {batch}")
    assert "Restarts=1 " in said
    assert "JobState=CANCELLED" not in said, "both boards gave it up, and the second cancelled it"
    cluster.pi(f"scancel {batch}")
    cluster.wait_idle()
