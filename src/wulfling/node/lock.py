"""One apply at a time on a board: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wulfling.errors import Locked

TELL_EVERY = 10.0  # seconds; telling also shows whether our own controller still listens
GRACE_SECONDS = 5.0  # a killed controller is noticed within this time
PATIENCE_SECONDS = 900.0  # how long a board may take to finish what a killed apply began


class BoardLock:
    """The lock file, held from ``take`` until ``free`` or the end of this process.

    The file says who holds it. A holder whose controller has died says so too (``orphan``):
    it finishes the resource it is at and ends, and the next apply waits for that.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, operator: str, waiting: Callable[[str], None]) -> None:
        """Hold the lock, waiting for a holder without a controller.

        Raises ``Locked``, with the holder's name, when somebody alive holds it.
        """
        started = time.monotonic()
        told = float("-inf")
        while not self._try():
            holder = self._holder()
            waited = time.monotonic() - started
            orphan = bool(holder.get("orphan"))
            if waited > (PATIENCE_SECONDS if orphan else GRACE_SECONDS):
                by = str(holder.get("operator", "somebody"))
                raise Locked(f"{by} is changing this board since {holder.get('since', '?')}")
            if orphan and time.monotonic() - told > TELL_EVERY:
                waiting(f"a killed apply of {holder.get('operator')} to finish its last step")
                told = time.monotonic()
            time.sleep(0.1)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._write({"operator": operator, "since": since, "orphan": False})

    def orphan(self) -> None:
        """Tell whoever waits that nobody is steering any more."""
        with suppress(OSError):  # it was freed at the same moment
            self._write({**self._holder(), "orphan": True})

    def free(self) -> None:
        """Let the next one in."""
        os.close(self._file)
        self._file = -1

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> dict[str, object]:
        try:
            found = json.loads(os.pread(self._file, 4096, 0) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, holder: dict[str, object]) -> None:
        data = json.dumps(holder).encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
