"""Functions as jobs: what travels with them. The lab has them called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cloudpickle
import pytest

import wulfling
from wulfling.errors import WulflingError
from wulfling.jobs import functions


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
