"""Follows a job: its output from the byte where it was left, and its state, to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from wulfling.errors import Unreachable, WulflingError
from wulfling.jobs.again import Hope, Tell
from wulfling.jobs.door import Door

_ATTEMPTS = 3

Take = Callable[[str, bytes], None]
"""Gets each piece of output: "out" or "err", and the bytes."""


@dataclass(frozen=True)
class State:
    """How a job is, in Slurm's words. ``code`` and ``signal`` are those of its exit."""

    state: str
    ended: bool
    code: int = 0
    signal: int = 0
    reason: str = ""
    nodes: str = ""
    host: str = ""
    silent: str = ""  # what Slurm's commands said instead of an answer

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> State:
        """From the desk's words."""
        return cls(**{name: message[name] for name in cls.__match_args__ if name in message})

    @property
    def exit_code(self) -> int:
        """What a shell would have for it: 128 and the signal, 124 for a time limit (as
        timeout(1)), 137 for memory, 143 for a cancelled job; 1 when Slurm has no code for a
        failure."""
        special = {"TIMEOUT": 124, "DEADLINE": 124, "OUT_OF_MEMORY": 137, "CANCELLED": 143}
        if self.state == "COMPLETED":
            return 0
        if self.state in special:
            return special[self.state]
        return self.code or (128 + self.signal if self.signal else 1)


@dataclass
class _Place:
    """Where we are in the output, and at which board; ``failed`` counts in vain attempts to go
    on from the door's board to another."""

    at: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    hop: str = ""
    failed: Counter[str] = field(default_factory=Counter)


async def follow(
    door: Door,
    job: str,
    take: Take,
    tell: Tell,
    news: Callable[[State], None] = lambda state: None,
    *,
    wait: bool = True,
    mute: bool = False,
) -> State:
    """Give ``take`` the output of ``job`` until it has ended, or, unless ``wait``, what there
    is; then its last state. ``mute`` leaves the output out.

    A dropped connection is made anew, and the output goes on at the byte where it broke off.
    Raises ``WulflingError`` when there is no such job, ``Unreachable`` after an hour.
    """
    place = _Place()
    hope = Hope(door, tell)
    last = State("UNKNOWN", ended=False)
    while True:
        fresh = True
        try:
            async with aclosing(_heard(door, job, place, wait=wait, mute=mute)) as messages:
                async for message, data in messages:
                    hope.renewed()
                    fresh = False
                    if "stream" in message:
                        take(message["stream"], data)
                        place.at[message["stream"]] = place.at.get(message["stream"], 0) + len(data)
                    elif "again" in message:
                        place.at, place.restarts = {}, message["again"]
                        tell("the job began again, and so does its output")
                    elif "end" in message:
                        return State.of(message["end"])
                    else:
                        last = State.of(message["state"])
                        news(last)
            place.hop = last.host  # it runs there, and there its output is fresh
        except WulflingError as error:
            hop, place.hop = place.hop, ""
            if hop and fresh:
                place.failed[hop] += 1
            elif isinstance(error, Unreachable):
                await hope.wait(error)
            else:
                raise


async def _heard(
    door: Door, job: str, place: _Place, *, wait: bool, mute: bool
) -> AsyncGenerator[tuple[dict[str, Any], bytes], None]:
    order = {
        "do": "follow",
        "job": job,
        "at": place.at,
        "restarts": place.restarts,
        "wait": wait,
        "mute": mute,
        "stay": [board for board, count in place.failed.items() if count >= _ATTEMPTS],
    }
    async with door.session(order, place.hop) as session:
        while (heard := await session.hear()) is not None:
            yield heard
