"""Sends a folder and submits its job, once, however often the connection drops."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wulfling.errors import Unreachable, WulflingError
from wulfling.jobs.again import Tell, again
from wulfling.jobs.door import Door, Session
from wulfling.jobs.folder import Parcel

_CHUNK = 1 << 16

# A percent sign in a path has a meaning for Slurm, a blank for many a script.
_NO_PART_OF_A_NAME = re.compile(r"[^\w.+-]")

Sent = Callable[[int, int], None]
"""Hears of bytes that were sent, and of how many have to be."""


@dataclass(frozen=True)
class Submitted:
    """A job that Slurm has taken: its number, and its ``folder`` on the cluster."""

    job: str
    folder: str


def new_token() -> str:
    """Names one submission among all that a person makes."""
    return secrets.token_hex(4)


def checked_token(token: str) -> str:
    """``token`` when it can be a part of a folder's name. Raises ``WulflingError``."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", token):
        raise WulflingError(f"{token!r} is no token", hint="letters, digits, dots and dashes")
    return token


def checked(words: Sequence[str], parcel: Parcel) -> tuple[str, ...]:
    """The words for sbatch(1). Raises ``WulflingError`` for options that do not go with a
    folder that was sent."""
    if not words:
        raise WulflingError(
            "there is no batch script", hint="wulfling submit job.sh, or --wrap 'srun ./program'"
        )
    scripts = {entry["path"] for entry in parcel.entries if entry["kind"] != "dir"}
    for word in words:
        if word.removeprefix("./") in scripts:
            break  # what follows is the script's own
        if word.startswith(("--chdir", "-D")):
            raise WulflingError(
                f"{word}: a job works in the folder that was sent with it",
                hint="cd in the batch script",
            )
        if word in ("-W", "--wait"):
            raise WulflingError(f"{word}: submit does not wait", hint="wulfling run waits")
        if word.startswith("--test-only"):
            raise WulflingError(f"{word} submits no job", hint="wulfling node shell, then sbatch")
    return tuple(words)


async def submit(
    door: Door,
    parcel: Parcel,
    token: str,
    tell: Tell,
    *,
    words: Sequence[str] = (),
    instead: Sequence[str] = (),
    name: str = "",
    origin_folder: str = "",
    sent: Sent = lambda done, all_: None,
) -> Submitted:
    """Send ``parcel`` and submit it with the ``words`` of sbatch(1), or with the command
    ``instead``, which prints the number of the job that it submits.

    The same ``token`` again gives the same job. Raises ``WulflingError`` with what sbatch said.
    """
    order = {
        "do": "submit",
        "token": checked_token(token),
        "name": _NO_PART_OF_A_NAME.sub("_", name or parcel.root.name),
        "files": parcel.entries,
        "origin": origin(origin_folder or str(parcel.root)),
        "words": list(words),
        "instead": list(instead),
    }

    async def attempt() -> Submitted:
        async with door.session(order) as session:
            while (heard := await session.hear()) is not None:
                message = heard[0]
                if "wanted" in message:
                    await _send(session, parcel, message["wanted"], sent)
                if "job" in message:
                    return Submitted(message["job"], message["folder"])
        raise Unreachable("the connection ended before the job was submitted")

    return await again(door, tell, attempt)


def origin(folder: str) -> dict[str, Any]:
    """Where on which machine a folder is. What comes from the same place later is compared
    with what came before, and only what is new is sent."""
    return {"host": socket.gethostname(), "folder": folder}


async def _send(session: Session, parcel: Parcel, wanted: Sequence[int], sent: Sent) -> None:
    all_ = sum(parcel.entries[number]["size"] for number in wanted)
    done = 0
    sent(done, all_)
    for number in wanted:
        entry = parcel.entries[number]
        count = 0
        with open(parcel.root / entry["path"], "rb") as file:
            while data := file.read(_CHUNK):
                await session.send(b"%d\n" % len(data) + data)
                count += len(data)
                sent(done + count, all_)
        if count != entry["size"]:
            raise WulflingError(
                f"{parcel.root / entry['path']} changed while it was sent",
                hint="nothing was submitted; run it again when nobody writes there",
            )
        await session.send(b"0\n")
        done += count
