"""One order of a laptop, from its first line to the answer."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from wulfling.errors import WulflingError
from wulfling.node.desk import slurm, tree
from wulfling.node.desk.slurm import Job, Silent
from wulfling.node.desk.tree import KEPT

HELLO = b"wulfling desk 1\n"
"""Its first line; whatever comes before is the talk of a login shell."""

JOBS = "wulfling-jobs"
"""The folder in a person's home with a folder for each job."""

_LOOK = 0.3  # seconds between two looks at the output
_ASK = (0.5, 3.0)  # ... and between two questions to the controller: soon after news, then later
_CHUNK = 1 << 16


def main(incoming: IO[bytes], outgoing: IO[bytes]) -> int:
    """Serve the person whose process this is; the exit code of this process."""
    os.chdir(Path.home())
    return Desk(incoming, outgoing, Path.home()).serve()


class Desk:
    """One conversation. ``incoming`` holds the order on its first line, then what it brings."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], home: Path) -> None:
        self._in, self._out = incoming, outgoing
        self._jobs = home / JOBS

    def serve(self) -> int:
        """Hear the order and do it; 1 when nobody listens any more."""
        verbs = {
            "submit": self._submit,
            "follow": self._follow,
            "list": self._list,
            "cancel": self._cancel,
            "fetch": self._fetch,
        }
        try:
            self._out.write(HELLO)
            self._out.flush()
            order = json.loads(self._in.readline())
            try:
                verbs[order["do"]](order)
            except BrokenPipeError:
                raise
            except WulflingError as error:
                self._say(error=error.message, hint=error.hint)
            except OSError as error:
                self._say(error=f"{error.filename or self._jobs}: {error.strerror}", hint="")
        except (BrokenPipeError, ValueError):
            return 1
        return 0

    def _say(self, **message: Any) -> None:
        self._out.write(json.dumps(message).encode() + b"\n")
        self._out.flush()

    def _send(self, data: bytes, **message: Any) -> None:
        self._out.write(json.dumps({**message, "bytes": len(data)}).encode() + b"\n" + data)
        self._out.flush()

    def _submit(self, order: Job) -> None:
        """Take the folder in and submit its job; the same token twice is one job."""
        folder = self._jobs / f"{order['name']}-{order['token']}"
        kept = folder / KEPT
        self._jobs.mkdir(mode=0o700, exist_ok=True)
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(kept / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = tree.read_json(kept / "job.json")
            if record is None:
                self._take_in(folder, order)
                record = submitted(folder, order, lock.fileno())
            self._say(job=record["job"], folder=str(folder))

    def _take_in(self, folder: Path, order: Job) -> None:
        """Bring the folder to what the laptop's list says; only what is not here is sent."""
        files = order["files"]
        before = self._before(order["origin"])
        tree.make(folder, files)
        wanted = [
            number
            for number, entry in enumerate(files)
            if entry["kind"] == "file"
            and not tree.is_there(folder / entry["path"], entry)
            and not (before and tree.copied(before, folder, entry))
        ]
        need, free = sum(files[n]["size"] for n in wanted), shutil.disk_usage(folder).free
        if need > free:
            raise WulflingError(
                f"{need} bytes to send, and {folder} has {free} bytes left",
                hint="remove folders of old jobs there, or exclude files in .wulflingignore",
            )
        self._say(wanted=wanted)
        for number in wanted:
            self._take(folder, files[number])
        tree.write_beside(folder / KEPT / "sent.json", json.dumps(files))

    def _take(self, folder: Path, entry: Job) -> None:
        fresh = folder / KEPT / "incoming"
        with open(fresh, "wb") as file:
            while size := int(self._in.readline()):
                data = self._in.read(size)
                if len(data) < size:
                    raise BrokenPipeError
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        tree.put(fresh, folder / entry["path"], entry)

    def _before(self, origin: Job) -> Path | None:
        """The newest folder that was sent from the same place."""
        same = [record for record in self._records() if record["origin"] == origin]
        newest = max(same, key=lambda record: float(record["at"]), default=None)
        return Path(newest["folder"]) if newest else None

    def _records(self) -> Iterator[Job]:
        for file in self._jobs.glob(f"*/{KEPT}/job.json"):
            if record := tree.read_json(file):
                yield {**record, "folder": str(file.parents[1])}

    def _record(self, job: str) -> Job | None:
        wanted = job.split("_", maxsplit=1)[0]
        return next((record for record in self._records() if record["job"] == wanted), None)

    def _follow(self, order: Job) -> None:
        """Output from a byte on and news of the state, until the job has ended, or for now."""
        asked, pause, told = 0.0, 0.0, None
        record = self._record(order["job"])
        state: Job = {"state": "UNKNOWN", "ended": False, "host": "", "paths": {}}
        while True:
            if time.monotonic() - asked >= pause:
                state = self._news(order, record, state)
                asked, pause = time.monotonic(), min(_ASK[1], max(_ASK[0], pause * 1.5))
                if state != told:
                    self._say(state=state)
                    told, pause = state, _ASK[0]
                here = order["mute"] or state["host"] in order["stay"]
                if not here and slurm.runs_elsewhere(state):
                    return
            if not order["mute"]:
                self._pump(state["paths"], order["at"])
            if state["ended"] or not order["wait"]:
                self._say(end=state)
                return
            if select.select([self._in], [], [], _LOOK)[0]:
                return  # the laptop hung up

    def _news(self, order: Job, record: Job | None, state: Job) -> Job:
        try:
            news = self._state(order["job"], record)
        except Silent as silent:
            if not order["wait"]:
                raise
            return {**state, "silent": silent.message}
        if news["array"] and "_" not in order["job"] and not order["mute"]:
            raise WulflingError(
                f"job {order['job']} is an array, and each task has output of its own",
                hint=f"wulfling logs -f {order['job']}_0",
            )
        if news["restarts"] > order["restarts"]:
            # It began again, and so does its file.
            order["restarts"] = news["restarts"]
            order["at"].clear()
            self._say(again=news["restarts"])
        return news

    def _pump(self, paths: dict[str, str], at: dict[str, int]) -> None:
        """Send what each stream has beyond its byte. The file is opened each time, because
        NFS looks for news when a file is opened (nfs(5), close-to-open)."""
        for stream, path in paths.items():
            try:
                with open(path, "rb") as file:
                    file.seek(at.setdefault(stream, 0))
                    while data := file.read(_CHUNK):
                        self._send(data, stream=stream)
                        at[stream] += len(data)
            except FileNotFoundError:
                pass

    def _state(self, job: str, record: Job | None) -> Job:
        """How a job is: from the controller, or, long after its end, from the accounting."""
        shown = slurm.show(job)
        if shown is not None:
            return slurm.state_of(shown)
        kept = slurm.accounted(job)
        if kept is None:
            raise WulflingError(f"there is no job {job}", hint="wulfling jobs")
        return {**kept, "paths": slurm.paths_of_task(record["paths"], job) if record else {}}

    def _list(self, order: Job) -> None:
        folders = {record["job"]: record["folder"] for record in self._records()}
        rows = {row["job"]: row for row in [*slurm.from_accounting(), *slurm.from_queue()]}
        for row in rows.values():
            row["folder"] = folders.get(row["job"].split("_")[0], "")
        self._say(jobs=list(rows.values()))

    def _cancel(self, order: Job) -> None:
        for job in order["jobs"]:
            state = self._state(job, None)
            if not state["ended"]:
                slurm.say("scancel", job)
            self._say(cancelled=job, ended=state["state"] if state["ended"] else "")

    def _fetch(self, order: Job) -> None:
        """List what the job made or changed, then send each part that is asked for."""
        job = order["job"]
        record = self._record(job)
        if record is None:
            raise WulflingError(
                f"the folder of job {job} was not sent from a laptop, or it is gone",
                hint="`wulfling jobs` shows the folders of those that were",
            )
        folder = Path(record["folder"])
        files = list(tree.results(folder))
        state = self._state(job, record)
        self._say(folder=str(folder), origin=record["origin"], state=state, files=files)
        while line := self._in.readline():
            part = json.loads(line)
            with open(folder / part["path"], "rb") as file:
                file.seek(part["from"])
                while data := file.read(_CHUNK):
                    self._send(data)
            self._say(bytes=0)


def submitted(folder: Path, order: Job, lock: int) -> Job:
    """The record of the folder's job, which is submitted unless it was already.

    Between sbatch's success and our note of it the power may go. So an attempt is noted first,
    and who finds that note asks Slurm for a job that works in this folder.
    """
    attempt = folder / KEPT / "attempt"
    job = None
    if attempt.exists():
        job = slurm.working_in(folder, time.time() - attempt.stat().st_mtime)
    if job is None:
        tree.write_beside(attempt, "")
        argv = order["instead"] or ["sbatch", "--parsable", f"--chdir={folder}", *order["words"]]
        # sbatch holds the lock as well: it may outlive us.
        said = slurm.say(*argv, cwd=folder, keep=(lock,))
        job = said.strip().splitlines()[-1].split(";")[0]
    shown = slurm.show(job)
    paths = slurm.state_of(shown)["paths"] if shown else {}
    record = {"job": job, "paths": paths, "origin": order["origin"], "at": time.time()}
    tree.write_beside(folder / KEPT / "job.json", json.dumps(record))
    return record
