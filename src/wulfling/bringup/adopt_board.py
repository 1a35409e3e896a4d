"""One board on its way from stranger to node: each step of it, and where it stands."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import Iterable
from dataclasses import replace

from wulfling.bringup.adopt_answers import Answer
from wulfling.bringup.adopt_facts import DEFAULTS, HOST_KEY, Facts, parsed, question
from wulfling.bringup.adopt_steps import (
    CLOSE_PASSWORDS,
    OPEN_PASSWORDS,
    TAKE_LOCK,
    Change,
    Wish,
    changes,
)
from wulfling.components.access import admin
from wulfling.converge.events import Begin, OnEvent, StepDone, Waiting
from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.model.plan import Status, Step
from wulfling.node.program import LOCK
from wulfling.transport import pins
from wulfling.transport.entry import (
    Offer,
    PasswordExpired,
    PasswordRefused,
    PasswordWanted,
    Shell,
    change_expired,
    enter,
    knock,
)
from wulfling.transport.host_keys import USE_HOST_KEYS
from wulfling.transport.link import Address, Refused

SHORTEST = 8
"""Characters of a password that replaces the maker's."""

_PATIENCE = 6  # tries, while sshd reads its configuration again
_PAUSE = 0.5


class Board:
    """A board and the way to it; every method raises ``WulflingError`` for this board alone."""

    def __init__(self, cluster: Cluster, to: Address, answer: Answer) -> None:
        self.cluster, self.to, self.answer = cluster, to, answer
        self.user = answer.user or cluster.login
        self.offer = Offer("", ())
        self.facts: Facts | None = None
        self.steps: list[Step] = []
        self.error: WulflingError | None = None
        self.expired = False
        self.password_wanted = False
        self._folder = pins.state_directory(cluster.name)
        self._by_key = False
        self._opened_by = ""
        self._account = tuple(admin(cluster))
        self._asked_at = 0.0
        self._passwords: tuple[tuple[str, str], ...] = ()
        self._proven = False
        self._shell: Shell | None = None

    @property
    def node(self) -> str:
        """Its name in the cluster file."""
        return self.to.node

    @property
    def fingerprint(self) -> str:
        """What it answers with, as far as that is known."""
        keys = (self.offer.key,) if self.offer.key else self.pinned
        return pins.fingerprint(keys[-1]) if keys else ""

    @property
    def pinned(self) -> tuple[str, ...]:
        """The host keys that are pinned for it in the cluster's own file."""
        return pins.pinned(self.cluster.name, self.to.pinned_as)

    async def knock(self) -> None:
        """Learn its host key and the ways in."""
        self.offer = await knock(self.to, self.user, self._folder)

    def trust(self) -> None:
        """Pin the host key that it showed."""
        pins.pin(self.cluster.name, self.to.pinned_as, [self.offer.key])
        self.offer = replace(self.offer, key="")

    async def enter_by_key(self) -> None:
        """Get in as the admin account or as the one of new boards, if a key opens it.

        Where a password is known the second is not tried: sshd counts what it refuses.
        """
        known = self.answer.password or self.answer.password_command
        users = (self.cluster.admin, self.user)[: 1 if known and self.offer.takes_passwords else 2]
        for user in dict.fromkeys(users):
            try:
                self._shell = await enter(self.to, user, self._folder)
            except PasswordWanted:
                self.user, self._by_key, self.password_wanted = user, True, True
                return
            except Refused:
                self.password_wanted = True
            else:
                self._proven = user == self.cluster.admin
                self.password_wanted = False
                return

    async def enter_by_password(self, password: str) -> None:
        """Get in with a password, which is offered to sshd once, and to sudo once if it asks."""
        self.answer = replace(self.answer, password=password)
        try:
            self._shell = await enter(
                self.to, self.user, self._folder, password=password, by_key=self._by_key
            )
        except PasswordExpired:
            self.expired = True
        else:
            self._opened_by = password

    async def choose(self, new: str) -> None:
        """Replace the expired password by ``new``, and get in with that."""
        self._check(new, f"the password of {self.user} has expired")
        await change_expired(self.to, self.user, self._folder, self.answer.password, new)
        self.expired = False
        await self.enter_by_password(new)
        if self.expired:
            raise PasswordRefused(f"the password of {self.user} is still expired", where=self.node)

    async def ask(self) -> None:
        """Learn what it is; nothing is changed."""
        told: list[tuple[str, str]] = []
        await self._open.run(question(self._account), lambda word, text: told.append((word, text)))
        self.facts = parsed(self.node, told)
        self._asked_at = time.monotonic()
        # A board without perl cannot tell; of this one account we know it ourselves.
        if (self.user, self._opened_by) in DEFAULTS and not self.facts.defaults:
            self.facts = replace(self.facts, defaults=(self.user,))

    def give(self, new: str) -> None:
        """Have ``new`` replace the maker's password wherever that still opens."""
        assert self.facts
        names = " and ".join(self.facts.defaults)
        self._check(new, f"the maker's password still opens {names}, and everybody knows it")
        self._passwords = tuple((name, new) for name in self.facts.defaults)

    async def converge(self, anew: Iterable[str], operator: str, hear: OnEvent) -> None:
        """Take every step that is missing, prove that a key opens the admin account, and only
        then switch passwords off."""
        assert self.facts
        now = time.monotonic()
        facts = replace(self.facts, seconds=self.facts.seconds + round(now - self._asked_at))
        wish = Wish(
            self.node, self._account, int(time.time()), frozenset(anew), passwords=self._passwords
        )
        missing = changes(wish, facts)
        if not missing and self._proven and not self.offer.takes_passwords:
            self._settle_pins(facts.host_key)
            return
        await self._lock(operator)
        for change in missing:
            await self._change(change, hear)
        if HOST_KEY not in wish.shared:
            self._settle_pins(facts.host_key)
        if missing or not self._proven:
            await self._prove()
        if self.offer.takes_passwords:
            await self._close_passwords(hear)

    async def close(self) -> None:
        """Hang up."""
        if self._shell:
            await self._shell.close()

    @property
    def _open(self) -> Shell:
        assert self._shell, f"{self.node} was not entered"
        return self._shell

    def _check(self, new: str, fact: str) -> None:
        against = objection(new, self.answer.password) if new else "there is no new password"
        if against:
            raise Refused(
                f"{fact}; {against}, so nothing was changed",
                hint=f"write `{self.node}: {{new_password: ...}}` into the file of answers",
                where=self.node,
            )

    def _settle_pins(self, key: str) -> None:
        """A run that was killed while it changed the host key left two of them pinned."""
        if len(self.pinned) > 1 and key in self.pinned:
            pins.pin(self.cluster.name, self.to.pinned_as, [key])

    async def _lock(self, operator: str) -> None:
        """Keep applies out until we hang up, as they keep each other out."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        holder = json.dumps({"operator": operator, "since": since, "orphan": False})
        await self._open.hold(f"umask 077; exec 9>>{LOCK}; umask 022")
        try:
            await self._open.run(TAKE_LOCK.replace("@HOLDER@", shlex.quote(holder)))
        except Locked as locked:
            try:
                found = json.loads(locked.message)
            except ValueError:
                found = {}
            by = found.get("operator", "somebody") if isinstance(found, dict) else "somebody"
            since = found.get("since", "?") if isinstance(found, dict) else "?"
            raise Locked(
                f"{by} is changing this board since {since}",
                hint="run it again when that has ended",
                where=self.node,
            ) from None

    async def _change(self, change: Change, hear: OnEvent) -> None:
        began = time.monotonic()
        new_key = ""

        def listen(word: str, text: str) -> None:
            nonlocal new_key
            if word == "waiting":
                hear(Waiting(self.node, text))
            elif word == "new_host_key":
                new_key = text

        hear(Begin(self.node, change.key))
        await self._open.run(change.script, listen)
        if new_key:
            await self._use_host_key(new_key)
        self._did(change.key, began, hear)

    async def _use_host_key(self, new: str) -> None:
        """Both keys are pinned while either may answer: this may be cut off anywhere."""
        pins.pin(self.cluster.name, self.to.pinned_as, dict.fromkeys((*self.pinned, new)))
        await self._open.run(USE_HOST_KEYS)
        pins.pin(self.cluster.name, self.to.pinned_as, [new])
        self._proven = False

    async def _prove(self) -> None:
        """Get in as the admin account by key, with root by sudo, over a connection of its own."""
        for left in reversed(range(_PATIENCE)):
            try:
                shell = await enter(self.to, self.cluster.admin, self._folder)
            except (Unreachable, IdentityMismatch):
                # It was told to read its keys again, and for a moment has the old one, or none.
                if not left:
                    raise
                await asyncio.sleep(_PAUSE)
            except Refused as refused:
                raise NodeFailed(
                    f"the keys of {self.cluster.admin} are on it, and none of yours opens it;"
                    " passwords are as they were",
                    hint="is the private half of a key of the cluster file here? ssh-add it, or"
                    f" name yours in `admin: {{keys: [...]}}` ({refused.message})",
                    where=self.node,
                ) from None
            else:
                await shell.close()
                self._proven = True
                return

    async def _close_passwords(self, hear: OnEvent) -> None:
        began = time.monotonic()
        hear(Begin(self.node, "passwords off"))
        await self._open.run(CLOSE_PASSWORDS)
        try:
            await self._prove()
        except WulflingError:
            await self._open.run(OPEN_PASSWORDS)
            raise
        for _ in range(_PATIENCE):
            self.offer = await knock(self.to, self.user, self._folder)
            if not self.offer.takes_passwords:
                break
            await asyncio.sleep(_PAUSE)
        else:
            raise NodeFailed(
                "a key opens it, and its sshd goes on taking passwords",
                hint="on the board: sudo sshd -T | grep -i passwordauth; a line in"
                " /etc/ssh/sshd_config stands before `Include /etc/ssh/sshd_config.d/*.conf`",
                where=self.node,
            )
        self._did("passwords off", began, hear)

    def _did(self, key: str, began: float, hear: OnEvent) -> None:
        ms = round((time.monotonic() - began) * 1000)
        step = Step(self.node, key, Status.CHANGED, ms=ms)
        self.steps.append(step)
        hear(StepDone(step))


def objection(new: str, old: str) -> str:
    """What speaks against ``new`` in place of ``old``; "" when nothing does."""
    if len(new) < SHORTEST:
        return f"the new password has fewer than {SHORTEST} characters"
    if new == old or new in {password for _, password in DEFAULTS}:
        return "the new password is the old one, or one that makers give"
    if not new.isprintable():
        return "the new password has a control character in it"
    return ""
