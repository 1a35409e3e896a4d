"""What others wrote for Slurm runs unchanged: submitit's own tests, and a dask-jobqueue cluster.

Both come from PyPI and go into a virtual environment in a home that all boards share. The boards
have no internet: the files are fetched here and sent over SSH.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import Cluster, cluster_file, own_lab

import wulfling

pytestmark = pytest.mark.crash

SOURCES = ("submitit==1.5.4", "dask-jobqueue==0.9.0")
# What they need there, and what builds and tests them.
WHEELS = ("dask", "distributed", "cryptography", "pytest", "pytest-asyncio", "setuptools", "wheel")
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
INSTALL = """
python3 -m venv tools
tools/bin/pip install --quiet --no-index --find-links wheels pytest pytest-asyncio cryptography
tools/bin/pip install --quiet --no-index --find-links wheels submitit dask-jobqueue
for source in wheels/*.tar.gz; do tar xf $source; done
"""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Boards with memory for dask's tests, which ask for 2 GiB a job, and both installed."""
    file = cluster_file(tmp_path_factory.mktemp("ecosystem"), "test-ecosystem")
    text = file.read_text(encoding="utf-8")
    text = text.replace("memory: 640M", "memory: 2700M").replace("memory: 384M", "memory: 2700M")
    file.write_text(text.replace(", limits: {cpu: 4, mem: 1G}", ""), encoding="utf-8")
    with own_lab(file) as cluster:
        cluster.wulfling("apply", "-y")
        cluster.wait_idle()
        install(cluster, tmp_path_factory.mktemp("wheels"))
        yield cluster


def install(cluster: Cluster, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder / "wheels")]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    wheels = ["--only-binary=:all:", "--python-version=3.11", *platforms, *WHEELS, "flit_core<4"]
    subprocess.run([*pip, *wheels, "cloudpickle", "typing_extensions"], check=True)
    subprocess.run([*pip, "--no-deps", "--no-binary=:all:", *SOURCES], check=True)
    cluster.on("rpnode01", "apt-get -qq install -y --no-install-recommends python3-venv >/dev/null")
    (folder / "install.sh").write_text(f"#!/bin/bash\nset -e\nmv wheels ~\ncd ~\n{INSTALL}")
    cluster.wulfling(
        "run", "--folder", str(folder), "--nodelist=rpnode01", "--mem=1G", "install.sh"
    )


def pytest_on(cluster: Cluster, words: str) -> str:
    """The last line of a pytest on the head, all of whose tests have to pass."""
    said = cluster.pi(f"tools/bin/python -m pytest -q -rs --disable-warnings {words} 2>&1 || :")
    last = said.strip().splitlines()[-1]
    assert " passed" in last and "failed" not in last and "error" not in last, said
    return last


def test_submitits_own_tests(tools: Cluster) -> None:
    """Those of its Slurm executor, where srun and sbatch are real."""
    pytest_on(tools, "submitit-1.5.4/submitit/slurm")


def test_a_dask_jobqueue_cluster(tools: Cluster) -> None:
    """Its own tests for Slurm, those that start workers among them.

    Its test machines share /shared_space; the plugins stand in for its conftest.py, which the
    sdist lacks, in that order: the second keeps the configuration that the first has made.
    """
    for node in ("rpnode01", "rpnode02"):
        tools.on(node, "ln -sfn /home/pi /shared_space")
    plugins = "-p dask_jobqueue -p distributed.utils_test"
    pytest_on(tools, f"{plugins} --pyargs dask_jobqueue.tests.test_slurm")


def test_functions_use_the_persons_own_python(tools: Cluster) -> None:
    def version() -> str:
        import dask

        return str(dask.__version__)

    pi = wulfling.Cluster(tools.file, python="/home/pi/tools/bin/python")
    jobs = pi.map_array(lambda n: (version(), n), [1, 2, 3])
    found = [job.result() for job in jobs]
    assert [number for _, number in found] == [1, 2, 3]
    assert all(text for text, _ in found)
