"""``wulfling-backup`` on a board: what its timers run, and restic with all that it needs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from wulfling.errors import WulflingError
from wulfling.node.backup import PROGRESS, Settings, read_settings
from wulfling.node.backup.done import DRILL, HEAD, HOMES, note
from wulfling.node.backup.drill import drill, keep
from wulfling.node.backup.process import become
from wulfling.node.backup.repository import Repository
from wulfling.node.backup.save import save_head, save_homes
from wulfling.node.board import Board

LOCK = "/run/wulfling-backup.lock"
USAGE = 64  # of sysexits.h

Work = Callable[[Board, Settings, Repository, Callable[[str], None]], Any]
WORK: dict[str, Work] = {HEAD: save_head, HOMES: save_homes, DRILL: drill}


def main(words: Sequence[str], board: Board | None = None) -> int:
    """Do what the first word says, and give the exit code."""
    board = board or Board()
    settings = read_settings(board)
    if settings is None:
        sys.stderr.write("this board saves nothing: the cluster file has no `backup:`\n")
        return 1
    if words[:1] == ["restic"]:
        return become(Repository(settings).program(*words[1:]))
    if len(words) != 1 or words[0] not in WORK:
        sys.stderr.write(f"usage: wulfling-backup {'|'.join(WORK)}|restic WORDS\n")
        return USAGE
    with _turn(board):
        return _do(board, settings, words[0])


def _do(board: Board, settings: Settings, what: str) -> int:
    began = time.monotonic()
    repository = Repository(settings)
    try:
        repository.prepare()
        facts = WORK[what](board, settings, repository, lambda words: _tell(board, what, words))
        if what == DRILL:  # only what was seen to be good makes older ones needless
            keep(settings, repository, lambda words: _tell(board, what, words))
    except (WulflingError, OSError) as error:
        hint = getattr(error, "hint", "")
        said = " ".join(str(error).split())
        note(board, what, tried=time.time(), error=f"{said} ({hint})" if hint else said)
        sys.stderr.write(f"{what}: {error}\n")
        return 1
    finally:
        board.path(f"{PROGRESS}/{what}").unlink(missing_ok=True)
    seconds = round(time.monotonic() - began, 1)
    now = time.time()
    note(board, what, at=now, tried=now, error="", seconds=seconds, facts=facts)
    sys.stdout.write(f"{what}: done in {seconds:g} s: {facts}\n")
    return 0


def _tell(board: Board, what: str, words: str) -> None:
    """For the journal, and for whoever waits for the end."""
    sys.stdout.write(f"{what}: {words}\n")
    sys.stdout.flush()
    place = board.path(f"{PROGRESS}/{what}")
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    place.write_text(f"{words}\n", encoding="utf-8")


@contextmanager
def _turn(board: Board) -> Iterator[None]:
    """One at a time on a small board; the system drops the lock of a process that dies."""
    place: Path = board.path(LOCK)
    with open(place, "w") as handle:
        flock(handle, LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
