"""The plug is pulled on all boards at once; they start in any order; nobody types a command."""

from __future__ import annotations

import random
import time

import pytest
from boards import Cluster

pytestmark = pytest.mark.lab

NODES = ["rpnode01", "rpnode02", "filenode01"]
SEED = 20261123


@pytest.mark.parametrize("turn", range(5))
def test_all_nodes_are_idle_again_after_a_power_cut(cluster: Cluster, turn: int) -> None:
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
    cluster.wait_idle()
    # A batch job, because Slurm keeps the allocation of an srun that ended within seconds of
    # the next cut until its time limit: the end was never saved, and nobody is there to ask.
    cluster.pi("sbatch --wait -N 2 -o hosts.out --wrap 'srun hostname'")
    assert sorted(cluster.pi("cat hosts.out").split()) == ["rpnode01", "rpnode02"]
