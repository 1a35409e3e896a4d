"""Goes on after a dropped connection: the same work again, until it succeeds or hope is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from wulfling.errors import Unreachable
from wulfling.jobs.door import Door
from wulfling.transport.link import Unpinned

PATIENCE = 3600.0
"""Seconds without a connection until a verb gives up; a laptop may sleep over lunch."""

_LONGEST_PAUSE = 15.0

T = TypeVar("T")
Tell = Callable[[str], None]


class Hope:
    """How long to go on. Each success gives new hope; a board that never answered gets none."""

    def __init__(self, door: Door, tell: Tell) -> None:
        self._door, self._tell = door, tell
        self._lost_at: float | None = None
        self._pause = 0.0

    def renewed(self) -> None:
        """Something came through."""
        if self._lost_at is not None:
            self._tell("connected again")
        self._lost_at, self._pause = None, 0.0

    async def wait(self, error: Unreachable) -> None:
        """Pause before the next attempt, or raise ``error`` when there should be none."""
        now = time.monotonic()
        if not self._door.opened_by or isinstance(error, Unpinned):
            raise error
        if self._lost_at is None:
            self._lost_at = now
            self._tell(f"{error.message}; trying again")
        if now - self._lost_at > PATIENCE:
            raise error
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2 or 0.5, _LONGEST_PAUSE)


async def again(door: Door, tell: Tell, attempt: Callable[[], Awaitable[T]]) -> T:
    """What ``attempt`` gives. It is made again after each ``Unreachable``, so it has to be
    something that may be done twice."""
    hope = Hope(door, tell)
    while True:
        try:
            result = await attempt()
        except Unreachable as error:
            await hope.wait(error)
        else:
            hope.renewed()
            return result
