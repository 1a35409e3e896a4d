"""Live progress of an apply: a line for each node on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from wulfling.converge.events import (
    Begin,
    Connected,
    Done,
    Event,
    Hello,
    Lost,
    StepDone,
    Waiting,
)
from wulfling.model.plan import Status

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


class Progress:
    """Takes the events of a conversation and shows where every node is."""

    def __init__(self, nodes: Sequence[str], *, shown: bool) -> None:
        self._at = dict.fromkeys(nodes, "connecting")
        self._changed = dict.fromkeys(nodes, 0)
        self._ended: dict[str, float] = {}
        self._started = time.monotonic()
        self._live: Live | None = None
        self._shown = shown and sys.stderr.isatty()

    def __enter__(self) -> Progress:
        if self._shown:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                get_renderable=self._table, console=Console(stderr=True), refresh_per_second=8
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def take(self, event: Event) -> None:
        """Note one event."""
        match event:
            case Connected(node):
                self._at[node] = "asking what is there"
            case Hello(node):
                self._at[node] = "comparing"
            case Begin(node, key):
                self._at[node] = key
            case Waiting(node, what):
                self._at[node] = f"waits for {what}"
            case StepDone(step):
                self._at[step.node] = "comparing"
                self._changed[step.node] += step.status is Status.CHANGED
            case Done(node):
                self._end(node, "done")
            case Lost(node, error):
                self._end(node, f"lost: {error.message.splitlines()[0]}")

    def _end(self, node: str, words: str) -> None:
        self._at[node] = words
        self._ended[node] = time.monotonic()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for node, at in self._at.items():
            seconds = self._ended.get(node, now) - self._started
            table.add_row(node, f"{seconds:5.0f} s", f"{self._changed[node]:3} changed", Text(at))
        return table
