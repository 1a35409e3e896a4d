"""Gets into a board that may have nothing but a password, and keeps a root shell there open.

A password goes to ssh through a named pipe that is read once (ssh(1), SSH_ASKPASS), and to
sudo through the session itself: it stands in no argument, no variable and no file. It is
offered once, because sshd and fail2ban count what is wrong.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import tempfile
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from wulfling.errors import Locked, NodeFailed, Unreachable, WulflingError
from wulfling.node.board import ENVIRONMENT
from wulfling.transport.diagnosis import ended, tail
from wulfling.transport.link import Address, Refused
from wulfling.transport.ssh import START_TIMEOUT, arguments, hung_up, started

METHODS_WITH_PASSWORD = ("password", "keyboard-interactive")

_SUDO_ASKS = "wulfling:sudo:"
_SHELL = "sh -c 'echo @hello; exec sh'"
_POLL = 0.02
_TOLD = 12  # lines of a command's output that its failure shows
_PIECE = 4096
_PWCHANGE_TIMEOUT = 30.0
_LEFT_BEHIND = 3600  # seconds; nobody takes so long to log in

# A shell of its own for each question, because `read` and `printf` are a part of it and so
# show the password to no `ps`. Asked a second time it finds no pipe, and ssh gives up.
_ASKPASS = """\
#!/bin/sh
IFS= read -r secret <"${0%/*}/secret" && printf '%s\\n' "$secret"
"""

_EXPIRED = re.compile(r"password has expired|Password change required|required to change your pass")
_OFFERED = re.compile(r"Permission denied \(([a-z,@.-]*)\)")

# What passwd(1) asks somebody whose password has expired: the old one, and twice the new one.
_OLD, _NEW = re.compile(r"(?i)current.*: ?$"), re.compile(r"(?i)(new|retype|again).*: ?$")

_ANSWER = "type it when adopt asks, or write `password:` for it into the file of answers"

_PRELUDE = (
    "".join(f"export {name}={shlex.quote(value)}\n" for name, value in ENVIRONMENT.items())
    + "tell() { printf '@%s\\n' \"$*\"; }\n"
    'fail() { tell fail "$*"; exit 1; }\n'
)

Hear = Callable[[str, str], None]
"""Takes what a script tells: a word, and the rest of the line."""


class PasswordRefused(Refused):
    """The board, or sudo there, does not take the password. It was offered once."""


class PasswordWanted(Refused):
    """The key opens the board, and sudo there asks for a password."""


class PasswordExpired(Refused):
    """The board lets nobody go on who does not choose another password (chage(1))."""


@dataclass(frozen=True)
class Offer:
    """What a board shows to anybody who knocks.

    ``key`` is its host key, "" when that one is pinned already, and ``methods`` are the ways
    in that it offers.
    """

    key: str
    methods: tuple[str, ...]

    @property
    def takes_passwords(self) -> bool:
        """Whether a password may open it."""
        return any(method in METHODS_WITH_PASSWORD for method in self.methods)


async def knock(to: Address, user: str, folder: Path) -> Offer:
    """Ask a board for its host key and the ways in, and send it nothing.

    Not ssh-keyscan(1), which knows neither jump hosts nor virtual boards. Raises
    ``Unreachable``, ``NodeFailed``, and ``IdentityMismatch`` when another key is pinned.
    """
    with tempfile.TemporaryDirectory(prefix=".knock-", dir=folder) as place:
        seen = Path(place) / "known_hosts"
        instead = {
            "HashKnownHosts": "no",
            "PreferredAuthentications": "none",
            "StrictHostKeyChecking": "accept-new",  # for the file that is gone in a moment
        }
        known = replace(to, known_hosts=(seen, *to.known_hosts))
        process = await started((*arguments(known, user, instead=instead), "exit"))
        try:
            _, err = await process.communicate()
        finally:
            await hung_up(process)
        said = err.decode(errors="replace")
        offered = _OFFERED.search(said)
        if process.returncode and not offered:
            raise ended(to, user, process.returncode, said)
        words = seen.read_text().split()[1:3] if seen.exists() else []
    return Offer(" ".join(words), tuple(offered[1].split(",")) if offered else ())


async def enter(
    to: Address, user: str, folder: Path, *, password: str = "", by_key: bool = True
) -> Shell:
    """A root shell as ``user``, let in by a key or, without ``by_key``, by ``password``.

    sudo gets the password too, if it asks. ``folder`` is private to us. Raises ``Refused``, of
    which three kinds stand above, and what ``Dial.open`` raises.
    """
    if by_key:
        process = await started((*arguments(to, user), _as_root(user)))
        return await _opened(process, to, user, password)
    for method in METHODS_WITH_PASSWORD:
        async with _answering(folder, password) as (env, handed):
            argv = arguments(to, user, instead=_by_password(method))
            process = await started((*argv, _as_root(user)), env)
            try:
                return await _opened(process, to, user, password)
            except (PasswordRefused, PasswordExpired):
                raise
            except Refused:
                # Not handed over: ssh did not ask, so this method is none of the board's.
                if handed.is_set():
                    raise _refused(to, user, to.host) from None
    raise Refused(
        f"{to.host} takes neither a password from {user} by SSH nor any of your keys",
        hint=f"where you can log in: ssh-copy-id {user}@{to.host}",
        where=to.node,
    )


def sweep(folder: Path) -> None:
    """Remove what killed runs left in ``folder``: pipes that nobody will read, no secrets."""
    for pattern in (".ask-*", ".knock-*"):
        for left in folder.glob(pattern):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                    shutil.rmtree(left, ignore_errors=True)


async def change_expired(to: Address, user: str, folder: Path, old: str, new: str) -> None:
    """Choose ``new`` where ``enter`` raised ``PasswordExpired``.

    sshd starts passwd(1) in place of what was asked for, and only with a terminal. Raises
    ``PasswordRefused`` with what passwd has against it.
    """
    instead = {**_by_password("password"), "EscapeChar": "none", "RequestTTY": "force"}
    async with _answering(folder, old) as (env, _):
        process = await started((*arguments(to, user, instead=instead), "true"), env)
        try:
            said = await asyncio.wait_for(_chosen(process, old, new), _PWCHANGE_TIMEOUT)
        except asyncio.TimeoutError:
            said = "it did not end"
        finally:
            await hung_up(process)
    if process.returncode or "success" not in said:
        raise PasswordRefused(
            f"{to.host} does not take the new password for {user}: {tail(said)}",
            hint="choose another one, and run it again",
            where=to.node,
        )


class Shell:
    """A root shell on a board, in which scripts run one after the other.

    A script says ``tell WORD TEXT`` to be heard, ``fail TEXT`` to end with an error, and
    ``tell hint TEXT`` before that.
    """

    def __init__(self, process: Process, to: Address, user: str) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.to, self.user = to, user
        self._process = process
        self._writer, self._reader, self._errors = process.stdin, process.stdout, process.stderr
        self._said = ""
        self._asked = 0

    async def open(self, password: str) -> None:
        """Answer sudo, and return when root's shell speaks."""
        self._listening = asyncio.ensure_future(self._listen(password))
        speaking = asyncio.ensure_future(self._spoken())
        both = {self._listening, speaking}
        try:
            await asyncio.wait(both, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if not speaking.done() and not (self._listening.done() and self._listening.result()):
                await asyncio.wait(both, timeout=1)  # one stream may end before the other
            if speaking.done() and speaking.result():
                self._writer.write(_PRELUDE.encode())
                return
            if not speaking.done() and not self._listening.done():
                raise Unreachable(f"no shell within {START_TIMEOUT:g} s", where=self.to.node)
        finally:
            speaking.cancel()
        self._judge(password)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), 1)
        raise self._ended()

    async def run(self, script: str, hear: Hear = lambda word, text: None) -> None:
        """Run ``script`` with ``set -eu`` to its end. What it starts reads nothing.

        Raises ``NodeFailed`` with what it said last when it fails, ``Locked`` when it told
        ``locked``, and ``Unreachable`` when the line goes dead.
        """
        # Whole before it runs: a line that breaks leaves no half of it behind.
        whole = f"script() {{\n{script}\n}}\n(set -eu; script) </dev/null 2>&1\ntell end $?\n"
        await self._send(whole)
        last: deque[str] = deque(maxlen=_TOLD)
        told: dict[str, str] = {}
        while line := (await self._reader.readline()).decode(errors="replace"):
            word, _, text = line.rstrip("\n").partition(" ")
            if not word.startswith("@"):
                last.append(line.rstrip())
            elif word != "@end":
                told[word[1:]] = text
                hear(word[1:], text)
            elif text == "0":
                return
            else:
                raise self._failed(told, text, "\n".join(last))
        raise self._ended()

    async def hold(self, script: str) -> None:
        """Run one line in the shell itself, so that what it opens stays open."""
        await self._send(f"{script}\n")

    async def close(self) -> None:
        """Hang up."""
        await hung_up(self._process)
        self._listening.cancel()

    async def _send(self, text: str) -> None:
        with suppress(ConnectionError):  # whoever reads learns why the line is dead
            self._writer.write(text.encode())
            await self._writer.drain()

    async def _spoken(self) -> bool:
        while line := await self._reader.readline():
            if line.rstrip() == b"@hello":
                return True
        return False

    async def _listen(self, password: str) -> bool:
        """Read stderr to its end, and give sudo the password once; true when it asks in vain."""
        while data := await self._errors.read(_PIECE):
            self._said = (self._said + data.decode(errors="replace"))[-4 * _PIECE :]
            asked = self._said.count(_SUDO_ASKS)
            if asked > self._asked:
                self._asked = asked
                if asked > 1 or not password:
                    return True
                await self._send(f"{password}\n")
        return False

    def _judge(self, password: str) -> None:
        """Raise what a password has to do with."""
        if self._asked > 1:
            raise _refused(self.to, self.user, "sudo there")
        if self._asked and not password:
            raise PasswordWanted(
                f"sudo asks {self.user} for a password", hint=_ANSWER, where=self.to.node
            )
        if _EXPIRED.search(self._said):
            raise PasswordExpired(
                f"the password of {self.user} has expired, and a new one has to be chosen",
                hint="write `new_password:` for it into the file of answers",
                where=self.to.node,
            )

    def _failed(self, told: Mapping[str, str], code: str, last: str) -> WulflingError:
        if "locked" in told:
            return Locked(told["locked"], where=self.to.node)
        words = told.get("fail", f"a script ended with {code}")
        said = f":\n{last}" if last else ""
        return NodeFailed(f"{words}{said}", hint=told.get("hint", ""), where=self.to.node)

    def _ended(self) -> WulflingError:
        code = self._process.returncode
        said = self._said.replace(_SUDO_ASKS, "")
        if code == 0:
            return Unreachable("the connection ended", where=self.to.node)
        return ended(self.to, self.user, -1 if code is None else code, said)


def _as_root(user: str) -> str:
    return _SHELL if user == "root" else f"LC_ALL=C.UTF-8 sudo -S -p {_SUDO_ASKS} {_SHELL}"


def _by_password(method: str) -> Mapping[str, str]:
    return {
        "BatchMode": "no",
        "NumberOfPasswordPrompts": "1",
        "PreferredAuthentications": method,
        "PubkeyAuthentication": "no",
    }


def _refused(to: Address, user: str, who: str) -> PasswordRefused:
    return PasswordRefused(
        f"{who} does not take this password for {user}; it was offered once",
        hint="look it up before you run it again: sshd shuts out who offers wrong ones",
        where=to.node,
    )


async def _opened(process: Process, to: Address, user: str, password: str) -> Shell:
    shell = Shell(process, to, user)
    try:
        await shell.open(password)
    except BaseException:
        await shell.close()
        raise
    return shell


@asynccontextmanager
async def _answering(
    folder: Path, password: str
) -> AsyncIterator[tuple[Mapping[str, str], asyncio.Event]]:
    """The variables that make ssh ask us, and whether it did."""
    place = Path(tempfile.mkdtemp(prefix=".ask-", dir=folder))
    program, pipe, handed = place / "askpass", place / "secret", asyncio.Event()
    try:
        program.write_text(_ASKPASS)
        program.chmod(0o700)
        os.mkfifo(pipe, 0o600)
        handing = asyncio.ensure_future(_hand_over(pipe, password, handed))
        try:
            env = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
            yield MappingProxyType(env), handed
        finally:
            handing.cancel()
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _hand_over(pipe: Path, password: str, handed: asyncio.Event) -> None:
    """Write the password once somebody reads the pipe, whose name is gone by then."""
    while True:
        try:
            handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # ENXIO: nobody reads yet
            await asyncio.sleep(_POLL)
            continue
        pipe.unlink()
        handed.set()
        os.write(handle, f"{password}\n".encode())
        os.close(handle)
        return


async def _chosen(process: Process, old: str, new: str) -> str:
    """Talk to passwd(1), and return all it said."""
    assert process.stdin
    assert process.stdout
    said, answered = "", 0
    while data := await process.stdout.read(_PIECE):
        said += data.decode(errors="replace")
        asked = said[answered:]
        answer = old if _OLD.search(asked) else new if _NEW.search(asked) else None
        if answer is not None:
            answered = len(said)
            process.stdin.write(f"{answer}\n".encode())
            await process.stdin.drain()
    await process.wait()
    # A terminal shows what was typed before passwd had switched that off.
    for typed in (old, new):
        said = said.replace(typed, "...")
    return said.replace("\r", "")
