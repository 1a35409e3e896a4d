"""A question that may never be answered, asked in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

PATIENCE = 5.0  # seconds


class Background(Generic[Answer]):
    """Starts ``ask`` at once. A thread that hangs in the kernel ends with the process: waiting
    for NFS can be killed."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._answers: list[Answer] = []
        self._deadline = time.monotonic() + PATIENCE
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._answers.append(self._ask())

    def result(self, otherwise: Answer) -> Answer:
        """The answer, or ``otherwise`` when there is none ``PATIENCE`` seconds after the start."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        return self._answers[0] if self._answers else otherwise
