"""The conversation with all nodes at once: hello, what should be, and every step as it is taken."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wulfling.converge.awaits import Release, Waits
from wulfling.converge.events import (
    Begin,
    Connected,
    Done,
    Hello,
    Lost,
    OnEvent,
    StepDone,
    Waiting,
)
from wulfling.converge.outcome import Outcome
from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import BackupSecrets, Hardware, Secrets
from wulfling.model.health import Health
from wulfling.model.health import from_json as health_of
from wulfling.model.plan import Plan, Status, Step
from wulfling.model.resource import Resource
from wulfling.node.facts import from_json as hardware_of
from wulfling.transport.link import Address, Dial, Link
from wulfling.transport.program import program

CONTACT_PATIENCE = 90.0
"""Seconds for a new connection after a firewall was loaded; sooner than the board takes it back."""

OPEN_AT_ONCE = 64
"""Connections that are being made at the same time."""

WAVERING_MEMORY = 32
"""MiB by which MemTotal may differ between two boots of the same board (16 were seen). It is
less than what Slurm leaves to the system, so no node registers less than its RealMemory."""

_LATER = "the first apply makes it"
NOT_MADE_YET = Secrets(_LATER.encode(), BackupSecrets(_LATER, _LATER, _LATER))
"""Stands for the secrets in a plan before the first apply, so that the plan is complete."""


@dataclass(frozen=True)
class Known:
    """What can be known before anything is declared.

    ``hardware`` was measured now, or is remembered by the head for a node that is away.
    ``secrets`` is None while the head is away.
    """

    hardware: Mapping[str, Hardware]
    secrets: Secrets | None


@dataclass(frozen=True)
class Recalled:
    """What a head says of itself before an apply, as its backup has it: its secrets, and the
    boards that it remembers (``node.program.KNOWN``)."""

    munge_key: bytes = field(repr=False)
    known: str


@dataclass(frozen=True, kw_only=True)
class Errand:
    """Whom to talk to, and how to get at what they should be.

    ``compile`` is called once, after every node has said hello or was lost. ``blob`` brings a
    file by its sha256. ``meanwhile`` is called once, while the nodes are being reached: the
    place for imports that ``compile`` will need. With ``complete`` all that is declared is
    all there is, although the head is not asked: what else is ours on these boards goes. With
    a ``scope``, how the keys begin of what the errand is about, everything else is left as it
    is. ``examine`` gives what a node is asked about its health (``node.health.examination``);
    with it a wrong host key is an error of that node alone. ``recalled`` is what a head knew that
    a blank one is to take the place of.
    """

    addresses: tuple[Address, ...]
    head: str
    operator: str
    compile: Callable[[Known], Mapping[str, tuple[Resource, ...]]]
    blob: Callable[[str], bytes]
    meanwhile: Callable[[], None] = lambda: None
    examine: Callable[[str], Mapping[str, Any]] | None = None
    complete: bool = False
    scope: tuple[str, ...] = ()
    recalled: Recalled | None = None

    def about(self, resources: Iterable[Resource]) -> tuple[Resource, ...]:
        """Those that are in scope. They do not wait for any that is not."""
        if not self.scope:
            return tuple(resources)
        inside = (resource for resource in resources if resource.key.startswith(self.scope))
        return tuple(
            replace(
                resource,
                awaits=tuple(
                    name
                    for name in resource.awaits
                    if name.partition("/")[2].startswith(self.scope)
                ),
            )
            for resource in inside
        )


@dataclass(frozen=True)
class Patience:
    """Seconds without a word until a node counts as lost.

    ``hello`` is short for a plan, which only reads, and long for an apply, which may first have
    to repair an installation that was cut off. ``step`` is apt-get on a slow SD card.
    """

    hello: float
    step: float = 3600.0


@dataclass
class _Talk:
    """One node's side of the conversation."""

    address: Address
    link: Link | None = None
    messages: AsyncIterator[dict[str, Any]] | None = None
    hardware: Hardware | None = None
    at: str = ""  # the step that has begun and not ended
    ended: bool = False
    ahead: float = 0.0  # seconds by which its clock is ahead of ours
    health: Health | None = None
    hello: dict[str, Any] = field(default_factory=dict)

    @property
    def node(self) -> str:
        return self.address.node


class Conversation:
    """One plan or apply, from the first connection to the last."""

    def __init__(
        self,
        do: Literal["plan", "apply"],
        errand: Errand,
        dial: Dial,
        tell: OnEvent,
        patience: Patience,
    ) -> None:
        self._do, self._errand, self._dial = do, errand, dial
        self._tell, self._patience = tell, patience
        self._talks = {address.node: _Talk(address) for address in errand.addresses}
        self._doors = asyncio.Semaphore(OPEN_AT_ONCE)
        self._steps: list[Step] = []
        self._errors: dict[str, WulflingError] = {}
        self._waits = Waits({}, {})
        self._blobs: dict[str, asyncio.Future[bytes]] = {}

    async def hold(self) -> Outcome:
        """Talk until every node is done or lost.

        Raises ``IdentityMismatch`` and ``Locked``, with the names of all nodes concerned and
        before anything was sent to any node, and whatever ``compile`` raises.
        """
        try:
            await _together(map(self._greet, self._talks.values()), self._errand.meanwhile)
            self._stop_if_refused()
            known = self._known()
            compiled = self._errand.compile(known)
            declared = {node: self._errand.about(own) for node, own in compiled.items()}
            at_work = [talk for talk in self._talks.values() if not talk.ended]
            keys = {t.node: [r.key for r in declared.get(t.node, ())] for t in at_work}
            absent = {node: _absence(error) for node, error in self._errors.items()}
            self._waits = Waits(keys, absent)
            # Without the head's secrets a part of the cluster is not declared, and what is not
            # declared is not to be taken back for that.
            retire = known.secrets is not None or self._errand.complete
            orders = ((talk, declared.get(talk.node, ())) for talk in at_work)
            await _together(self._work(talk, own, retire=retire) for talk, own in orders)
        finally:
            await _together(talk.link.close() for talk in self._talks.values() if talk.link)
        return self._outcome(known)

    def _outcome(self, known: Known) -> Outcome:
        order = {node: number for number, node in enumerate(self._talks)}
        steps = sorted(self._steps, key=lambda step: order[step.node])
        unreachable = {
            node: self._errors[node].message
            for node in order
            if isinstance(self._errors.get(node), Unreachable)
        }
        hellos = {talk.node: talk.hello.get("repaired", ()) for talk in self._talks.values()}
        return Outcome(
            plan=Plan(tuple(steps), unreachable),
            errors={node: self._errors[node] for node in order if node in self._errors},
            hardware=known.hardware,
            repaired={node: tuple(words) for node, words in hellos.items() if words},
            applied=self._do == "apply",
            health={t.node: t.health for t in self._talks.values() if t.health is not None},
            ahead={t.node: t.ahead for t in self._talks.values() if t.hello},
            remembered=self._remembered(),
        )

    # -- hello ---------------------------------------------------------------------------

    async def _greet(self, talk: _Talk) -> None:
        try:
            async with self._doors:
                talk.link = await self._dial.open(talk.address)
            self._tell(Connected(talk.node))
            await talk.link.send(self._order(talk))
            talk.messages = talk.link.messages()
            await self._hear_hello(talk)
        except WulflingError as error:
            self._lose(talk, error)

    def _order(self, talk: _Talk) -> dict[str, Any]:
        order: dict[str, Any] = {"do": self._do, "operator": self._errand.operator}
        if self._do == "apply":
            order["program"] = program().sha256
        if talk.node == self._errand.head:
            order["secrets"] = True
        if self._errand.examine:
            order["examine"] = self._errand.examine(talk.node)
        return order

    async def _hear_hello(self, talk: _Talk) -> None:
        while talk.hardware is None:
            message = await self._next(talk, self._patience.hello)
            event = message.get("event")
            if event == "hello":
                talk.hello = message
                talk.ahead = float(message.get("now", time.time())) - time.time()
                talk.hardware = hardware_of(message.get("facts"))
                if talk.hardware is None:
                    raise NodeFailed("its hardware was not understood", where=talk.node)
                repaired = tuple(message.get("repaired", ()))
                self._tell(Hello(talk.node, talk.hardware, repaired))
            elif event == "locked":
                raise Locked(str(message.get("by", "somebody else is at it")), where=talk.node)
            else:
                self._overhear(talk, message)

    def _stop_if_refused(self) -> None:
        """Raise what no other node's answer can make good, all of one kind in one error."""
        local = [e for e in self._errors.values() if type(e) is WulflingError]
        if local:
            raise local[0]
        for kind in (Locked,) if self._errand.examine else (IdentityMismatch, Locked):
            found = [error for error in self._errors.values() if isinstance(error, kind)]
            if len(found) == 1:
                raise found[0]
            if found:
                raise kind("\n".join(map(str, found)), hint=found[0].hint)

    def _known(self) -> Known:
        head = self._talks.get(self._errand.head)
        hardware = {}
        remembered = self._remembered()
        for talk in self._talks.values():
            board = _settled(talk.hardware, remembered.get(talk.node))
            if board is not None:
                hardware[talk.node] = board
        return Known(hardware, self._secrets(head) if head and not head.ended else None)

    def _remembered(self) -> dict[str, Hardware]:
        head = self._talks.get(self._errand.head)
        recalled = self._errand.recalled
        before = _remembered(recalled.known) if recalled else {}
        return {**before, **_remembered(head.hello.get("known"))} if head else before

    def _secrets(self, head: _Talk) -> Secrets | None:
        told = head.hello.get("secrets", {})
        kept = {name: base64.b64decode(value) for name, value in told.items()}
        backup = _of_backup(kept)
        if self._errand.recalled:  # also where an apply has given the blank head a new one
            return Secrets(self._errand.recalled.munge_key, backup)
        if "munge_key" in kept:
            return Secrets(kept["munge_key"], backup)
        if self._do == "plan":
            return replace(NOT_MADE_YET, backup=backup)
        # 512 bits, in letters that can be part of a text file: munged(8) takes any 32 to 1024
        # bytes.
        return Secrets(secrets.token_hex(64).encode("ascii"), backup)

    # -- work ----------------------------------------------------------------------------

    async def _work(self, talk: _Talk, resources: Iterable[Resource], *, retire: bool) -> None:
        from wulfling.node.resources import as_json  # 10 ms, while the boards are busy anyway

        try:
            assert talk.link
            wanted = [as_json(resource) for resource in resources]
            scope = {"scope": self._errand.scope} if self._errand.scope else {}
            told = {"resources": wanted, "retire": retire, **scope, **self._credentials(talk)}
            await talk.link.send(told)
            while not talk.ended:
                silent = self._waits.is_waiting(talk.node)
                message = await self._next(talk, None if silent else self._patience.step)
                await self._take(talk, message)
        except WulflingError as error:
            self._lose(talk, error)
        reason = (
            _absence(self._errors[talk.node]) if talk.node in self._errors else "ended without it"
        )
        await self._release(self._waits.leave(talk.node, reason))

    def _credentials(self, talk: _Talk) -> dict[str, Any]:
        """What munge made on other boards, for this one to try: the head gets everybody's, the
        others the head's."""
        if not self._errand.examine:
            return {}
        head = self._errand.head
        made = {t.node: t.hello.get("credential") for t in self._talks.values()}
        to_try = made if talk.node == head else {head: made.get(head)}
        takes_part = bool(made.get(talk.node))
        told = {node: it for node, it in to_try.items() if it and node != talk.node}
        return {"credentials": told if takes_part else {}}

    async def _take(self, talk: _Talk, message: dict[str, Any]) -> None:
        """Do what one message asks for."""
        match message:
            case {"event": "step", "key": str(key)}:
                step = _step(talk.node, key, message)
                talk.at = ""
                self._steps.append(step)
                self._tell(StepDone(step))
                await self._release(self._waits.settle(talk.node, key, step.status))
            case {"event": "begin", "key": str(key)}:
                talk.at = key
                self._tell(Begin(talk.node, key))
            case {"event": "await", "key": str(key), "for": list(awaited)}:
                released = self._waits.wait(talk.node, key, awaited)
                if self._waits.is_waiting(talk.node):
                    self._tell(Waiting(talk.node, " and ".join(awaited)))
                await self._release(released)
            case {"event": "need", "blob": str(sha256)}:
                assert talk.link
                data = base64.b64encode(await self._blob(sha256)).decode()
                await talk.link.send({"blob": sha256, "data": data})
            case {"event": "contact"}:
                assert talk.link
                await talk.link.send(await self._contact(talk))
            case {"event": "health", "facts": dict(facts)}:
                talk.health = health_of(facts)
            case {"event": "done"}:
                talk.ended = True
                self._tell(Done(talk.node))
            case _:
                self._overhear(talk, message)

    async def _blob(self, sha256: str) -> bytes:
        """In a thread, because it may be a download, and once, however many boards ask."""
        if sha256 not in self._blobs:
            thread = asyncio.to_thread(self._errand.blob, sha256)
            self._blobs[sha256] = asyncio.ensure_future(thread)
        return await asyncio.shield(self._blobs[sha256])

    async def _contact(self, talk: _Talk) -> dict[str, Any]:
        """Whether somebody who comes anew still gets in: the connection that is open would go on
        through any firewall."""
        try:
            await asyncio.wait_for(self._confirm(talk), CONTACT_PATIENCE)
        except asyncio.TimeoutError:
            return {"contact": False, "because": f"nothing for {CONTACT_PATIENCE:g} s"}
        except WulflingError as error:
            return {"contact": False, "because": error.message}
        return {"contact": True}

    async def _confirm(self, talk: _Talk) -> None:
        link = await self._dial.open(talk.address)
        try:
            await link.send({"do": "confirm"})
            async for message in link.messages():
                if message.get("event") == "done":
                    return
                self._overhear(talk, message)
            raise NodeFailed("the node program ended too early", where=talk.node)
        finally:
            await link.close()

    async def _release(self, released: Iterable[Release]) -> None:
        for release in released:
            link = self._talks[release.node].link
            if link is None:
                continue
            if release.because:
                await link.send({"give up": release.key, "because": release.because})
            else:
                await link.send({"go": release.key})

    # -- both ----------------------------------------------------------------------------

    async def _next(self, talk: _Talk, patience: float | None) -> dict[str, Any]:
        assert talk.messages
        try:
            return await asyncio.wait_for(anext(talk.messages), patience)
        except asyncio.TimeoutError:
            raise Unreachable(f"said nothing for {patience:g} s", where=talk.node) from None
        except StopAsyncIteration:
            raise NodeFailed("the node program ended too early", where=talk.node) from None

    def _overhear(self, talk: _Talk, message: dict[str, Any]) -> None:
        match message:
            case {"event": "waiting", "for": str(what)}:
                self._tell(Waiting(talk.node, what))
            case {"event": "failed", "message": str(words)}:
                raise NodeFailed(words, where=talk.node)
            case _:
                words = json.dumps(message)[:80]
                raise NodeFailed(f"the node program said what has no meaning: {words}")

    def _lose(self, talk: _Talk, error: WulflingError) -> None:
        if talk.at:
            error.message = f"{error.message} (in the step {talk.at})"
        error.where = talk.node
        talk.ended = True
        self._errors[talk.node] = error
        self._tell(Lost(talk.node, error))


async def _together(work: Iterable[Any], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Run everything at once. A bug in one part ends the others before it is raised."""
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        await asyncio.sleep(0)
        meanwhile()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _absence(error: WulflingError) -> str:
    return "is unreachable" if isinstance(error, Unreachable) else "failed"


def _step(node: str, key: str, message: Mapping[str, Any]) -> Step:
    try:
        return Step(
            node=node,
            key=key,
            status=Status(message["status"]),
            diff=tuple(str(line) for line in message.get("diff", ())),
            ms=int(message.get("ms", 0)),
            message=str(message.get("message", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NodeFailed(f"the step {key} was told badly: {error}", where=node) from None


def _settled(measured: Hardware | None, remembered: Hardware | None) -> Hardware | None:
    """What was measured now, or remembered; a reboot alone is no reason to change slurm.conf."""
    if measured is None or remembered is None:
        return measured or remembered
    if abs(measured.memory_mb - remembered.memory_mb) > WAVERING_MEMORY:
        return measured
    return replace(measured, memory_mb=remembered.memory_mb)


def _of_backup(kept: Mapping[str, bytes]) -> BackupSecrets | None:
    """What opens the backup, where the head has it."""
    parts = [
        kept.get(f"backup_{name}", b"").decode("ascii") for name in ("password", "key", "key.pub")
    ]
    return BackupSecrets(parts[0].strip(), parts[1], parts[2].strip()) if all(parts) else None


def _remembered(known: object) -> dict[str, Hardware]:
    """What the head keeps of every board, by node: a file's text, or what is in it."""
    try:
        found = json.loads(known or "{}") if isinstance(known, str) else known
    except ValueError:
        return {}
    boards = found.items() if isinstance(found, dict) else ()
    return {node: board for node, facts in boards if (board := hardware_of(facts)) is not None}
