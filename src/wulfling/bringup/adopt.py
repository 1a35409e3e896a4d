"""First contact with boards that somebody has just switched on, all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from wulfling.bringup.adopt_answers import Answer
from wulfling.bringup.adopt_board import Board
from wulfling.bringup.adopt_facts import shared
from wulfling.converge.events import Done, Lost, OnEvent
from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.model.plan import Step
from wulfling.transport import entry, pins
from wulfling.transport.fanout import each
from wulfling.transport.link import Address, Refused, Unpinned

SHUT_OUT_TIMES, SHUT_OUT_PAUSE = 3, 15.0  # seconds

# What the exit code tells when boards fail in several ways: the worst first.
_WORST_FIRST = (IdentityMismatch, NodeFailed, Locked, Unreachable)


@dataclass(frozen=True)
class Stranger:
    """A board whose host key nobody has confirmed yet. ``twin`` is a node with the same key."""

    node: str
    address: str
    fingerprint: str
    twin: str = ""


@dataclass(frozen=True)
class Adopted:
    """What became of one board. Without ``error`` it is adopted; ``steps`` are what was done."""

    node: str
    address: str
    fingerprint: str
    steps: tuple[Step, ...]
    error: WulflingError | None

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``."""
        return {
            "node": self.node,
            "address": self.address,
            "adopted": self.error is None,
            "changed": [step.key for step in self.steps],
            "fingerprint": self.fingerprint,
            "error": self.error.message if self.error else "",
        }


class Asker(Protocol):
    """Whoever answers what no file says: a person, or nobody."""

    def say(self, words: str) -> None:
        """Hear why it takes so long."""

    def trust(self, strangers: Sequence[Stranger]) -> bool:
        """Whether every fingerprint is the one that the board itself shows."""

    def passwords(self, users: Mapping[str, str]) -> Mapping[str, str]:
        """The password of an account by node, "" where it is not known."""

    def new_passwords(self, accounts: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
        """By node a password for these accounts in place of the maker's, "" for none."""


def exit_code(results: Iterable[Adopted]) -> int:
    """0 when every board is adopted, or else the code of the worst that happened."""
    errors = [result.error for result in results if result.error]
    for kind in _WORST_FIRST:
        if any(isinstance(error, kind) for error in errors):
            return kind.exit_code
    return NodeFailed.exit_code if errors else 0


Work = Callable[[Board], Awaitable[None]]


def _patient(work: Work, asker: Asker) -> Work:
    """The same, but it waits while a board hangs up on us before it has heard a word.

    sshd does so for a while, from release 9.8 on, with whoever it had to refuse before
    (sshd_config(5), PerSourcePenalties): a run that follows upon another meets that.
    """

    async def patiently(board: Board) -> None:
        for _ in range(SHUT_OUT_TIMES):
            try:
                await work(board)
                return
            except Unreachable as error:
                if "kex_exchange_identification" not in error.message:
                    raise
            asker.say(f"{board.node}: its sshd hangs up on us; again in {SHUT_OUT_PAUSE:g} s")
            await asyncio.sleep(SHUT_OUT_PAUSE)
        await work(board)

    return patiently


class Adoption:
    """One run: ``meet`` asks all questions, ``work`` does the rest, ``close`` hangs up."""

    def __init__(
        self,
        cluster: Cluster,
        addresses: Sequence[Address],
        answers: Mapping[str, Answer],
        operator: str,
    ) -> None:
        self._cluster, self._operator = cluster, operator
        self._boards = {
            to.node: Board(cluster, to, answers.get(to.node, Answer())) for to in addresses
        }

    async def meet(self, asker: Asker) -> None:
        """Find out who answers and get in everywhere; no board is changed, but for a password
        that had expired.

        Raises ``IdentityMismatch`` when a board answers with another host key than the pinned
        one or the one in the answers, and ``Unpinned`` when the person does not trust one.
        Nothing was sent to any board then.
        """
        entry.sweep(pins.state_directory(self._cluster.name))
        await self._each(_patient(Board.knock, asker))
        self._refuse_impostors()
        self._trust(asker)
        await self._each(_patient(Board.enter_by_key, asker))
        await self._enter_by_passwords(asker)
        await self._choose_expired(asker)
        await self._each(Board.ask)
        await self._replace_defaults(asker)

    async def work(self, hear: OnEvent) -> tuple[Adopted, ...]:
        """Adopt every board that let us in, and tell what became of each, in their order."""
        facts = {board.node: board.facts for board in self._well() if board.facts}
        others = {
            node.name: pins.pinned(self._cluster.name, str(node.address))
            for node in self._cluster.nodes
            if node.name not in facts
        }
        anew = shared(facts, others)

        async def adopt(board: Board) -> None:
            await board.converge(anew[board.node], self._operator, hear)
            hear(Done(board.node))

        for board in self._boards.values():
            if board.error:
                hear(Lost(board.node, board.error))
        await self._each(adopt, hear)
        return tuple(
            Adopted(board.node, board.to.host, board.fingerprint, tuple(board.steps), board.error)
            for board in self._boards.values()
        )

    async def close(self) -> None:
        """Hang up everywhere."""
        await asyncio.gather(*(board.close() for board in self._boards.values()))

    def _well(self) -> tuple[Board, ...]:
        return tuple(board for board in self._boards.values() if not board.error)

    async def _each(
        self,
        work: Work,
        hear: OnEvent = lambda event: None,
        chosen: Callable[[Board], bool] = lambda board: True,
    ) -> None:
        """Do ``work`` for all boards that are well; who fails is left out from then on."""
        boards = [board.to for board in self._well() if chosen(board)]
        gathered = await each(boards, lambda to: work(self._boards[to.node]))
        for node, error in gathered.errors.items():
            self._boards[node].error = error
            hear(Lost(node, error))

    def _refuse_impostors(self) -> None:
        found = [b.error for b in self._boards.values() if isinstance(b.error, IdentityMismatch)]
        for board in self._well():
            expected = board.answer.fingerprint
            if board.offer.key and expected and board.fingerprint != expected:
                found.append(
                    IdentityMismatch(
                        f"{board.to.host} answered with the host key {board.fingerprint}, and"
                        f" the answers say {expected}",
                        hint="nothing was sent to it. On the board's own screen: ssh-keygen -lf"
                        " /etc/ssh/ssh_host_ed25519_key.pub",
                        where=board.node,
                    )
                )
        if len(found) == 1:
            raise found[0]
        if found:
            raise IdentityMismatch("\n".join(map(str, found)), hint=found[0].hint)

    def _trust(self, asker: Asker) -> None:
        """Pin the keys of new boards: those that the answers name, and those that a person
        has compared."""
        new = [board for board in self._well() if board.offer.key]
        unsure = [board for board in new if not board.answer.fingerprint]
        if unsure and not asker.trust(self._strangers(unsure)):
            raise Unpinned(
                f"not compared: the host keys of {', '.join(board.node for board in unsure)}",
                hint="nothing was sent to them. Compare each with what the board's own screen"
                " shows for `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`, and say yes, or"
                " write it into a file of answers: adopt --answers FILE",
            )
        for board in new:
            board.trust()

    def _strangers(self, unsure: Sequence[Board]) -> tuple[Stranger, ...]:
        seen: dict[str, str] = {}
        for node in self._cluster.nodes:
            for key in pins.pinned(self._cluster.name, str(node.address)):
                seen.setdefault(pins.fingerprint(key), node.name)
        strangers = []
        for board in unsure:
            twin = seen.setdefault(board.fingerprint, board.node)
            twin = "" if twin == board.node else twin
            strangers.append(Stranger(board.node, board.to.host, board.fingerprint, twin))
        return tuple(strangers)

    async def _enter_by_passwords(self, asker: Asker) -> None:
        async def fetch(board: Board) -> None:
            board.answer = await asyncio.to_thread(board.answer.with_password, board.node)

        await self._each(fetch, chosen=lambda board: board.password_wanted)
        wanting = [board for board in self._well() if board.password_wanted]
        silent = {board.node: board.user for board in wanting if not board.answer.password}
        told = asker.passwords(silent) if silent else {}

        async def enter(board: Board) -> None:
            password = board.answer.password or told.get(board.node, "")
            if not password:
                raise Refused(
                    f"{board.to.host} does not let {board.user} in with your keys, and no"
                    " password is known",
                    hint=f"write `{board.node}: {{password: ...}}` into a file of answers, and"
                    " name it: adopt --answers FILE",
                    where=board.node,
                )
            await board.enter_by_password(password)

        await self._each(_patient(enter, asker), chosen=lambda board: board.password_wanted)

    async def _choose_expired(self, asker: Asker) -> None:
        """A board that lets nobody go on without a new password gets it now."""
        expired = [board for board in self._well() if board.expired]
        new = self._new_passwords({board.node: (board.user,) for board in expired}, asker)
        await self._each(
            lambda board: board.choose(new[board.node]), chosen=lambda board: board.expired
        )

    async def _replace_defaults(self, asker: Asker) -> None:
        """A board that everybody can enter goes no further without a new password."""
        open_to_all = {
            b.node: b.facts.defaults for b in self._well() if b.facts and b.facts.defaults
        }
        new = self._new_passwords(open_to_all, asker)

        async def give(board: Board) -> None:
            board.give(new[board.node])

        await self._each(give, chosen=lambda board: board.node in open_to_all)

    def _new_passwords(
        self, accounts: Mapping[str, Sequence[str]], asker: Asker
    ) -> Mapping[str, str]:
        """By node, "" where neither the answers nor the person have one."""
        known = {node: self._boards[node].answer.new_password for node in accounts}
        silent = {node: names for node, names in accounts.items() if not known[node]}
        return {**known, **(asker.new_passwords(silent) if silent else {})}
