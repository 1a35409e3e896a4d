"""The one door to local processes: everything wulfling starts on this machine starts here."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wulfling.errors import CommandFailed

if TYPE_CHECKING:
    # 25 ms that only the verbs which talk to boards have to pay.
    from asyncio.subprocess import Process


@dataclass(frozen=True)
class Finished:
    """What a process left behind. ``stdout`` and ``stderr`` are decoded as UTF-8."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    check: bool = True,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    hint: str = "",
) -> Finished:
    """Run ``argv`` to its end, without a shell, and return what it said.

    Raises ``CommandFailed`` when it cannot be started, when it exceeds ``timeout`` seconds,
    or, with ``check``, when it exits with anything but 0.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(argv, 124, f"no end after {late.timeout:g} s", hint=hint) from None
    except OSError as error:
        raise CommandFailed(argv, 127, str(error), hint=hint) from None
    finished = Finished(tuple(argv), done.returncode, done.stdout, done.stderr)
    if check and finished.code != 0:
        raise CommandFailed(argv, finished.code, finished.stderr or finished.stdout, hint=hint)
    return finished


def start(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.STDOUT,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``argv`` in a session of its own, so that it outlives us, and return at once.

    Raises ``CommandFailed`` when it cannot be started.
    """
    try:
        return subprocess.Popen(
            list(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(argv, 127, str(error)) from None


async def converse(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, longest_line: int = 1 << 26
) -> Process:
    """Start ``argv`` with a pipe on each of its three streams, for the running event loop.

    It is in a session of its own: a Ctrl-C at the terminal reaches us and not it, and it
    cannot ask the terminal for a password. ``longest_line`` is in bytes. Raises
    ``CommandFailed`` when it cannot be started.
    """
    import asyncio

    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env) if env is not None else None,
            start_new_session=True,
            limit=longest_line,
        )
    except OSError as error:
        raise CommandFailed(argv, 127, str(error)) from None
