"""Starts the programs of a backup: with an environment of their own, and one into another."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from wulfling.errors import CommandFailed

PIECE = 1 << 16


@dataclass(frozen=True)
class Program:
    """A program with its environment (``None``: ours). ``called`` is what errors call it."""

    argv: tuple[str, ...]
    called: tuple[str, ...]
    environment: Mapping[str, str] | None = None


def ask(program: Program) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, once it has ended."""
    done = subprocess.run(
        program.argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=program.environment,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def become(program: Program) -> int:
    """Its exit code, after it had our own streams."""
    return subprocess.run(program.argv, env=program.environment, check=False).returncode


def pipe(source: Program, target: Program) -> None:
    """Send what ``source`` prints into ``target``.

    When ``source`` ends badly, ``target`` is killed before it sees an end of its input, which it
    would take for the end of the file. Raises ``CommandFailed``.
    """
    with _started(source, subprocess.DEVNULL, subprocess.PIPE) as one:
        assert one.stdout
        assert one.stderr
        with _started(target, subprocess.PIPE, subprocess.DEVNULL) as other:
            assert other.stdin
            assert other.stderr
            try:
                _pump(one.stdout, other.stdin)
                one.stdout.close()
                said = one.stderr.read()
                if one.wait() != 0 and other.poll() is None:
                    raise _failed(source, one.returncode, said)
                other.stdin.close()
                told = other.stderr.read()
            except BaseException:
                other.kill()
                one.kill()
                raise
        if other.returncode != 0:
            raise _failed(target, other.returncode, told)


def _started(program: Program, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program.argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=program.environment
    )


def _pump(source: IO[bytes], target: IO[bytes]) -> None:
    """Whoever reads may end early; why is told by its exit code."""
    try:
        while piece := source.read(PIECE):
            target.write(piece)
        target.flush()
    except BrokenPipeError:
        pass


def _failed(program: Program, code: int, said: bytes) -> CommandFailed:
    return CommandFailed(program.called, code, said.decode(errors="replace")[-2000:])
