"""``wulfling run``, ``submit``, ``jobs``, ``logs``, ``cancel`` and ``fetch``: jobs from here."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT
from wulfling.errors import WulflingError
from wulfling.jobs import folder as folders
from wulfling.jobs.door import Door, door
from wulfling.jobs.fetch import Fetched
from wulfling.jobs.fetch import fetch as bring
from wulfling.jobs.follow import State, follow
from wulfling.jobs.queue import cancel as end
from wulfling.jobs.queue import jobs as listed
from wulfling.jobs.queue import numbered
from wulfling.jobs.submit import Submitted, checked, new_token
from wulfling.jobs.submit import submit as send

T = TypeVar("T")
Command = Callable[..., Any]

HEADER = ("JOB", "NAME", "STATE", "ELAPSED", "NODES", "REASON", "FOLDER")
KEYS = {
    "job": "Its number; `42_7` is a task of an array",
    "name": "Its name",
    "state": "Slurm's word for its state",
    "elapsed": "How long it has run, as Slurm writes it",
    "nodes": "Where it runs or ran",
    "reason": "Why it waits",
    "submitted": "When it was submitted, by the clock of the cluster",
    "folder": "Its folder on the cluster; empty when it was not sent from a laptop",
}
AS = click.option("--as", "person", metavar="NAME", help="One of `people:`, whose job it is.")
# What comes after our own options is sbatch's, and is given as it is.
SBATCH = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def _sending(command: Command) -> Command:
    for option in (
        click.argument(
            "words", nargs=-1, type=click.UNPROCESSED, metavar="[SBATCH OPTIONS] SCRIPT"
        ),
        AS,
        click.option(
            "--token", metavar="WORD", help="Names the submission: the same one again is one job."
        ),
        click.option("--large", is_flag=True, help="Also from 20,000 files or 1 GiB on."),
        click.option(
            "--folder",
            type=click.Path(path_type=Path),
            default=Path(),
            help="What is sent; the current folder without it.",
        ),
    ):
        command = option(command)
    return command


@click.command(context_settings=SBATCH)
@_sending
@click.pass_obj
def submit(
    file: Path,
    *,
    words: tuple[str, ...],
    person: str | None,
    token: str | None,
    large: bool,
    folder: Path,
) -> None:
    """Send a folder and submit its batch SCRIPT; print the number of the job.

    What follows our own options are words for sbatch(1): its options, the script of the folder,
    and the script's arguments. Then `logs -f`, `cancel` and `fetch` take the number.
    """
    to = door(file, person)
    job = _submit(to, words, token, large, folder)
    click.echo(job.job)
    click.echo(f"next: wulfling -f {file} logs -f {job.job}", err=True)


@click.command(context_settings=SBATCH)
@_sending
@click.pass_obj
def run(
    file: Path,
    *,
    words: tuple[str, ...],
    person: str | None,
    token: str | None,
    large: bool,
    folder: Path,
) -> int:
    """Send a folder, submit its batch SCRIPT, show its output, and bring back what it made.

    The words are those of `submit`. The exit code is the job's: 128 and the signal that ended
    it, 124 after its time limit, 137 for too much memory, 143 when it was cancelled. Ctrl-C
    ends the watching and not the job.
    """
    to = door(file, person)
    job = _submit(to, words, token, large, folder).job
    state = _follow(to, job, wait=True)
    if state is None:
        return 130
    _tell_fetched(_fetch(to, job, None))
    return state.exit_code


@click.command()
@AS
@OUTPUT
@click.pass_obj
def jobs(file: Path, person: str | None, output: str) -> None:
    """Your jobs of the last week, with the folder of each that was sent from here."""
    to = door(file, person)
    rows = asyncio.run(listed(to, _tell))
    if output == "json":
        click.echo(show.as_json([asdict(row) for row in rows]))
        return
    cells = [
        (row.job, row.name, row.state, row.elapsed, row.nodes, row.reason, row.folder)
        for row in rows
    ]
    for line in show.table(HEADER, cells):
        click.echo(line)


@click.command()
@click.argument("job")
@AS
@click.option("-f", "--follow", "wait", is_flag=True, help="Go on until the job has ended.")
@click.pass_obj
def logs(file: Path, job: str, person: str | None, wait: bool) -> int:
    """What JOB has printed: stdout here to stdout, and stderr to stderr where it has a file.

    With -f a dropped connection is made anew, and the output goes on at the byte where it
    broke off; the exit code is then the job's, as with `run`.
    """
    state = _follow(door(file, person), numbered(job), wait=wait)
    if state is None:
        return 130
    return state.exit_code if wait else 0


@click.command()
@click.argument("numbers", nargs=-1, required=True, metavar="JOB...")
@AS
@click.pass_obj
def cancel(file: Path, numbers: tuple[str, ...], person: str | None) -> None:
    """Cancel jobs of yours. One that has ended already stays as it is."""
    to = door(file, person)
    told = asyncio.run(end(to, [numbered(number) for number in numbers], _tell))
    for number, state in told.items():
        click.echo(f"job {number}: {f'had ended, {state}' if state else 'cancelled'}")


@click.command()
@click.argument("job")
@AS
@click.option("--to", "target", type=click.Path(path_type=Path), help="Into this folder instead.")
@click.pass_obj
def fetch(file: Path, job: str, person: str | None, target: Path | None) -> None:
    """Bring back what JOB made or changed, into the folder `job-JOB` in the one that was sent.

    What is here already is not brought again, and half a file goes on where it broke off.
    """
    _tell_fetched(_fetch(door(file, person), numbered(job), target))


def _submit(
    to: Door, words: tuple[str, ...], token: str | None, large: bool, folder: Path
) -> Submitted:
    parcel = folders.packed(folder, large=large)
    words = checked(words, parcel)
    for name in parcel.left_out:
        click.echo(f"left out: {name} is neither file nor folder", err=True)
    token = token or new_token()
    files = f"{parcel.files} file{'s' * (parcel.files != 1)}, {folders.size(parcel.bytes)}"
    click.echo(f"{parcel.root.name}: {files}, as {to.person} on {to.address.node}", err=True)
    with _Meter("sent") as meter:
        coroutine = send(to, parcel, token, _tell, words=words, sent=meter.of)
        try:
            job = asyncio.run(coroutine)
        except (KeyboardInterrupt, WulflingError):
            click.echo(f"token: {token}   # with --token it is never submitted twice", err=True)
            raise
    click.echo(f"job {job.job} in {job.folder}", err=True)
    return job


def _follow(to: Door, job: str, *, wait: bool) -> State | None:
    """Show a job's output; its last state, or None when the watching was interrupted."""
    told = ""

    def take(stream: str, data: bytes) -> None:
        target = sys.stderr if stream == "err" else sys.stdout
        target.buffer.write(data)
        target.flush()

    def news(state: State) -> None:
        nonlocal told
        where = f" on {state.nodes}" if state.nodes else ""
        why = f" ({state.reason})" if state.reason and not state.nodes else ""
        words = f"job {job}: {state.silent or f'{state.state}{where}{why}'}"
        if wait and words != told:
            click.echo(words, err=True)
        told = words

    try:
        return asyncio.run(follow(to, job, take, _tell, news, wait=wait))
    except KeyboardInterrupt:
        told = f"job {job} goes on; wulfling -f {to.file} logs -f {job}, or cancel {job}"
        click.echo(told, err=True)
        return None


def _fetch(to: Door, job: str, target: Path | None) -> Fetched:
    with _Meter("fetched") as meter:
        return asyncio.run(bring(to, job, target, _tell, meter.more))


def _tell_fetched(fetched: Fetched) -> None:
    old = fetched.files - fetched.brought
    already = f", {old} were here" if old else ""
    running = "" if fetched.ended else "; the job has not ended"
    size = folders.size(fetched.bytes)
    click.echo(f"{fetched.folder}: {fetched.brought} files, {size}{already}{running}", err=True)


def _tell(words: str) -> None:
    click.echo(words, err=True)


class _Meter:
    """Bytes on their way, on one line of a terminal; silent in a pipe."""

    def __init__(self, verb: str) -> None:
        self._verb, self._shown, self._at, self._all = verb, sys.stderr.isatty(), 0.0, 0

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown and self._at:
            click.echo("\r\033[K", nl=False, err=True)

    def of(self, done: int, all_: int) -> None:
        """``done`` bytes of ``all_``."""
        self._show(f"{folders.size(done)} of {folders.size(all_)}")

    def more(self, size: int) -> None:
        """``size`` bytes more."""
        self._all += size
        self._show(folders.size(self._all))

    def _show(self, words: str) -> None:
        if self._shown and time.monotonic() - self._at > 0.2:
            self._at = time.monotonic()
            click.echo(f"\r\033[K{self._verb} {words}", nl=False, err=True)


__all__ = ["cancel", "fetch", "jobs", "logs", "run", "submit"]
