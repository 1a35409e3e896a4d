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
    # Slurm gives up an allocation without its srun only if it began 15 s before the boot or
    # earlier (job_mgr.c, _purge_missing_jobs); a real board needs longer than that to boot.
    time.sleep(20)
    starting = []
    for node in order:
        starting.append(cluster.start("lab", "up", node))
        time.sleep(2)
    for process in starting:
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    cluster.wait_idle()
    assert sorted(cluster.pi("srun -N 2 hostname").split()) == ["rpnode01", "rpnode02"]
