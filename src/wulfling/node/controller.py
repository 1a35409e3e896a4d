"""The wire to the controller: JSON lines both ways over the pipes of one SSH session."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any


class ControllerGone(Exception):
    """Nobody is steering any more."""


class Controller:
    """What the controller says, and a way to tell it things."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._next = self._read
        self._gone = False

    def tell(self, **event: Any) -> None:
        """Send one event. Raises ``ControllerGone`` when nobody listens."""
        try:
            self._outgoing.write(json.dumps(event).encode() + b"\n")
            self._outgoing.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            raise ControllerGone from None
        if self._gone:
            raise ControllerGone

    def hear(self) -> dict[str, Any]:
        """The next thing the controller says. Raises ``ControllerGone`` when it has died."""
        said = None if self._gone else self._next()
        if said is None:
            raise ControllerGone
        return said

    def call_when_gone(self, act: Callable[[], None]) -> None:
        """Listen all the time from now on, and call ``act``, from another thread, when the
        controller dies."""
        import queue  # a plan needs neither, and they are slow to load on a small board
        import threading

        heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

        def listen() -> None:
            while said := self._read():
                heard.put(said)
            self._gone = True
            act()
            heard.put(None)

        threading.Thread(target=listen, daemon=True).start()
        self._next = heard.get

    def _read(self) -> dict[str, Any] | None:
        """The next message, ``None`` when there will be none: at the end, at a line that was
        cut off, and at one that no controller of ours would send."""
        try:
            line = self._incoming.readline()
            said = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None
