"""systemd units: when they are as declared, and what is done when they are not.

The texts are what ``systemctl show`` of systemd 252 (Debian 12) printed on a virtual board.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.resource import NotYet
from wulfling.node.board import Board
from wulfling.node.resources.service import PROPERTIES, Service, is_ours, parse_units

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

RECORDED = """\
Id=ssh.service
Names=ssh.service sshd.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=no

Id=nosuch.service
Names=nosuch.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
NeedDaemonReload=no

Id=dbus.socket
Names=dbus.socket
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=static
NeedDaemonReload=no

Id=nfs.automount
Names=nfs.automount
LoadState=loaded
ActiveState=active
SubState=waiting
UnitFileState=generated
NeedDaemonReload=no
"""

UNIT = "slurmctld.service"
SLURMCTLD = Service(unit=UNIT, configured="abc123")


def shown(
    *,
    load: str = "loaded",
    active: str = "active",
    sub: str = "running",
    file: str = "enabled",
    reload: str = "no",
    condition: str = "no",
    asked: str = "0",
    unit: str = UNIT,
) -> str:
    return (
        f"Id={unit}\nNames={unit}\nLoadState={load}\nActiveState={active}\nSubState={sub}\n"
        f"UnitFileState={file}\nNeedDaemonReload={reload}\n"
        f"ConditionResult={condition}\nConditionTimestampMonotonic={asked}\n"
    )


def show(*units: str) -> tuple[str, ...]:
    return ("systemctl", "show", "--property", PROPERTIES, *units)


class Machine:
    """A systemd of one unit, so that a converged service can be looked at again."""

    def __init__(self, answers: Answers, unit: str = UNIT, **state: str) -> None:
        self.state = state
        self.disk: dict[str, str] = {}  # what systemd knows when it has read its units anew
        answers[show(unit)] = lambda: shown(**self.state, unit=unit)
        for verb in ("start", "stop", "restart", "reload-or-restart", "reset-failed"):
            answers["systemctl", verb, unit] = lambda verb=verb: self.do(verb)  # type: ignore[misc]
        for verb in ("enable", "disable", "unmask"):
            answers["systemctl", verb, "--quiet", unit] = lambda verb=verb: self.do(verb)  # type: ignore[misc]
        answers["systemctl", "daemon-reload"] = lambda: self.do("daemon-reload")
        journal = ("journalctl", "--no-pager", "-o", "cat", "-n", "15", "-u", unit)
        answers[journal] = "error: no StateSaveLocation\n"

    def do(self, verb: str) -> str:
        if verb in ("restart", "reload-or-restart"):
            self.state |= {"active": "active", "sub": "running"}
        changes = {
            "stop": {"active": "inactive", "sub": "dead"},
            "daemon-reload": {"reload": "no", **self.disk},
            "reset-failed": {"active": "inactive"},
        }
        self.state |= changes.get(verb, {})
        files = {
            "enable": {"file": "enabled"},
            "disable": {"file": "disabled"},
            "unmask": {"load": "loaded", "file": "disabled"},
        }
        self.disk |= files.get(verb, {})
        return ""


def stamp(root: Path, text: str, unit: str = UNIT) -> Path:
    place = root / "var/lib/wulfling/started" / unit
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def verbs(ran: list[tuple[str, ...]]) -> list[str]:
    return [words[1] for words in ran if words[0] == "systemctl" and words[1] != "show"]


def converged(board: Board, service: Service) -> Service:
    service.converge(board, service.observe(board))
    return service.observe(board)


def test_parse() -> None:
    units = parse_units(RECORDED)
    assert units["sshd.service"] is units["ssh.service"]
    assert units["nfs.automount"]["UnitFileState"] == "generated"
    assert set(units) == {
        "ssh.service",
        "sshd.service",
        "nosuch.service",
        "dbus.socket",
        "nfs.automount",
    }


def test_no_answer_is_no_state() -> None:
    with pytest.raises(WulflingError, match="answered nothing"):
        parse_units("")


def test_one_question_for_all_units(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    board.units = ("ssh.service", "dbus.socket", "nfs.automount")
    answers[show(*board.units)] = RECORDED
    for unit in board.units:
        assert Service(unit=unit).observe(board) == Service(unit=unit)
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("state", "running"),
    [
        ({}, True),
        ({"active": "reloading"}, True),
        ({"active": "activating", "sub": "start"}, True),
        ({"active": "activating", "sub": "auto-restart"}, False),
        ({"active": "failed", "sub": "failed"}, False),
        ({"active": "inactive", "sub": "dead"}, False),
        ({"active": "active", "sub": "exited"}, True),
        ({"active": "deactivating", "sub": "stop-sigterm"}, False),
    ],
)
def test_running(board: Board, answers: Answers, state: dict[str, str], running: bool) -> None:
    """A daemon that is started again every second is not running."""
    Machine(answers, **state)
    assert Service(unit=UNIT).observe(board).running is running


@pytest.mark.parametrize(
    ("file", "enabled"),
    [
        ("enabled", True),
        ("enabled-runtime", False),
        ("disabled", False),
        ("masked", False),
        ("static", True),
        ("generated", True),
        ("alias", True),
    ],
)
def test_enabled(board: Board, answers: Answers, file: str, enabled: bool) -> None:
    Machine(answers, file=file)
    assert Service(unit=UNIT).observe(board).enabled is enabled


@pytest.mark.parametrize("file", ["static", "generated"])
def test_what_cannot_be_disabled_does_not_differ(board: Board, answers: Answers, file: str) -> None:
    Machine(answers, file=file, active="inactive", sub="dead")
    gone = Service(unit=UNIT, enabled=False, running=False)
    assert gone.observe(board) == gone


def test_a_unit_nobody_knows(board: Board, answers: Answers) -> None:
    Machine(answers, load="not-found", active="inactive", sub="dead", file="")
    with pytest.raises(NotYet, match="packages:apt"):
        SLURMCTLD.observe(board)
    gone = Service(unit=UNIT, enabled=False, running=False)
    assert gone.observe(board) == gone


def test_in_an_apply_systemd_is_told_of_new_units(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    machine = Machine(answers, load="not-found", active="inactive", sub="dead", file="")
    board.applying = True

    def reload() -> str:
        machine.state |= {"load": "loaded", "file": "disabled", **machine.disk}
        return ""

    answers["systemctl", "daemon-reload"] = reload
    assert converged(board, SLURMCTLD) == SLURMCTLD
    assert verbs(ran) == ["daemon-reload", "enable", "daemon-reload", "restart"]


def test_a_plan_tells_systemd_nothing(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    Machine(answers, load="not-found", active="inactive", sub="dead", file="")
    with pytest.raises(NotYet):
        SLURMCTLD.observe(board)
    assert verbs(ran) == []


def test_an_automount_of_a_line_that_is_still_to_be_written(board: Board, answers: Answers) -> None:
    Machine(answers, "nfs.automount", load="not-found", active="inactive", sub="dead", file="")
    mount = Service(unit="nfs.automount", configured="x", watches=("block:/etc/fstab",))
    observed = mount.observe(board)
    assert not observed.running
    assert mount.difference(observed) == ("  enabled: no -> yes", "  running: no -> yes")


def test_running_without_our_knowing_is_not_enough(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    """The package started it, or an apply was killed before the restart: nobody knows what it
    has read."""
    Machine(answers)
    observed = SLURMCTLD.observe(board)
    assert SLURMCTLD.difference(observed) == (
        "  restart: wulfling has not started it with what it reads now",
    )
    assert converged(board, SLURMCTLD) == SLURMCTLD
    assert verbs(ran) == ["restart"]
    assert (root / "var/lib/wulfling/started" / UNIT).read_text() == "abc123\n"


def test_another_configuration(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    Machine(answers)
    stamp(root, "0ld\n")
    service = Service(unit=UNIT, configured="abc123", reload=True)
    difference = service.difference(service.observe(board))
    assert difference == ("  reload: it runs with another configuration",)
    assert converged(board, service) == service
    assert verbs(ran) == ["reload-or-restart"]


def test_a_daemon_that_reads_nothing_of_ours_needs_no_stamp(board: Board, answers: Answers) -> None:
    Machine(answers)
    assert Service(unit=UNIT).observe(board) == Service(unit=UNIT)


def test_what_it_watches_counts_also_without_a_digest(
    board: Board, root: Path, answers: Answers
) -> None:
    Machine(answers)
    service = Service(unit=UNIT, watches=("file:/etc/x",))
    assert service.observe(board) != service
    assert converged(board, service) == service
    service.forget_start(board)
    service.forget_start(board)
    assert service.observe(board) != service


def test_enabling_restarts_nothing(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    Machine(answers, file="disabled")
    stamp(root, "abc123\n")
    assert converged(board, SLURMCTLD) == SLURMCTLD
    assert verbs(ran) == ["enable", "daemon-reload"]


def test_running_but_not_at_boot(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    Machine(answers)
    stamp(root, "abc123\n")
    by_hand = Service(unit=UNIT, configured="abc123", enabled=False)
    assert converged(board, by_hand) == by_hand
    assert verbs(ran) == ["disable", "daemon-reload"]


def test_stopped_and_disabled(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    Machine(answers)
    mark = stamp(root, "abc123\n")
    gone = Service(unit=UNIT, enabled=False, running=False)
    assert converged(board, gone) == gone
    assert verbs(ran) == ["disable", "daemon-reload", "stop"]
    assert not mark.exists()


def test_what_did_not_run_before_is_ours_to_stop(
    board: Board, root: Path, answers: Answers
) -> None:
    machine = Machine(answers)
    converged(board, SLURMCTLD)
    assert not is_ours(board, UNIT)  # it ran before we restarted it
    machine.state |= {"active": "inactive", "sub": "dead"}
    board.forget("units")
    converged(board, SLURMCTLD)
    assert is_ours(board, UNIT)
    SLURMCTLD.forget_start(board)
    converged(board, SLURMCTLD)
    assert is_ours(board, UNIT)
    converged(board, Service(unit=UNIT, enabled=False, running=False))
    assert not is_ours(board, UNIT)


def test_a_unit_that_a_condition_of_its_own_skips(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    """auditd where the kernel has no audit: started in vain once, and then as it should be."""
    machine = Machine(answers, active="inactive", sub="dead")

    def skip() -> str:
        machine.state["asked"] = "7"
        return ""

    answers["systemctl", "restart", UNIT] = skip
    auditd = Service(unit=UNIT, configured="abc123", conditional=True)
    assert auditd.observe(board) != auditd  # nobody has asked for it since the board started
    assert not auditd.note(board)
    assert converged(board, auditd) == auditd
    assert "lacks what a condition" in auditd.note(board)
    assert verbs(ran) == ["restart"]
    assert not SLURMCTLD.observe(board).running, "another daemon has to run"
    machine.state["condition"] = "yes"
    board.forget("units")
    assert not auditd.observe(board).running, "somebody has stopped it"


def test_masked(board: Board, answers: Answers, ran: list[tuple[str, ...]]) -> None:
    Machine(answers, load="masked", active="inactive", sub="dead", file="masked")
    assert converged(board, SLURMCTLD) == SLURMCTLD
    assert verbs(ran) == ["unmask", "enable", "daemon-reload", "restart"]


def test_after_too_many_failures_systemd_has_to_be_told_to_try_again(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    Machine(answers, active="failed", sub="failed")
    assert converged(board, SLURMCTLD) == SLURMCTLD
    assert verbs(ran) == ["reset-failed", "restart"]


@pytest.mark.parametrize(
    ("watches", "reload"),
    [
        (("file:/etc/slurm/slurm.conf",), "yes"),
        # systemd 252 says "no" for a drop-in in a folder that was not there at its last reload.
        (("file:/etc/systemd/system/slurmctld.service.d/wulfling.conf",), "no"),
        (("block:/etc/fstab",), "no"),
    ],
)
def test_systemd_reads_the_unit_again_before_it_starts_it(
    board: Board,
    answers: Answers,
    ran: list[tuple[str, ...]],
    watches: tuple[str, ...],
    reload: str,
) -> None:
    Machine(answers, reload=reload)
    service = Service(unit=UNIT, configured="abc123", watches=watches)
    assert converged(board, service) == service
    assert verbs(ran) == ["daemon-reload", "restart"]


def test_a_failed_start_tells_the_journal(board: Board, root: Path, answers: Answers) -> None:
    Machine(answers, active="inactive", sub="dead")
    answers["systemctl", "restart", UNIT] = (1, "Job for slurmctld.service failed.\n")
    with pytest.raises(CommandFailed) as failure:
        converged(board, SLURMCTLD)
    assert "Job for slurmctld.service failed." in str(failure.value)
    assert "error: no StateSaveLocation" in str(failure.value)
    assert not (root / "var/lib/wulfling/started" / UNIT).exists()


def test_it_is_started_when_it_answers(
    board: Board, root: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(answers, active="inactive", sub="dead")
    answers["scontrol", "ping"] = (1, "Slurmctld(primary) at rpnode01 is DOWN")
    count = 0

    def sleep(seconds: float) -> None:
        nonlocal count
        assert not (root / "var/lib/wulfling/started" / UNIT).exists()
        count += 1
        if count == 3:
            answers["scontrol", "ping"] = ""

    monkeypatch.setattr(time, "sleep", sleep)
    service = Service(unit=UNIT, configured="abc123", ready=("scontrol", "ping"))
    assert converged(board, service) == service
    assert count == 3


def test_one_that_never_answers_is_not_started(
    board: Board, root: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(answers, active="inactive", sub="dead")
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    answers["scontrol", "ping"] = (1, "Slurmctld(primary) at rpnode01 is DOWN")
    service = Service(unit=UNIT, configured="abc123", ready=("scontrol", "ping"))
    with pytest.raises(CommandFailed) as failure:
        converged(board, service)
    assert "is DOWN" in str(failure.value)
    assert "error: no StateSaveLocation" in str(failure.value)
    assert failure.value.hint == f"journalctl -u {UNIT}"
    assert not (root / "var/lib/wulfling/started" / UNIT).exists()


def test_commands() -> None:
    assert SLURMCTLD.commands() == (
        "sudo systemctl enable slurmctld.service",
        "sudo systemctl restart slurmctld.service",
    )
    gone = Service(unit=UNIT, enabled=False, running=False)
    assert gone.commands() == ("sudo systemctl disable --now slurmctld.service",)
