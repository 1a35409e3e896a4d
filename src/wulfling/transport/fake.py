"""Nodes that answer from a table and refuse what is not in it, for tests of everything above."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from wulfling.errors import Unreachable, WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.plan import Status
from wulfling.node.resources import from_json
from wulfling.proc import Finished
from wulfling.transport.link import Address, Link


class Unexpected(AssertionError):
    """A node was asked for what its table does not have. It is no error of a node: it ends
    the test."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one node answers.

    ``steps`` has the status of every key that may be declared: in an apply ``change`` becomes
    ``changed``. ``needs`` are files it asks for before a step, ``lost_at`` is the step in which
    it loses its power, and ``silent`` makes it stop talking without hanging up, before the
    step of that key or, with "hello", before its first word. ``health`` and ``credential`` are
    what it tells when it is examined.
    """

    hardware: Hardware
    steps: Mapping[str, Status] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    known: str | Mapping[str, Any] = ""
    repaired: tuple[str, ...] = ()
    locked_by: str = ""
    lost_at: str = ""
    silent: str = ""
    hello_after: float = 0.0
    health: Mapping[str, Any] = field(default_factory=dict)
    credential: str = ""
    commands: Mapping[tuple[str, ...], Finished] = field(default_factory=dict)


class Fake:
    """The ``Dial`` of a cluster that exists as a table: per node its answers, or the error
    that opening it gives. ``links`` keeps the sessions that were opened, by node."""

    def __init__(self, nodes: Mapping[str, Answers | WulflingError]) -> None:
        self._nodes = dict(nodes)
        self.links: dict[str, FakeLink] = {}

    async def open(self, to: Address) -> Link:
        """Start the node's side of the conversation (see ``Dial.open``)."""
        self.links[to.node] = FakeLink(to.node, self._answers(to))
        return self.links[to.node]

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        """The answer to a command (see ``Dial.run``)."""
        commands = self._answers(to).commands
        if tuple(argv) not in commands:
            raise Unexpected(f"{to.node} has no answer to {tuple(argv)}")
        return commands[tuple(argv)]

    def _answers(self, to: Address) -> Answers:
        if to.node not in self._nodes:
            raise Unexpected(f"there is no node {to.node}")
        answers = self._nodes[to.node]
        if isinstance(answers, WulflingError):
            raise answers
        return answers


class FakeLink:
    """One session. ``heard`` are all messages that came in, ``closed`` whether we hung up."""

    def __init__(self, node: str, answers: Answers) -> None:
        self._node, self._answers = node, answers
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.heard: list[dict[str, Any]] = []
        self.closed = False

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take one message."""
        self.heard.append(dict(message))
        self._inbox.put_nowait(dict(message))

    async def close(self) -> None:
        """Be hung up on."""
        self.closed = True

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Play the node program from its first word to its last."""
        order = await self._inbox.get()
        if order.get("do") == "confirm":
            yield {"event": "done"}
            return
        if order.get("do") not in ("plan", "apply", "check"):
            raise Unexpected(f"{self._node} was told to {order}")
        if self._answers.locked_by and order["do"] == "apply":
            yield {"event": "locked", "by": self._answers.locked_by}
            return
        await asyncio.sleep(self._answers.hello_after)
        await self._fall_silent("hello")
        yield self._hello(order)
        said = await self._inbox.get() if order["do"] != "check" else {"resources": ()}
        for resource in said["resources"]:
            async for event in self._step(resource, applying=order["do"] == "apply"):
                yield event
        if "examine" in order:
            yield {"event": "health", "facts": dict(self._answers.health)}
        yield {"event": "done"}

    def _hello(self, order: Mapping[str, Any]) -> dict[str, Any]:
        secrets = self._answers.secrets if order.get("secrets") else {}
        return {
            "event": "hello",
            "facts": asdict(self._answers.hardware),
            "secrets": {name: base64.b64encode(data).decode() for name, data in secrets.items()},
            "known": self._answers.known,
            "repaired": list(self._answers.repaired),
            **({"credential": self._answers.credential} if "examine" in order else {}),
        }

    async def _step(
        self, resource: Mapping[str, Any], *, applying: bool
    ) -> AsyncIterator[dict[str, Any]]:
        key = from_json(dict(resource, why="")).key
        if key not in self._answers.steps:
            raise Unexpected(f"{self._node} has no answer to {key}")
        status = self._answers.steps[key]
        message = "as its table says" if status is Status.FAILED else ""
        await self._fall_silent(key)
        if applying and status is Status.CHANGE:
            status = Status.CHANGED
            if resource["awaits"]:
                yield {"event": "await", "key": key, "for": list(resource["awaits"])}
                answer = await self._inbox.get()
                if "give up" in answer:
                    status, message = Status.PENDING, answer["because"]
        if applying and status in (Status.CHANGED, Status.FAILED):
            yield {"event": "begin", "key": key}
            if self._answers.lost_at == key:
                raise Unreachable("Timeout, server not responding", where=self._node)
            if key in self._answers.needs:
                yield {"event": "need", "blob": self._answers.needs[key]}
                assert "data" in await self._inbox.get()
            if resource["kind"] == "firewall":
                yield {"event": "contact"}
                assert (await self._inbox.get())["contact"] is True
        diff = [] if status is Status.OK else [f"+ {key}"]
        yield {
            "event": "step",
            "key": key,
            "status": status.value,
            "diff": diff,
            "ms": 1,
            "message": message,
        }

    async def _fall_silent(self, before: str) -> None:
        if self._answers.silent == before:
            await asyncio.Event().wait()
