"""Python functions as jobs: ``wulfling.Cluster("cluster.yaml").submit(function, 1, 2).result()``.

submitit does the work, unchanged, on the cluster: its Slurm executor makes the batch script,
calls the function, keeps the result. It travels with the function, because it is three pure
Python packages: nothing has to be installed there, and both sides have the same version.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from wulfling.errors import WulflingError
from wulfling.jobs.door import Door, door
from wulfling.jobs.fetch import read
from wulfling.jobs.folder import packed
from wulfling.jobs.follow import State, follow
from wulfling.jobs.queue import cancel
from wulfling.jobs.submit import new_token, submit

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGES = ("submitit", "cloudpickle", "typing_extensions")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MTIME = 315532800  # the same each time, so that the zip is copied over there and not sent again

# Runs on the cluster, in the folder of the job, and prints the number of the job for the desk.
_DRIVER = '''\
"""Has submitit submit what is in call.pkl."""
import pathlib, pickle, shlex, sys

here = pathlib.Path(__file__).resolve().parent
if "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit("the function was pickled by Python " + sys.argv[1] + ", and this is Python "
        "%d.%d; next: Cluster(python=...) with a Python " % sys.version_info[:2] + sys.argv[1])
sys.path.insert(0, str(here / "submitit.zip"))
try:
    import submitit
    call = pickle.loads((here / "call.pkl").read_bytes())
    path = "PYTHONPATH=" + shlex.quote(str(here / "submitit.zip")) + "${PYTHONPATH:+:$PYTHONPATH}"
    executor = submitit.AutoExecutor(
        folder=here / "submitit", cluster="slurm",
        slurm_python="env " + path + " " + shlex.quote(sys.executable))
    executor.update_parameters(**call["parameters"])
    with executor.batch():
        jobs = [executor.submit(call["function"], *a, **k) for a, k in call["arguments"]]
    print(jobs[0].job_id.split("_")[0])
except Exception as error:
    sys.exit(type(error).__name__ + ": " + str(error))
'''


class Cluster:
    """The cluster of a cluster file, for jobs that are Python functions.

    ``person`` is one of its `people:` (as with ``--as``). ``python`` is the Python that calls
    the functions there, of the same minor version as this one. Modules in ``by_value`` travel
    with the function; others that it imports have to be on the cluster.
    """

    def __init__(
        self,
        file: str | Path,
        person: str | None = None,
        *,
        python: str = "/usr/bin/python3",
        by_value: Iterable[ModuleType] = (),
    ) -> None:
        self._door = door(Path(file), person)
        self._python = python
        self._by_value = tuple(by_value)
        self._parameters: dict[str, Any] = {"name": "wulfling"}

    def update_parameters(self, **parameters: Any) -> None:
        """What the next jobs ask Slurm for, under submitit's names: ``timeout_min``,
        ``mem_gb``, ``cpus_per_task``, ``nodes``, ``tasks_per_node``, ``slurm_partition``..."""
        self._parameters.update(parameters)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Call ``function`` with these arguments in a job.

        Raises ``WulflingError`` with what submitit or sbatch said.
        """
        number = self._submit(function, [(args, kwargs)])
        return Job(self._door, number)

    def map_array(self, function: Callable[..., R], *iterables: Iterable[Any]) -> list[Job[R]]:
        """A job for each set of arguments, as with ``map``, all in one array of Slurm."""
        calls: list[tuple[Any, Any]] = [(args, {}) for args in zip(*iterables, strict=True)]
        if not calls:
            return []
        number = self._submit(function, calls)
        if len(calls) == 1:
            return [Job(self._door, number)]
        return [Job(self._door, f"{number}_{task}") for task in range(len(calls))]

    def job(self, number: str) -> Job[Any]:
        """A job that was submitted before, perhaps by another process, by its number."""
        return Job(self._door, number)

    def _submit(self, function: Callable[..., Any], calls: Sequence[tuple[Any, Any]]) -> str:
        submitit_zip = _zipped()
        call = {"function": function, "arguments": calls, "parameters": self._parameters}
        pickled = _pickled(call, self._by_value)
        version = "{}.{}".format(*sys.version_info[:2])
        name = re.sub(r"[^A-Za-z0-9_.-]", "", getattr(function, "__name__", "")) or "function"
        with tempfile.TemporaryDirectory(prefix="wulfling-") as box:
            folder = Path(box, "call")
            folder.mkdir(mode=0o700)
            (folder / "call.pkl").write_bytes(pickled)
            (folder / "driver.py").write_text(_DRIVER, encoding="utf-8")
            (folder / "submitit.zip").write_bytes(submitit_zip)
            os.utime(folder / "submitit.zip", (_MTIME, _MTIME))
            work = submit(
                self._door,
                packed(folder, large=True),
                new_token(),
                _say_nothing,
                instead=(self._python, "driver.py", version),
                name=name,
                origin_folder="python",
            )
            return _now(work).job


class Job(Generic[R]):
    """A function that was submitted; the names are submitit's."""

    def __init__(self, way: Door, number: str) -> None:
        self._door = way
        self.job_id = number

    def __repr__(self) -> str:
        return f"Job({self.job_id})"

    def wait(self) -> State:
        """Return when the job has ended, with its last state."""
        return _now(follow(self._door, self.job_id, _drop, _say_nothing, mute=True))

    @property
    def state(self) -> str:
        """Its state now, in Slurm's word."""
        work = follow(self._door, self.job_id, _drop, _say_nothing, mute=True, wait=False)
        return _now(work).state

    def done(self) -> bool:
        """Whether it has ended."""
        work = follow(self._door, self.job_id, _drop, _say_nothing, mute=True, wait=False)
        return _now(work).ended

    def result(self) -> R:
        """What the function returned, once the job has ended.

        Raises submitit's ``FailedJobError`` with the traceback when the function raised, and
        its ``UncompletedJobError`` when the job ended without a result.
        """
        return self.results()[0]

    def results(self) -> list[R]:
        """What the function returned in each task of the job (``tasks_per_node``)."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        state = self.wait()
        kept = _now(read(self._door, self.job_id, f"submitit/{self.job_id}_*_result.pkl"))
        outcomes = [_unpickled(data) for _, data in sorted(kept.items(), key=_task)]
        if not outcomes:
            said = self.stderr() or self.stdout() or "and nothing was printed"
            raise UncompletedJobError(f"job {self.job_id} is {state.state}, without result: {said}")
        for outcome, value in outcomes:
            if outcome == "error":
                raise FailedJobError(f"job {self.job_id} failed:\n{value}")
        return [cast(R, value) for _, value in outcomes]

    def stdout(self) -> str:
        """What it has printed so far, all tasks one after the other."""
        return self._printed("out")

    def stderr(self) -> str:
        """What it has printed to stderr so far."""
        return self._printed("err")

    def cancel(self) -> None:
        """Cancel it; when it has ended, nothing happens."""
        _now(cancel(self._door, [self.job_id], _say_nothing))

    def _printed(self, stream: str) -> str:
        kept = _now(read(self._door, self.job_id, f"submitit/{self.job_id}_*_log.{stream}"))
        parts = [data for _, data in sorted(kept.items(), key=_task)]
        return b"".join(parts).decode(errors="replace")


def _task(item: tuple[str, bytes]) -> int:
    """The number of the task that a file of submitit is from: JOB_TASK_result.pkl."""
    return int(item[0].rsplit("_", 2)[1])


def _now(work: Coroutine[Any, Any, R]) -> R:
    """The result of ``work``, also inside a running event loop, as Jupyter has one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _pickled(call: Any, by_value: Sequence[ModuleType]) -> bytes:
    import cloudpickle

    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cast(bytes, cloudpickle.dumps(call))
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _unpickled(data: bytes) -> tuple[str, Any]:
    import cloudpickle

    return cast("tuple[str, Any]", cloudpickle.loads(data))


@lru_cache(maxsize=1)
def _zipped() -> bytes:
    """submitit and what it imports, as they are installed here."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in _PACKAGES:
            found = find_spec(package)
            if found is None or found.origin is None:
                raise WulflingError(
                    f"{package} is not installed here", hint='pip install "wulfling[submit]"'
                )
            origin = Path(found.origin)
            files = origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin]
            root = origin.parent.parent if origin.name == "__init__.py" else origin.parent
            for file in sorted(files):
                item = zipfile.ZipInfo(file.relative_to(root).as_posix(), _EPOCH)
                archive.writestr(item, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _drop(stream: str, data: bytes) -> None:
    """Nobody reads it."""


def _say_nothing(words: str) -> None:
    """A library is quiet."""
