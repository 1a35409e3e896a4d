"""Guide 001 on the same boards: MPI over ssh and a machinefile, then the same under Slurm."""

from __future__ import annotations

import pytest
from boards import ROOT, Cluster

pytestmark = pytest.mark.lab

HELLO = (ROOT / "examples" / "hello" / "hello.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    machinefile = cluster.wulfling("export", "machinefile", "--all")
    cluster.pi(f"cat > machinefile << 'EOF'\n{machinefile}EOF")
    cluster.pi(f"cat > hello.py << 'EOF'\n{HELLO}EOF")


def test_1_25_mpiexec_hostname_over_all_boards(cluster: Cluster) -> None:
    hosts = cluster.pi("mpiexec -f machinefile -n 5 hostname").split()
    assert len(hosts) == 5
    assert set(hosts) == {"rpnode01", "rpnode02", "filenode01"}


def test_1_28_mpi4py_under_mpiexec_is_one_world(cluster: Cluster) -> None:
    lines = cluster.pi("mpiexec -f machinefile -n 5 python3 hello.py").splitlines()
    assert sorted(line.split()[3] for line in lines) == ["0", "1", "2", "3", "4"]
    assert {line.split()[5] for line in lines} == {"5"}


def test_2_63_mpi4py_under_srun_is_one_world(cluster: Cluster) -> None:
    lines = cluster.pi("srun -N 2 -n 4 python3 hello.py").splitlines()
    assert sorted(line.split()[3] for line in lines) == ["0", "1", "2", "3"]
    assert {line.split()[5] for line in lines} == {"4"}
    assert {line.split()[7] for line in lines} == {"rpnode01", "rpnode02"}


def test_1_24_ssh_between_nodes_asks_nothing(cluster: Cluster) -> None:
    said = cluster.pi("ssh -o BatchMode=yes rpnode02 hostname")
    assert said.strip() == "rpnode02"
