"""What came of the last backups and drills of this board, for doctor, status and `backup now`."""

from __future__ import annotations

import json
from typing import Any

from wulfling.node.backup import DONE, SETTINGS, read_settings
from wulfling.node.board import Board
from wulfling.node.resources.file import write_atomically

HEAD, HOMES, DRILL = "head", "homes", "drill"
"""What a board does by timer; ``head`` are the state of Slurm, the accounts and the secrets."""


def read_done(board: Board) -> dict[str, dict[str, Any]]:
    """By what was done: ``at``, when it last went well, in seconds since 1970; ``tried``, when
    it last ended; ``error``, why that went badly; ``seconds`` it took; and ``facts``."""
    try:
        found = json.loads(board.text(DONE) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def note(board: Board, what: str, **values: Any) -> None:
    """Keep what came of it; what it found when it last went well stays."""
    done = read_done(board)
    done[what] = {**done.get(what, {}), **values}
    write_atomically(board.path(DONE), json.dumps(done) + "\n", mode=0o600, uid=0, gid=0)


def backups(board: Board) -> tuple[tuple[str, float, str], ...]:
    """Each thing that this board does, when it last went well, and why not since, "" if it did.
    One that was never done counts from when it was first asked for."""
    settings = read_settings(board)
    if settings is None:
        return ()
    asked = board.path(SETTINGS).stat().st_mtime
    due = [(HEAD, settings.head), (HOMES, bool(settings.homes)), (DRILL, settings.saves)]
    done = read_done(board)
    return tuple(
        (what, float(found.get("at", asked)), str(found.get("error", "")))
        for what, is_due in due
        if is_due
        for found in [done.get(what, {})]
    )
