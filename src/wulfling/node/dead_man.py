"""What takes a change back by itself when whoever made it has locked himself out.

A timer of systemd brings back what was there before. Only somebody who comes in by a *new*
connection stops it: the one that is open goes on, whatever was changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from wulfling.errors import WulflingError
from wulfling.node.board import Board

PATIENCE = 120  # seconds until it is taken back
FIREWALL = "wulfling-firewall-revert"
LOGIN = "wulfling-login-revert"

_ARM = ("systemd-run", "--quiet", "--collect")


def arm(board: Board, unit: str, argv: Sequence[str], patience: int = PATIENCE) -> None:
    """Have ``argv`` run in ``patience`` seconds. Raises ``CommandFailed``."""
    when = (f"--unit={unit}", "--timer-property=AccuracySec=1", f"--on-active={patience}")
    board.run([*_ARM, *when, *argv])


def disarm(board: Board, unit: str) -> bool:
    """Stop the timer; false when none was armed, or it has gone off."""
    code, _, _ = board.ask(["systemctl", "stop", f"{unit}.timer"])
    return code == 0


def confirm(board: Board) -> None:
    """Somebody came in anew: nothing is taken back. Raises ``WulflingError`` when that has
    happened already."""
    stopped = [disarm(board, unit) for unit in (FIREWALL, LOGIN)]
    if not any(stopped):
        raise WulflingError("what was there before was back already")
