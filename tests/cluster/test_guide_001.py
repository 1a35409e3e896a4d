"""Guide 001: MPI over ssh and a machinefile. These tests come first: there is no Slurm yet."""

from __future__ import annotations

import pytest
from boards import ROOT, Cluster

pytestmark = pytest.mark.lab

HELLO = ROOT / "examples" / "hello"


@pytest.fixture(scope="module", autouse=True)
def prepared(plain: Cluster) -> None:
    machinefile = plain.wulfling("export", "machinefile", "--all")
    plain.pi(f"cat > machinefile << 'EOF'\n{machinefile}EOF")
    for name in ("hello.py", "pythonexample.py"):
        text = (HELLO / name).read_text(encoding="utf-8")
        plain.pi(f"cat > {name} << 'EOF'\n{text}EOF")


def test_1_24_ssh_between_nodes_asks_nothing(plain: Cluster) -> None:
    said = plain.pi("ssh -o BatchMode=yes rpnode02 hostname")
    assert said.strip() == "rpnode02"


def test_1_25_mpiexec_hostname_over_all_boards(plain: Cluster) -> None:
    hosts = plain.pi("mpiexec -f machinefile -n 5 hostname").split()
    assert len(hosts) == 5
    assert set(hosts) == {"rpnode01", "rpnode02", "filenode01"}


def test_1_28_the_guides_program_runs_five_times_on_three_boards(plain: Cluster) -> None:
    said = plain.pi("mpiexec -f machinefile -n 5 python3 pythonexample.py")
    assert sorted(said.split()) == sorted(["400", "17", "6800"] * 5)


def test_1_28_mpi4py_under_mpiexec_is_one_world(plain: Cluster) -> None:
    lines = plain.pi("mpiexec -f machinefile -n 5 python3 hello.py").splitlines()
    assert sorted(line.split()[3] for line in lines) == ["0", "1", "2", "3", "4"]
    assert {line.split()[5] for line in lines} == {"5"}


def test_without_slurm_there_is_no_slurm(plain: Cluster) -> None:
    assert plain.on("rpnode01", "command -v slurmd munged mariadb || echo none").strip() == "none"
