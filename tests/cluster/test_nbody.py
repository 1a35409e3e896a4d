"""The main job on real boards, smaller than the demo's: one world, and the same on one rank."""

from __future__ import annotations

import json

import pytest
from boards import ROOT, Cluster

pytestmark = pytest.mark.crash

SMALL = "--bodies 256 --steps 100"


@pytest.fixture(scope="module", autouse=True)
def example(cluster: Cluster) -> None:
    for name in ("nbody.py", "submit.sh"):
        text = (ROOT / "examples" / "nbody" / name).read_text(encoding="utf-8")
        cluster.pi(f"mkdir -p nbody; cat > nbody/{name} << 'END OF FILE'\n{text}END OF FILE")


def test_four_ranks_on_two_boards_compute_what_one_rank_computes(cluster: Cluster) -> None:
    submit = "cd nbody; sbatch --parsable --wait"
    cluster.pi(f"{submit} --nodes=1 --ntasks=1 submit.sh {SMALL} --save one-rank")
    words = f"{SMALL} --reference one-rank.npy --json"
    job = cluster.pi(f"{submit} submit.sh {words}").strip()
    run = json.loads(cluster.pi(f"cat nbody/nbody-{job}.txt").splitlines()[-1])
    assert (run["ranks"], len(set(run["hosts"]))) == (4, 2)
    assert run["energy_drift"] < 1e-4
    assert run["difference"] <= 1e-10
    assert cluster.state(job) == "COMPLETED"
    assert cluster.pi("head -c 4 nbody/bodies.png | tail -c 3").strip() == "PNG"
