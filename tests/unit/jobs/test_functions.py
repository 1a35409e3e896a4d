"""Functions as jobs: what travels with them. The lab has them called."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cloudpickle
import pytest
from submitit.core.utils import FailedJobError, UncompletedJobError
from tests.unit.jobs.conftest import Head

import wulfling
from wulfling.errors import WulflingError
from wulfling.jobs import functions
from wulfling.jobs.door import Door


@pytest.fixture
def cluster(door: Door, monkeypatch: pytest.MonkeyPatch) -> functions.Cluster:
    """The stand-in head as a cluster for functions, with the Python that runs this."""
    monkeypatch.setattr(functions, "door", lambda file, person: door)
    return functions.Cluster("cluster.yaml", python=sys.executable)


def test_a_function_is_called_over_there(cluster: functions.Cluster, head: Head) -> None:
    def product(*numbers: int, plus: int = 0) -> int:
        print("multiplies")
        return math.prod(numbers) + plus

    job = cluster.submit(product, 6, 7, plus=1)
    assert job.result() == 43
    assert (job.job_id, job.state, job.done()) == ("1", "COMPLETED", True)
    assert "multiplies\n" in job.stdout()
    second = cluster.submit(product, 2)
    assert second.result() == 2
    assert cluster.job("1").result() == 43


def test_an_exception_comes_back_with_its_traceback(cluster: functions.Cluster) -> None:
    def fails() -> None:
        raise ValueError("too bad")

    with pytest.raises(FailedJobError, match="ValueError: too bad"):
        cluster.submit(fails).result()


def test_a_job_without_a_result_says_what_it_printed(cluster: functions.Cluster) -> None:
    def dies() -> None:
        print("goodbye", flush=True)
        os._exit(3)

    with pytest.raises(UncompletedJobError, match="(?s)is FAILED, without result: .*goodbye"):
        cluster.submit(dies).result()


def test_a_parameter_that_is_none(cluster: functions.Cluster) -> None:
    cluster.update_parameters(memory=1)
    with pytest.raises(WulflingError, match="memory"):
        cluster.submit(sum, [1])


def driver(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    (folder / "driver.py").write_text(functions._DRIVER)
    argv = [sys.executable, "driver.py", version]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_it_is_the_packages_face() -> None:
    assert wulfling.Cluster is functions.Cluster
    with pytest.raises(AttributeError, match="has no attribute 'Clutser'"):
        _ = wulfling.Clutser


def test_submitit_travels_in_a_zip_of_always_the_same_bytes(tmp_path: Path) -> None:
    """So that the next job finds it there and it is not sent again."""
    zipped = functions._zipped()
    functions._zipped.cache_clear()
    assert functions._zipped() == zipped
    (tmp_path / "submitit.zip").write_bytes(zipped)
    code = "import submitit, cloudpickle; print(submitit.SlurmExecutor.name(), submitit.__file__)"
    argv = [sys.executable, "-S", "-c", code]
    env = {"PYTHONPATH": str(tmp_path / "submitit.zip")}
    told = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"slurm {tmp_path}/submitit.zip/")


def test_without_submitit_here(monkeypatch: pytest.MonkeyPatch) -> None:
    functions._zipped.cache_clear()
    monkeypatch.setattr(functions, "find_spec", lambda name: None)
    with pytest.raises(WulflingError, match="submitit is not installed here") as missing:
        functions._zipped()
    assert missing.value.hint == 'pip install "wulfling[submit]"'


def test_another_python_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    done = driver(tmp_path, "2.7")
    assert done.returncode == 1
    assert done.stderr.startswith("the function was pickled by Python 2.7, and this is Python 3.")


def test_what_submitit_refuses_is_told_without_traceback(tmp_path: Path) -> None:
    (tmp_path / "submitit.zip").write_bytes(functions._zipped())
    call = {"function": sum, "arguments": [(([1],), {})], "parameters": {}}
    (tmp_path / "call.pkl").write_bytes(cloudpickle.dumps(call))
    done = driver(tmp_path, "{}.{}".format(*sys.version_info[:2]))
    assert done.returncode == 1
    assert done.stderr.startswith("RuntimeError: ") and "srun" in done.stderr


def test_a_module_travels_by_value_and_only_then() -> None:
    module = ModuleType("mine")
    exec("def twice(n): return n * 2", module.__dict__)
    sys.modules["mine"] = module
    pickled = functions._pickled(module.twice, (module,))
    by_name = functions._pickled(module.twice, ())
    del sys.modules["mine"]
    assert functions._unpickled(pickled)(21) == 42  # type: ignore[operator]
    with pytest.raises(ModuleNotFoundError):
        functions._unpickled(by_name)


async def test_it_works_where_a_loop_runs() -> None:
    async def answer() -> int:
        return 42

    assert functions._now(answer()) == 42
