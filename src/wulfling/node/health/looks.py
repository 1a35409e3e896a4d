"""What a board sees of itself: the facts that its own health check, status and doctor share.

Nothing is changed by looking, and what cannot be read hides nothing else: a dying disk may refuse
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from wulfling.model.health import Health
from wulfling.node.board import Board
from wulfling.node.health import clock, disk, network, power, processes

Look = Callable[[Board], dict[str, Any]]

LOOKS: tuple[Look, ...] = (
    power.measure,
    power.memory,
    disk.measure,
    network.cables,
    clock.measure,
    processes.measure,
)


def facts(board: Board, served: Iterable[str] = ()) -> dict[str, Any]:
    """Fields of ``Health`` that take no question to another board. ``served`` are folders whose
    file systems are looked at as well."""
    found: dict[str, Any] = {}
    unread = []
    rooms: Look = partial(disk.room, served=tuple(served))
    for see in (*LOOKS, rooms):
        try:
            found |= see(board)
        except OSError as error:
            unread.append(f"{error.filename or 'a file'} cannot be read: {error.strerror}")
    return {**found, "unread": tuple(unread)}


def look(board: Board, mounts: Iterable[str] = ()) -> Health:
    """These facts, and how shares look from here."""
    asked = disk.mounts(board, tuple(mounts))
    found = facts(board)
    return Health(**found, mounts=tuple(mount.collect() for mount in asked))
