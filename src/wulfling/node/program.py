"""The node program: says what the board is, then compares or converges, resource by resource."""

from __future__ import annotations

import binascii
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wulfling.errors import Locked, WulflingError
from wulfling.model.plan import Status
from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import STATE, Board
from wulfling.node.controller import Controller, ControllerGone
from wulfling.node.dead_man import confirm
from wulfling.node.facts import as_json as hardware_json
from wulfling.node.facts import measure
from wulfling.node.install import install
from wulfling.node.lock import BoardLock
from wulfling.node.manifest import (
    EVERYTHING,
    Retired,
    Scope,
    announce,
    goes_last,
    retired,
    write_manifest,
)
from wulfling.node.repair import JOURNAL, repair
from wulfling.node.resources import from_json
from wulfling.node.resources.database import Database
from wulfling.node.resources.firewall import Firewall
from wulfling.node.resources.kernel import KernelFlags
from wulfling.node.resources.patched import Patched
from wulfling.node.resources.service import Service, expect_units
from wulfling.node.resources.slurm import Account, AccountingCluster, Association, expect_rows

if TYPE_CHECKING:
    from wulfling.node.health.examination import Examination

SECRETS = f"{STATE}/secrets"
KNOWN = f"{STATE}/cluster/hardware.json"
LOCK = "/run/wulfling.lock"
NOTING = (KernelFlags, Retired, Firewall, Patched, Service)
"""The kinds that may have a word for the operator, also when nothing is to be done."""


class GivenUp(Exception):
    """Another node will not get to what this resource awaits."""


def main(
    incoming: IO[bytes],
    outgoing: IO[bytes],
    root: Path = Path("/"),
    board: Board | None = None,
) -> int:
    """Serve one conversation over these streams and return the exit code of this process."""
    controller = Controller(incoming, outgoing)
    try:
        try:
            _converse(board or Board(root), controller)
        except Locked as locked:
            controller.tell(event="locked", by=locked.message)
            return locked.exit_code
        except WulflingError as error:
            controller.tell(event="failed", message=str(error))
            return error.exit_code
        except ControllerGone:
            raise
        except Exception as error:
            controller.tell(event="failed", message=_bug(error))
            return 1
    except ControllerGone:
        return 1
    return 0


def _converse(board: Board, controller: Controller) -> None:
    order = controller.hear()
    if order["do"] == "confirm":  # by a second connection, while the first holds the lock
        confirm(board)
        controller.tell(event="done")
        return
    board.applying = order["do"] == "apply"
    board.say = lambda what: controller.tell(event="waiting", **{"for": what})
    if not board.applying:
        _work(board, controller, order, repaired=())
        return
    _survive()
    lock = BoardLock(board.path(LOCK))
    try:
        lock.take(order["operator"], board.say)
        controller.call_when_gone(lock.orphan)
        board.path(STATE).mkdir(mode=0o755, parents=True, exist_ok=True)
        repaired = repair(board)
        if order.get("program"):
            install(board, order["program"])
        _work(board, controller, order, repaired)
    finally:
        lock.free()


def _work(
    board: Board, controller: Controller, order: dict[str, Any], repaired: Sequence[str]
) -> None:
    examination = _examination(board, order)
    examined = examination.begin() if examination else {}
    controller.tell(
        event="hello",
        facts=hardware_json(measure(board)),
        secrets=_secrets(board) if order.get("secrets") else {},
        known=board.text(KNOWN) or "",
        repaired=list(repaired),
        **_devices(board, order),
        **examined,
    )
    if order["do"] == "check" and examination:
        controller.tell(event="health", facts=examination.end(examined["now"], {}, ()))
    if order["do"] != "check":
        said = controller.hear()
        wanted = [from_json(values) for values in said["resources"]]
        scope = tuple(said.get("scope", EVERYTHING))
        run = Run(board, controller, wanted, retire=bool(said.get("retire")), scope=scope)
        if examination:
            told = said.get("credentials", {})
            run.at_the_end = lambda: controller.tell(
                event="health", facts=examination.end(examined["now"], told, wanted)
            )
        run.go()
    controller.tell(event="done")


def _examination(board: Board, order: dict[str, Any]) -> Examination | None:
    """Whoever only plans or applies does not ask how the board is."""
    if "examine" not in order:
        return None
    from wulfling.node.health.examination import Examination

    return Examination(board, order["examine"])


def _devices(board: Board, order: dict[str, Any]) -> dict[str, Any]:
    """Disks and network cards, for who asks: a plan has no use for them."""
    if not order.get("devices"):
        return {}
    from wulfling.node import devices

    return {"devices": devices.as_json(devices.measure(board))}


def _survive() -> None:
    """What is being changed is brought to its end although the session is gone; and files that
    packages make do not depend on the operator's umask."""
    import signal  # a plan can be killed at any time

    os.umask(0o022)
    with suppress(ValueError):  # in a test this is not the main thread
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _bug(error: Exception) -> str:
    """An error that nobody foresaw, with the place where it came up."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    where = f" ({Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno})" if at else ""
    return f"{type(error).__name__}: {error}{where}"


def _secrets(board: Board) -> dict[str, str]:
    folder = board.path(SECRETS)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        place.name: binascii.b2a_base64(place.read_bytes(), newline=False).decode()
        for place in found
        if not place.name.startswith(".")  # half-written ones start with a dot
    }


class Run:
    """One pass over everything that is declared for this board.

    With ``retire``, what an earlier apply owned and ``wanted`` has no longer is taken back. The
    controller asks for it only when ``wanted`` is all there is: while the head is away its key
    is unknown, nothing of Slurm is declared, and no board is to lose its daemons for that.
    ``scope`` are the keys that the run is about: others are neither taken back nor forgotten.
    """

    def __init__(
        self,
        board: Board,
        controller: Controller,
        wanted: Sequence[Resource],
        *,
        retire: bool,
        scope: Scope = EVERYTHING,
    ) -> None:
        self.board = board
        self.controller = controller
        self.declared = tuple(wanted)
        gone = tuple(retired(board, wanted, scope)) if retire else ()
        last = tuple(filter(goes_last, gone))
        self.wanted = (*(resource for resource in gone if resource not in last), *wanted, *last)
        self.retire = retire
        self.scope = scope
        self.applying = board.applying
        self.changed: set[str] = set()  # keys that differ, whether or not they were changed yet
        self.failed = False
        self.given_up = ""  # why a step was left pending; what needs it is pending as well
        self.at_the_end: Callable[[], None] = lambda: None  # while expected answers are kept
        board.declared = self.declared
        board.units = tuple(r.unit for r in self.wanted if isinstance(r, Service))
        board.blob = self._blob
        board.contact = self._contact

    def go(self) -> None:
        """Take every resource in turn and tell how it stands."""
        self._expect()
        if self.applying:
            announce(self.board, self.declared)
        try:
            for resource in self.wanted:
                started = time.monotonic()
                step = self._step(resource)
                ms = round((time.monotonic() - started) * 1000)
                self.controller.tell(event="step", key=resource.key, ms=ms, **step)
            self.at_the_end()
        finally:
            self.board.unexpect()
        if self.applying and not self.failed:
            keep = not self.retire
            write_manifest(self.board, self.declared, keep=keep, scope=self.scope)

    def _expect(self) -> None:
        """Ask the slowest first: most boards are as declared, and wait for these answers only."""
        if any(isinstance(r, AccountingCluster | Account | Association) for r in self.wanted):
            expect_rows(self.board)
        for resource in self.wanted:
            if isinstance(resource, Database):
                resource.expect(self.board)
        if self.board.units:
            expect_units(self.board)

    def _step(self, resource: Resource) -> dict[str, Any]:
        if self.failed:
            return _told(Status.SKIPPED, message="an earlier step on this node failed")
        try:
            return self._converge(resource) if self.applying else self._compare(resource)
        except NotYet as missing:
            return self._early(resource, str(missing))
        except GivenUp as reason:
            self.given_up = str(reason)
            return _told(Status.PENDING, message=self.given_up)
        except (WulflingError, OSError) as error:
            self.failed = self.applying
            hint = getattr(error, "hint", "")
            return _told(Status.FAILED, message=f"{error}\n{hint}" if hint else str(error))

    def _early(self, resource: Resource, missing: str) -> dict[str, Any]:
        """What is missing is still to come in a plan; in an apply its turn is over."""
        if not self.applying:
            self.changed.add(resource.key)
            return _told(Status.PENDING, message=f"after {missing}")
        if self.given_up:
            return _told(Status.PENDING, message=f"after {missing}: {self.given_up}")
        self.failed = True
        return _told(Status.FAILED, message=f"{missing} is not there")

    def _compare(self, resource: Resource) -> dict[str, Any]:
        observed = resource.observe(self.board)
        if observed != resource:
            diff = resource.difference(observed)
        elif isinstance(resource, Service):
            due = [key for key in resource.watches if key in self.changed]
            diff = (f"  {resource.verb}: {due[0]} changes",) if due else ()
        else:
            diff = ()
        if observed == resource and not diff:
            return _told(Status.OK, message=_note(resource, self.board))
        self.changed.add(resource.key)
        return _told(Status.CHANGE, diff)

    def _converge(self, resource: Resource) -> dict[str, Any]:
        observed = resource.observe(self.board)
        if observed == resource:
            return _told(Status.OK, message=_note(resource, self.board))
        diff = resource.difference(observed)
        self._await(resource)
        self.controller.tell(event="begin", key=resource.key)
        self._note(resource.key)
        self.board.unexpect()
        try:
            self._make_restarts_due(resource)
            resource.converge(self.board, observed)
        finally:  # an error that we can tell is no crash
            self._note("")
        now = resource.observe(self.board)
        if now != resource:
            left = "; ".join(line.strip() for line in resource.difference(now))
            raise WulflingError(f"{resource.key} still differs after it was changed: {left}")
        return _told(Status.CHANGED, diff, _note(resource, self.board))

    def _make_restarts_due(self, changing: Resource) -> None:
        for service in self.wanted:
            if isinstance(service, Service) and changing.key in service.watches:
                service.forget_start(self.board)

    def _await(self, resource: Resource) -> None:
        if not resource.awaits:
            return
        self.controller.tell(event="await", key=resource.key, **{"for": list(resource.awaits)})
        answer = self.controller.hear()
        if "give up" in answer:
            raise GivenUp(answer["because"])

    def _note(self, key: str) -> None:
        """Keep on disk what is being changed, for whoever finds this board after a crash."""
        handle = os.open(self.board.path(JOURNAL), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as journal:
            journal.write(f"{key}\n" if key else "")
            journal.flush()
            if key:  # an entry that outlives its step costs one more look, and no harm
                os.fsync(journal.fileno())

    def _blob(self, sha256: str) -> bytes:
        self.controller.tell(event="need", blob=sha256)
        said = self.controller.hear()
        if "data" not in said:
            raise WulflingError(str(said.get("because", "the controller has no such file")))
        return binascii.a2b_base64(said["data"])

    def _contact(self) -> str:
        self.controller.tell(event="contact")
        said = self.controller.hear()
        return "" if said.get("contact") is True else str(said.get("because", "no answer"))


def _note(resource: Resource, board: Board) -> str:
    return resource.note(board) if isinstance(resource, NOTING) else ""


def _told(status: Status, diff: Sequence[str] = (), message: str = "") -> dict[str, Any]:
    return {"status": status.value, "diff": list(diff), "message": message}
