"""Jobs from a laptop: a folder goes there, output comes while it runs, a cut line is mended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from boards import Cluster

import wulfling

pytestmark = pytest.mark.lab

# The batch script's own output, and that of an MPI program on both boards.
SCRIPT = """#!/bin/bash
#SBATCH --nodes=2 --ntasks=2 --mem-per-cpu=64
echo began
srun python3 ranks.py
for n in $(seq ${1:-0}); do echo line $n; sleep 0.5; done
echo made > made.txt
exit ${2:-0}
"""
RANKS = """from mpi4py import MPI
world = MPI.COMM_WORLD
names = world.gather(MPI.Get_processor_name().split(".")[0])
if names:
    print(world.size, *sorted(names), flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small MPI program and its batch script."""
    place = tmp_path / "wave"
    place.mkdir()
    (place / "job.sh").write_text(SCRIPT)
    (place / "ranks.py").write_text(RANKS)
    return place


def children(pid: int) -> list[int]:
    """The process numbers of the children of ``pid``, those that are ssh."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(n) for n in told if Path(f"/proc/{n}/comm").read_text() == "ssh\n"]


def finish(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, f"{out}\n{err}"
    return out, err


def test_a_cut_line_loses_nothing_of_a_job_on_two_boards(cluster: Cluster, folder: Path) -> None:
    """Its ssh is killed while lines come; the exit code is the job's, and results come back."""
    process = cluster.start("run", "--folder", str(folder), "job.sh", "6", "5")
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines == ["began\n", "2 rpnode01 rpnode02\n", "line 1\n", "line 2\n"]
    (ssh,) = children(process.pid)
    os.kill(ssh, signal.SIGKILL)
    out, err = finish(process, code=5)
    assert out == "".join(f"line {n}\n" for n in range(3, 7))
    assert "trying again\nconnected again\n" in err
    (results,) = folder.glob("job-*")
    assert (results / "made.txt").read_text() == "made\n"
    (log,) = results.glob("slurm-*.out")
    assert log.read_text() == "".join(lines) + out


def test_output_of_another_board_comes_while_it_runs(cluster: Cluster, folder: Path) -> None:
    """It is read there, because NFS would show it on the head half a minute later."""
    (folder / "job.sh").write_text("#!/bin/bash\necho now; sleep 600\n")
    options = ("--nodelist=rpnode02", "--mem=64")
    job = cluster.wulfling("submit", "--folder", str(folder), *options, "job.sh").strip()
    process = cluster.start("logs", "-f", job)
    assert process.stdout
    assert process.stdout.readline() == "now\n"
    assert cluster.on("rpnode02", "pgrep -u pi -f sys.stdin.buffer")
    assert cluster.wulfling("cancel", job) == f"job {job}: cancelled\n"
    finish(process, code=143)
    (row,) = (r for r in json.loads(cluster.wulfling("jobs", "-o", "json")) if r["job"] == job)
    assert (row["name"], row["state"]) == ("job.sh", "CANCELLED")
    assert row["folder"].startswith("/home/pi/wulfling-jobs/wave-")


def test_the_same_token_is_one_job(cluster: Cluster, folder: Path) -> None:
    (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH --mem=64\ntrue\n")
    words = ("submit", "--folder", str(folder), "--token", "lab", "job.sh")
    first = cluster.start(*words)
    second = cluster.start(*words)
    assert finish(first, code=0)[0] == finish(second, code=0)[0]


def test_a_python_function(cluster: Cluster) -> None:
    """By submitit, on a board that has nothing of it."""

    def where(number: int) -> tuple[int, str]:
        import socket

        return number * 2, socket.gethostname()

    pi = wulfling.Cluster(cluster.file)
    pi.update_parameters(timeout_min=5, mem_gb=0.125, slurm_nodelist="rpnode02")
    assert pi.submit(where, 21).result() == (42, "rpnode02")
