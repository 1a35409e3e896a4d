"""systemd units: running, started at boot, and started after their last change."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import STATE, Board
from wulfling.node.resources.file import sync_directory, write_atomically

STAMPS = f"{STATE}/started"
OURS = f"{STATE}/services"  # a file for each unit that did not run before we started it
PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload"
    ",ConditionResult,ConditionTimestampMonotonic"
)
# Such units have nothing to enable: others start them, or fstab does (systemctl(1), is-enabled).
NOTHING_TO_ENABLE = ("alias", "generated", "indirect", "static", "transient")
DEFINITIONS = ("file:/etc/systemd/system/", "link:/etc/systemd/system/", "block:/etc/fstab")
NEVER_STARTED = "never"  # as a digest: no daemon was started by us since its last change
READY_PATIENCE = 30.0  # seconds that one try of a ``ready`` command may take


@dataclass(frozen=True, kw_only=True)
class Service(Resource):
    """A unit. ``configured`` is a digest of all that it reads when it starts.

    The board keeps the digest of the last successful start; a daemon that runs with an older
    configuration differs from what is declared, also when the run that changed the file was
    killed before the restart. ``watches`` are the keys of this board's resources whose change
    makes a restart due; ``ready`` is a command that succeeds when the daemon answers. A
    ``conditional`` unit is as declared when systemd skips it on this board because a Condition of
    the unit does not hold (systemd.unit(5)), for want of something in its kernel; it has no
    ``ready``.
    """

    kind: ClassVar[str] = "service"

    unit: str
    enabled: bool = True
    running: bool = True
    configured: str = ""
    watches: tuple[str, ...] = field(default=(), compare=False)
    reload: bool = field(default=False, compare=False)
    ready: tuple[str, ...] = field(default=(), compare=False)
    ready_timeout: int = field(default=60, compare=False)
    conditional: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        return self.unit

    def observe(self, board: Board) -> Service:
        """The unit as systemd sees it. Raises ``NotYet`` when systemd knows no such unit.

        In an apply a unit may be so new that systemd has not read it yet; then it is told to.
        """
        state = self._state(board)
        if board.applying and self.running and state.get("LoadState") == "not-found":
            board.run(["systemctl", "daemon-reload"])
            board.forget("units")
            state = self._state(board)
        if state.get("LoadState") == "not-found" and self.running:
            if self._is_generated():
                return Service(unit=self.unit, enabled=False, running=False)
            raise NotYet("packages:apt")
        enabled = state.get("UnitFileState") == "enabled"
        if state.get("UnitFileState") in NOTHING_TO_ENABLE:
            enabled = self.enabled
        running = _is_running(state) or self._is_skipped(state)
        return Service(
            unit=self.unit,
            enabled=enabled,
            running=running,
            configured=self._stamp(board) if running and self.running else "",
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Enable and (re)start, or stop and disable. Raises ``CommandFailed`` with the last
        lines of the unit's journal when it does not come up."""
        assert isinstance(observed, Service)
        # Asked anew: an earlier step of this run may have written a drop-in or a line of fstab.
        state = _ask(board, (self.unit,)).get(self.unit, {})
        moved = self._move(board, observed, masked=state.get("LoadState") == "masked")
        if moved or state.get("NeedDaemonReload") != "no" or self._has_own_definition():
            board.run(["systemctl", "daemon-reload"])
            state = _ask(board, (self.unit,)).get(self.unit, {})
        board.forget("units")
        if not self.running and _is_running(state):
            board.run(["systemctl", "stop", self.unit])
        if not self.running:
            self.forget_start(board)
            board.path(f"{OURS}/{self.unit}").unlink(missing_ok=True)
        elif (observed.running, observed.configured) != (True, self.configured):
            self._start(board, state)

    def _move(self, board: Board, observed: Service, *, masked: bool) -> bool:
        """Into what starts at boot, or out of it; whether anything was moved. For a unit that
        has an init script as well systemd would read all units five times."""
        verbs = ["unmask"] if masked and self.running else []
        if self.enabled != observed.enabled:
            verbs.append("enable" if self.enabled else "disable")
        with board.systemd_left_alone():
            for verb in verbs:
                board.run(["systemctl", verb, "--quiet", self.unit])
        return bool(verbs)

    def forget_start(self, board: Board) -> None:
        """Make a restart due, durably, before something that the daemon reads is changed."""
        stamp = board.path(f"{STAMPS}/{self.unit}")
        if stamp.exists():
            stamp.unlink()
            sync_directory(stamp.parent)

    def commands(self) -> tuple[str, ...]:
        if not self.running:
            return (f"sudo systemctl disable --now {self.unit}",)
        read = ("sudo systemctl daemon-reload",) if self._has_own_definition() else ()
        verb = "enable" if self.enabled else "disable"
        at_boot = () if self._is_generated() else (f"sudo systemctl {verb} {self.unit}",)
        return (*read, *at_boot, f"sudo systemctl restart {self.unit}")

    def undo(self) -> tuple[str, ...]:
        verb = "stop" if self._is_generated() else "disable --now"
        return (f"sudo systemctl {verb} {self.unit}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        lines = [line for line in super().difference(observed) if "configured:" not in line]
        if isinstance(observed, Service) and observed.running and self.running:
            if observed.configured == NEVER_STARTED != self.configured:
                lines.append(f"  {self.verb}: wulfling has not started it with what it reads now")
            elif observed.configured != self.configured:
                lines.append(f"  {self.verb}: it runs with another configuration")
        return tuple(lines)

    @property
    def verb(self) -> str:
        """What makes a running daemon read its configuration."""
        return "reload" if self.reload else "restart"

    def note(self, board: Board) -> str:
        """That systemd skips the unit on this board, because it is not what people would think."""
        if not self.conditional or not self._is_skipped(self._state(board)):
            return ""
        return "not running: this board lacks what a condition of the unit asks for"

    def _is_skipped(self, state: dict[str, str]) -> bool:
        """Whether systemd was told to start it and found that a condition does not hold. Before
        that the result is "no" as well, but of no time."""
        result, asked = state.get("ConditionResult"), state.get("ConditionTimestampMonotonic")
        inactive = state.get("ActiveState") == "inactive"
        return self.conditional and inactive and result == "no" and asked not in (None, "", "0")

    def _is_generated(self) -> bool:
        """Whether fstab makes the unit at each boot; systemctl(1) refuses to enable such."""
        return self.unit.endswith(".automount")

    def _has_own_definition(self) -> bool:
        """Whether we write a part of the unit. systemd does not look for drop-ins in folders
        that were not there at its last reload, and says NeedDaemonReload=no (seen with 252)."""
        return any(key.startswith(DEFINITIONS) for key in self.watches)

    def _state(self, board: Board) -> dict[str, str]:
        states = board.once("units", lambda: _ask(board, (*board.units, self.unit)))
        if self.unit not in states:
            states.update(_ask(board, (self.unit,)))
        return states.get(self.unit, {"LoadState": "not-found"})

    def _stamp(self, board: Board) -> str:
        """The digest of the last start. A daemon that reads nothing and watches nothing needs
        none: whoever started it, it runs as it should."""
        lines = board.lines(f"{STAMPS}/{self.unit}")
        if not lines:
            return NEVER_STARTED if self.configured or self.watches else ""
        return lines[0]

    def _start(self, board: Board, state: dict[str, str]) -> None:
        verb = "reload-or-restart" if self.reload and _is_running(state) else "restart"
        if state.get("ActiveState") == "failed":  # or systemd may say that it tried too often
            board.run(["systemctl", "reset-failed", self.unit], check=False)
        code, _, said = board.ask(["systemctl", verb, self.unit])
        if code != 0:
            raise CommandFailed(("systemctl", verb, self.unit), code, said + self._journal(board))
        self._wait_until_ready(board)
        if not _is_running(state):
            _keep(board, f"{OURS}/{self.unit}", "")
        _keep(board, f"{STAMPS}/{self.unit}", f"{self.configured}\n")

    def _wait_until_ready(self, board: Board) -> None:
        deadline = time.monotonic() + self.ready_timeout
        while self.ready:
            code, out, err = board.ask(self.ready, timeout=READY_PATIENCE)
            if code == 0:
                return
            if time.monotonic() > deadline:
                said = f"{err or out}\n(for {self.ready_timeout} s){self._journal(board)}"
                raise CommandFailed(self.ready, code, said, hint=f"journalctl -u {self.unit}")
            time.sleep(0.25)

    def _journal(self, board: Board) -> str:
        lines = board.run(
            ["journalctl", "--no-pager", "-o", "cat", "-n", "15", "-u", self.unit], check=False
        )
        return f"\nlast lines of {self.unit}:\n{lines}"


def is_ours(board: Board, unit: str) -> bool:
    """Whether it was wulfling who brought this daemon to the board, and may take it away. The
    SSH server by which we came, for example, was there before us."""
    return board.path(f"{OURS}/{unit}").exists()


def _keep(board: Board, path: str, text: str) -> None:
    place = board.path(path)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomically(place, text, mode=0o644, uid=0, gid=0)


def expect_units(board: Board) -> None:
    """Have systemd asked now for all units of this run."""
    board.expect(_question(board.units))


def _is_running(state: dict[str, str]) -> bool:
    """A daemon that systemd starts again and again is activating most of the time, and is not
    running; one that takes its time to come up is."""
    active, sub = state.get("ActiveState"), state.get("SubState", "")
    return active in ("active", "reloading") or (
        active == "activating" and not sub.startswith("auto-restart")
    )


def _ask(board: Board, units: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """The properties of all units by one call, keyed by the name that was asked for."""
    return parse_units(board.run(_question(units)))


def _question(units: tuple[str, ...]) -> tuple[str, ...]:
    return ("systemctl", "show", "--property", PROPERTIES, *dict.fromkeys(units))


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """``systemctl show`` of several units: one paragraph each, found under all its names."""
    states: dict[str, dict[str, str]] = {}
    for paragraph in text.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
        names = f"{fields.get('Id', '')} {fields.get('Names', '')}".split()
        states.update(dict.fromkeys(names, fields))
    if not states:
        raise WulflingError("systemctl show answered nothing")
    return states
