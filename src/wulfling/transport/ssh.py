"""Reaches nodes with this machine's own ssh(1), one process per session.

Why not a library: docs/explanation/ssh.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from wulfling import proc
from wulfling.errors import CommandFailed, NodeFailed, Unreachable, WulflingError
from wulfling.proc import Finished
from wulfling.transport.diagnosis import diagnosed, ended
from wulfling.transport.link import SSH_PORT, Address, Link, Refused
from wulfling.transport.program import STUB, Program, program

CONNECT_TIMEOUT = 10
"""Seconds until a board that does not answer is unreachable."""

KEEPALIVE = 5
"""Seconds of silence before ssh asks a board whether it is there; three times, then it is lost."""

START_TIMEOUT = 45.0
"""Seconds from the start of ssh to the first word of Python, on a slow SD card."""

_NOISE_LIMIT = 1000  # lines that a talkative ~/.bashrc may write before our program speaks
_STDERR_KEPT = 1 << 14
_HANG_UP = 2.0

# Each one overrides what a personal ~/.ssh/config may say and what would break a session
# that nobody types into; see ssh_config(5).
_OPTIONS = {
    "BatchMode": "yes",
    "ClearAllForwardings": "yes",
    "ConnectTimeout": str(CONNECT_TIMEOUT),
    "ControlMaster": "no",
    "ControlPath": "none",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "LogLevel": "INFO",
    "PermitLocalCommand": "no",
    "PreferredAuthentications": "publickey",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ServerAliveCountMax": "3",
    "ServerAliveInterval": str(KEEPALIVE),
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
}

# A virtual board is on this PC: nobody listens, and its CPU time is ours. The post-quantum key
# exchange that ssh prefers since 9.0 costs 70 ms a connection.
_VIRTUAL = {
    "Ciphers": "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com",
    "GlobalKnownHostsFile": "/dev/null",
    "HostKeyAlgorithms": "ssh-ed25519",
    "IdentityAgent": "none",
    "KexAlgorithms": "curve25519-sha256,curve25519-sha256@libssh.org",
}

T = TypeVar("T")


def arguments(
    to: Address,
    user: str,
    *,
    interactive: bool = False,
    instead: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, ...]:
    """The whole ``ssh`` command for this address and account, up to the remote command.

    ``interactive`` is for a person at a terminal: ssh may ask, and gives the command a terminal.
    ``instead`` are options (ssh_config(5)) that this one session has to have otherwise.
    """
    options = {**_OPTIONS, **instead}
    if interactive:
        options |= {"BatchMode": "no", "RequestTTY": "auto", "LogLevel": "ERROR"}
    files = [_quoted(file) for file in to.known_hosts]
    if to.virtual:
        options |= _VIRTUAL
    else:
        files += ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
    options["UserKnownHostsFile"] = " ".join(files) or "/dev/null"
    if to.identities:
        options["IdentitiesOnly"] = "yes"
    if to.proxy:
        options["ProxyCommand"] = shlex.join(to.proxy)
        options["ProxyUseFdpass"] = "yes" if to.proxy_connects else "no"
    argv = ["ssh", "-p", str(to.port), "-l", user]
    argv += ["-F", "none"] if to.virtual else []
    for name, value in sorted(options.items()):
        argv += ["-o", f"{name}={value}"]
    for key in to.identities:
        argv += ["-i", str(key)]
    return (*argv, "--", to.host)


class Ssh:
    """The ``Dial`` that reaches real and virtual boards alike."""

    def __init__(self, shipped: Callable[[], Program] = program) -> None:
        self._shipped = shipped

    async def open(self, to: Address) -> Link:
        """Start the node program as root (see ``Dial.open``)."""

        async def attempt(user: str) -> Link:
            remote = _as_root(user, f"/usr/bin/python3 -I -S -c {shlex.quote(STUB)}")
            process = await started((*arguments(to, user), remote))
            session = _Session(process, to, user)
            try:
                await asyncio.wait_for(session.start(self._shipped()), START_TIMEOUT)
            except asyncio.TimeoutError:
                await session.close()
                raise Unreachable(
                    f"no Python within {START_TIMEOUT:g} s of connecting", where=to.node
                ) from None
            except BaseException:
                await session.close()
                raise
            return session

        return await _as_first(to, attempt)

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        """Run one command to its end (see ``Dial.run``)."""

        async def attempt(user: str) -> Finished:
            remote = shlex.join(argv)
            remote = _as_root(user, remote) if root else remote
            process = await started((*arguments(to, user), remote))
            try:
                out, err = await asyncio.wait_for(process.communicate(stdin.encode()), timeout)
            except asyncio.TimeoutError:
                said = f"no end after {timeout:g} s"
                raise CommandFailed(argv, 124, said, where=to.node) from None
            finally:
                await hung_up(process)
            code = process.returncode or 0
            words = err.decode(errors="replace")
            if code and (error := diagnosed(to, user, code, words)):
                raise error
            return Finished(tuple(argv), code, out.decode(errors="replace"), words)

        return await _as_first(to, attempt)


class Connection:
    """A running ssh and what it said on stderr, by which its end can be told."""

    def __init__(self, process: Process, to: Address, user: str) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._process, self._to, self._user = process, to, user
        self._writer, self._reader = process.stdin, process.stdout
        self._said = b""
        self._listening = asyncio.ensure_future(self._listen(process.stderr))

    async def close(self) -> None:
        """Hang up: the other side sees the end of its input."""
        await hung_up(self._process)
        self._listening.cancel()

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while data := await stderr.read(_STDERR_KEPT):
            self._said = (self._said + data)[-_STDERR_KEPT:]

    async def _over(self) -> tuple[int, str]:
        """How ssh ended, -1 when it has not, and the end of what it said."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._listening), _HANG_UP)
            await asyncio.wait_for(self._process.wait(), _HANG_UP)
        code = self._process.returncode
        return -1 if code is None else code, self._said.decode(errors="replace")


class _Session(Connection):
    """A running ssh with the node program at its other end."""

    async def start(self, shipped: Program) -> None:
        """Bring the program to life; it then waits for its first message."""
        self._writer.write(shipped.greeting)
        greeting = await self._loader_speaks()
        if "have" not in greeting or self._too_old(str(greeting.get("python"))):
            raise NodeFailed(
                f"its Python is {greeting.get('python')}, 3.10 is the oldest that does",
                hint="put Debian 12 or later, or Ubuntu 22.04 or later, on this board",
                where=self._to.node,
            )
        if not greeting["have"]:
            self._writer.write(b"%d\n" % len(shipped.zipped) + shipped.zipped)
            await self._drained()

    async def send(self, message: Mapping[str, Any]) -> None:
        self._writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        await self._drained()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        while (line := await self._line()) is not None:
            message = _parsed(line)
            if message is None:
                raise NodeFailed(
                    f"the node program said something that is no message: {line[:80]!r}",
                    where=self._to.node,
                )
            yield message
        if error := await self._end():
            raise error

    async def _loader_speaks(self) -> dict[str, Any]:
        for _ in range(_NOISE_LIMIT):
            line = await self._line()
            if line is None:
                break
            message = _parsed(line)
            if message is not None and "loader" in message:
                return message
        raise await self._end() or NodeFailed("Python ended at once", where=self._to.node)

    async def _line(self) -> bytes | None:
        """One whole line; None when there will be no more."""
        line = await self._reader.readline()
        return line if line.endswith(b"\n") else None

    async def _drained(self) -> None:
        # Whoever reads the messages learns why the line is dead; two reports would be one
        # too many.
        with suppress(ConnectionError):
            await self._writer.drain()

    async def _end(self) -> WulflingError | None:
        """Why the program ended, or None when it ended well."""
        code, said = await self._over()
        return ended(self._to, self._user, code, said) if code else None

    @staticmethod
    def _too_old(version: str) -> bool:
        return [int(part) for part in version.split(".")[:2] if part.isdigit()] < [3, 10]


async def _as_first(to: Address, attempt: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """What ``attempt`` gives for the first account that the node lets in."""
    users = tuple(dict.fromkeys(to.users))
    for user in users:
        with suppress(Refused):
            return await attempt(user)
    port = "" if to.port == SSH_PORT else f"-p {to.port} "
    raise Refused(
        f"{to.host} does not let {' or '.join(users)} in with the keys offered",
        hint=f"ssh-copy-id {port}{users[-1]}@{to.host}, or ssh-add a key that has a passphrase",
        where=to.node,
    )


def _as_root(user: str, remote: str) -> str:
    """C.UTF-8, because sudo's words have to be understood wherever the board lives."""
    return remote if user == "root" else f"LC_ALL=C.UTF-8 sudo -n {remote}"


async def started(argv: Sequence[str], env: Mapping[str, str] = MappingProxyType({})) -> Process:
    """A running ssh that speaks English, with ``env`` beside our own environment.

    Raises ``WulflingError`` when this machine has no ssh.
    """
    try:
        return await proc.converse(argv, env={**os.environ, **env, "LC_ALL": "C"})
    except CommandFailed as error:
        raise WulflingError(
            f"ssh does not start on this machine: {error.output}",
            hint="sudo apt-get install openssh-client",
        ) from None


async def hung_up(process: Process) -> None:
    """End ssh if it still runs, and close its pipes: what it started (ProxyCommand) may hold them
    for longer than our event loop lasts, which then complains about them."""
    if process.stdin:
        process.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        # Not process.terminate(): it collects a child that has just ended, and asyncio then
        # complains about an unknown one.
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), _HANG_UP)
    process._transport.close()  # type: ignore[attr-defined]  # asyncio has no other name for it
    await asyncio.sleep(0)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _quoted(file: Path) -> str:
    """A path as ssh_config(5) reads it: quotes around spaces, %% for a percent sign."""
    text = str(file).replace("%", "%%")
    return f'"{text}"' if " " in text else text
