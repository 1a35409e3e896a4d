"""OpenFOAM from Debian (0-27), the guides' example application: four ranks on two boards are one
world, and compute what one rank computes. Debian builds it for Open MPI; MPICH stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from boards import ROOT, Cluster

pytestmark = pytest.mark.crash

EXAMPLE = ROOT / "examples" / "openfoam"
MODULE = ROOT / "examples" / "modulefiles" / "openfoam" / "1912"


@pytest.fixture(scope="module")
def foam(cluster: Cluster) -> Iterator[Cluster]:
    """The boards with one line more in the file, the module, and the example in pi's home."""
    text = cluster.file.read_text(encoding="utf-8")
    more = "\nsoftware: {packages: [openfoam]}\n"
    cluster.file.write_text(text + more, encoding="utf-8")
    cluster.wulfling("apply", "-y")
    cluster.wait_idle()
    folder = "/usr/local/sw/modulefiles/openfoam"
    sent = sent_as(f"{folder}/1912", MODULE.read_text(encoding="utf-8"))
    cluster.on("rpnode01", f"mkdir -p {folder}\n{sent}", person="wulfling")
    script = ["rm -rf cavity; mkdir -p cavity/0 cavity/constant cavity/system"]
    for file in sorted(EXAMPLE.rglob("*")):
        if file.is_file():
            name = f"cavity/{file.relative_to(EXAMPLE)}"
            script.append(sent_as(name, file.read_text(encoding="utf-8")))
    cluster.pi("\n".join(script))
    yield cluster
    cluster.file.write_text(text, encoding="utf-8")


def sent_as(path: str, text: str) -> str:
    return f"cat > {path} << 'END OF FILE'\n{text}END OF FILE"


def told(cluster: Cluster, job: str) -> dict[str, str]:
    """What check.py said at the end of a job."""
    lines = cluster.pi(f"cat cavity/cavity-{job}.txt").splitlines()
    return {key: value.strip() for key, _, value in (line.partition("  ") for line in lines)}


def test_0_27_four_ranks_on_two_boards_compute_what_one_computes(foam: Cluster) -> None:
    submit = "cd cavity; sbatch --parsable --wait"
    one, four = (
        foam.pi(f"{submit} {words} submit.sh").strip() for words in ("--nodes=1 --ntasks=1", "")
    )
    assert [foam.state(job) for job in (one, four)] == ["COMPLETED"] * 2
    alone, together = told(foam, one), told(foam, four)
    assert (alone["ranks"], together["ranks"]) == ("1", "4")
    assert together["hosts"] == "(rpnode01 2) (rpnode02 2)"
    assert abs(int(alone["iterations"]) - int(together["iterations"])) <= 5
    for run in (alone, together):
        assert all(float(value) < 1e-5 for value in run["residuals"].split()[1::2])
        assert abs(float(run["lowest u"].split()[0]) + 0.21090) < 0.002
    said = foam.pi("cd cavity; python3 check.py ranks-1 ranks-4").splitlines()[-1]
    assert float(said.split()[1]) < 1e-4


def test_mpich_is_still_what_mpiexec_and_mpicc_mean(foam: Cluster) -> None:
    """Open MPI's packages take these names, unless somebody has said otherwise."""
    for node in ("rpnode01", "rpnode02"):
        assert "orterun" in foam.on(node, "ls /usr/bin")
        assert "HYDRA" in foam.pi("mpiexec --version", node)
    assert "mpich" in foam.pi("mpicc -show")
    program = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
    assert foam.pi(f"srun -N 2 -n 4 python3 -c '{program}'").split() == ["4"] * 4


def test_nothing_is_left_to_do(foam: Cluster) -> None:
    foam.wulfling("plan")
