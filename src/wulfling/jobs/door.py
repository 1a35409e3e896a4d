"""The way in for jobs: the board that people log in to, and a session with the desk there."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wulfling import spec
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.jobs import person
from wulfling.jobs.shipped import COMMAND, greeting
from wulfling.model.cluster import Cluster, Node, Role
from wulfling.node.desk.conversation import HELLO
from wulfling.transport import pins
from wulfling.transport.diagnosis import SSH_FAILED, ended
from wulfling.transport.link import Address, Refused
from wulfling.transport.ssh import Connection, arguments, started
from wulfling.transport.way import way_to

START_TIMEOUT = 60.0
"""Seconds from the start of ssh to the desk's first word, on a slow SD card."""

_NOISE_LIMIT = 1000  # lines that a talkative profile may write before the desk speaks

# From board to board, by the trust between them; nobody is there to be asked.
_HOP = "ssh -o BatchMode=yes -o ConnectTimeout=5 -o LogLevel=ERROR --"


@dataclass
class Door:
    """``address`` of the board, whose accounts are tried in their order: the ``person`` whose
    jobs these are, and the admin, who may become that person (sudo). ``cluster`` and ``file``
    say which cluster it is.

    ``opened_by`` is the account that was let in; "" as long as none was.
    """

    address: Address
    person: str
    cluster: str
    file: Path
    opened_by: str = ""

    @asynccontextmanager
    async def session(self, order: Mapping[str, Any], hop: str = "") -> AsyncIterator[Session]:
        """A desk at work on ``order``; with ``hop``, at that board, by way of ours.

        Raises ``Unreachable``, ``Refused``, ``NodeFailed`` and ``IdentityMismatch``.
        """
        session = await self._started(order, hop)
        try:
            yield session
        finally:
            await session.close()

    async def _started(self, order: Mapping[str, Any], hop: str) -> Session:
        remote = f"{_HOP} {shlex.quote(hop)} {shlex.quote(COMMAND)}" if hop else COMMAND
        for user in (self.opened_by,) if self.opened_by else self.address.users:
            prefix = "" if user == self.person else f"sudo -n -H -u {self.person} "
            with suppress(Refused):
                session = await self._as(user, f"{prefix}{remote}", order)
                self.opened_by = user
                return session
        raise Refused(
            f"{self.address.host} does not let {self.person} in with the keys offered",
            hint=f"add your public key to `keys:` of {self.person}, then wulfling apply",
            where=self.address.node,
        )

    async def _as(self, user: str, remote: str, order: Mapping[str, Any]) -> Session:
        process = await started((*arguments(self.address, user), remote))
        session = Session(process, self.address, user)
        try:
            await asyncio.wait_for(session.start(order), START_TIMEOUT)
        except asyncio.TimeoutError:
            await session.close()
            raise Unreachable(
                f"no word within {START_TIMEOUT:g} s of connecting", where=self.address.node
            ) from None
        except BaseException:
            await session.close()
            raise
        return session


class Session(Connection):
    """A running ssh with a desk at its other end."""

    async def start(self, order: Mapping[str, Any]) -> None:
        """Send the desk and its order; return when it says hello."""
        await self.send(greeting() + json.dumps(order).encode() + b"\n")
        for _ in range(_NOISE_LIMIT):
            line = await self._reader.readline()
            if line == HELLO:
                return
            if not line.endswith(b"\n"):
                break
        raise await self._end()

    async def send(self, data: bytes) -> None:
        """Hand over bytes. A dead line is told by ``hear``."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def hear(self) -> tuple[dict[str, Any], bytes] | None:
        """The next message, and the bytes that came with it; None when the desk is done.

        Raises ``Unreachable`` when the line went dead, ``WulflingError`` with what the desk
        has to say.
        """
        try:
            line = await self._reader.readuntil(b"\n")
            message = json.loads(line)
            data = await self._reader.readexactly(message.get("bytes", 0))
        except (asyncio.IncompleteReadError, ValueError):
            if (await self._over())[0] == 0:
                return None
            raise await self._end() from None
        if "error" in message:
            where = self._to.node
            raise WulflingError(message["error"], hint=message["hint"], where=where)
        return message, data

    async def _end(self) -> WulflingError:
        """Why there was no word, or no further one."""
        code, said = await self._over()
        if unknown := re.search(r"sudo: unknown user:? (\S+)", said):
            return NodeFailed(
                f"there is no account {unknown[1]}", hint="wulfling apply", where=self._to.node
            )
        if code in (-15, -9, -1):  # a signal to our ssh: the line was cut on this side
            return Unreachable("the connection was cut", where=self._to.node)
        if 128 < code < SSH_FAILED:  # killed over there, as when a board shuts down
            return Unreachable(f"the desk ended with {code}", where=self._to.node)
        return ended(self._to, self._user, code, said)


def door(file: Path, asked: str | None = None) -> Door:
    """The door of the cluster that ``file`` describes, for the person ``asked`` or the one
    that ``person.chosen`` finds.

    Raises ``BadFile``, and ``WulflingError`` when the cluster takes no jobs from a laptop.
    """
    read, _ = spec.check(spec.read(file))
    cluster = spec.resolve(read, {}, None, ())
    if cluster.slurm is None:
        raise WulflingError(
            f"{cluster.name} has no Slurm (slurm: false), and so no queue for jobs",
            hint="wulfling export machinefile",
            where=str(file),
        )
    keys = person.own_keys()
    proxy: tuple[str, ...] = ()
    if cluster.virtual:
        from wulfling.lab import lab  # only virtual boards need it

        keys = (pins.public_key(cluster.name),)
        proxy = lab.proxy_command(cluster.name)
    who = person.chosen(cluster.people, asked, person.local_name(), keys, str(file))
    node = _way_in(cluster)
    _has_shared_home(cluster, node, who, file)
    users: tuple[str, ...] = (who, cluster.admin)
    if cluster.virtual and not person.has_one_of(cluster.people, who, keys):
        users = (cluster.admin,)  # no other key is offered there
    address = way_to(cluster.name, users, virtual=cluster.virtual, proxy=proxy)
    return Door(address(node.name, str(node.address)), who, cluster.name, file)


def _way_in(cluster: Cluster) -> Node:
    """The first login node, or the head."""
    return next(iter(cluster.having(Role.LOGIN)), cluster.node(cluster.head))


def _has_shared_home(cluster: Cluster, node: Node, who: str, file: Path) -> None:
    """A job finds its folder on whichever board it runs."""
    home = Path("/home", who)
    shared = any(home.is_relative_to(share.path) for share in cluster.storage)
    if shared or {n.name for n in cluster.having(Role.COMPUTE)} <= {node.name}:
        return
    raise WulflingError(
        f"{home} is not shared: a job would not find its folder on the other boards",
        hint=f"add `storage: {{/home: {cluster.head}}}` to the file, then wulfling apply",
        where=str(file),
    )
