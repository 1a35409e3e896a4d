"""Packages: read from dpkg's own table, installed in one go, with no daemon started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import CommandFailed
from wulfling.node.board import Board
from wulfling.node.resources import packages
from wulfling.node.resources.packages import POLICY_TEXT, Packages, no_daemon_starts, wait_for_dpkg

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

WANTED = Packages(names=("chrony", "dbus", "hostname"))

# As dpkg 1.21 writes it.
STATUS = """\
Package: hostname
Essential: yes
Status: install ok installed
Priority: required
Section: admin
Version: 3.23+nmu1

Package: dbus
Status: hold ok installed
Architecture: amd64
Description: simple interprocess messaging system (system message bus)
 Package: chrony
 Status: install ok installed

Package: munge
Status: deinstall ok config-files

Package: slurmd
Status: install ok half-configured

Package: init
Protected: yes
Status: install ok installed
"""


def argv(verb: str, *names: str) -> tuple[str, ...]:
    options = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"]
    options += ["-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0"]
    options += ["-o", "Acquire::Retries=3", "-o", "APT::Keep-Downloaded-Packages=false"]
    options += ["-o", "APT::Update::Error-Mode=any"] if verb == "update" else []
    return ("apt-get", *options, verb, *names)


@pytest.fixture
def lists(root: Path) -> Path:
    """The lists of packages, fetched a moment ago."""
    place = root / "var/lib/apt/lists"
    (place / "mirror.example_debian_dists_bookworm_main_binary-amd64_Packages").write_text("")
    return place


@pytest.fixture
def status(root: Path) -> Path:
    place = root / "var/lib/dpkg/status"
    place.write_text(STATUS)
    return place


@pytest.fixture
def installs(root: Path, status: Path) -> Callable[[], str]:
    """What apt-get does, seen from here; while it does it, no daemon may start."""

    def install() -> str:
        policy = root / "usr/sbin/policy-rc.d"
        assert policy.read_text() == POLICY_TEXT
        assert policy.stat().st_mode & 0o777 == 0o755
        status.write_text(f"{STATUS}\nPackage: chrony\nStatus: install ok installed\n")
        return ""

    return install


@pytest.mark.parametrize("name", ["hostname", "dbus", "init"])
def test_installed(board: Board, status: Path, name: str) -> None:
    """Also what nobody may remove, and what the operator has put on hold."""
    assert Packages(names=(name,)).observe(board) == Packages(names=(name,))


@pytest.mark.parametrize("name", ["munge", "slurmd", "chrony", "host", "hostname2"])
def test_not_installed(board: Board, status: Path, name: str) -> None:
    """Removed but for its settings, half done, named in a description, or never seen."""
    assert Packages(names=(name,)).observe(board) == Packages(names=())


def test_a_board_without_dpkg_has_nothing(board: Board, root: Path) -> None:
    (root / "var/lib/dpkg/status").unlink()
    assert WANTED.observe(board).names == ()


def test_the_table_is_read_once(board: Board, status: Path) -> None:
    WANTED.observe(board)
    status.write_text("")
    assert WANTED.observe(board).names == ("dbus", "hostname")


def test_difference_is_a_line_for_each(board: Board, status: Path) -> None:
    wanted = Packages(names=("chrony", "dbus", "munge"))
    assert wanted.difference(wanted.observe(board)) == ("+ chrony", "+ munge")


def test_only_what_is_missing_is_installed(
    board: Board, root: Path, lists: Path, answers: Answers, installs: Callable[[], str]
) -> None:
    answers[argv("install", "chrony")] = installs
    WANTED.converge(board, WANTED.observe(board))
    assert WANTED.observe(board) == WANTED
    assert not (root / "usr/sbin/policy-rc.d").exists()


@pytest.mark.parametrize("age", [2 * 24 * 3600.0, -3600.0], ids=["old", "from the future"])
def test_lists_are_fetched_when_old(
    *,
    board: Board,
    lists: Path,
    answers: Answers,
    ran: list[tuple[str, ...]],
    installs: Callable[[], str],
    age: float,
) -> None:
    then = time.time() - age
    os.utime(lists, (then, then))
    answers[argv("update")] = ""
    answers[argv("install", "chrony")] = installs
    WANTED.converge(board, WANTED.observe(board))
    assert [words[-1] for words in ran] == ["update", "chrony"]


def test_lists_are_fetched_when_there_are_none(
    board: Board, answers: Answers, ran: list[tuple[str, ...]], installs: Callable[[], str]
) -> None:
    answers[argv("update")] = ""
    answers[argv("install", "chrony")] = installs
    WANTED.converge(board, WANTED.observe(board))
    assert [words[-1] for words in ran] == ["update", "chrony"]


@pytest.mark.parametrize(
    "said",
    [
        "E: Unable to locate package chrony",
        "E: Failed to fetch http://mirror.example/x.deb  404  Not Found [IP: 10.0.2.2 3142]",
        "E: Package 'chrony' has no installation candidate",
    ],
)
def test_outdated_lists_are_fetched_once_more(
    *,
    board: Board,
    lists: Path,
    answers: Answers,
    ran: list[tuple[str, ...]],
    said: str,
    installs: Callable[[], str],
) -> None:
    answers[argv("install", "chrony")] = (100, said)

    def update() -> str:
        answers[argv("install", "chrony")] = installs
        return ""

    answers[argv("update")] = update
    WANTED.converge(board, WANTED.observe(board))
    assert [words[-1] for words in ran] == ["chrony", "update", "chrony"]


def test_a_dead_repository_of_somebody_else_does_no_harm(
    board: Board, answers: Answers, installs: Callable[[], str]
) -> None:
    answers[argv("update")] = (100, "E: The repository 'http://dl.khadas.com jammy' is gone")
    answers[argv("install", "chrony")] = installs
    WANTED.converge(board, WANTED.observe(board))


def test_a_failure_says_all_that_apt_said(
    board: Board, root: Path, status: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    answers[argv("update")] = (100, "E: Could not resolve 'mirror.example'")
    answers[argv("install", "chrony")] = (100, "E: Unable to locate package chrony")
    with pytest.raises(CommandFailed) as failure:
        WANTED.converge(board, WANTED.observe(board))
    assert "Unable to locate package chrony" in str(failure.value)
    assert "Could not resolve 'mirror.example'" in str(failure.value)
    assert "mirror" in failure.value.hint
    assert len(ran) == 2
    assert not (root / "usr/sbin/policy-rc.d").exists()


def test_a_wrong_clock_is_named(board: Board, status: Path, answers: Answers) -> None:
    answers[argv("update")] = (100, "E: Release file for http://x is not valid yet (invalid for")
    answers[argv("install", "chrony")] = (100, "E: Unable to locate package chrony")
    with pytest.raises(CommandFailed) as failure:
        WANTED.converge(board, WANTED.observe(board))
    assert "clock" in failure.value.hint


def test_units_are_read_anew_once_for_all_packages(
    *,
    board: Board,
    root: Path,
    lists: Path,
    answers: Answers,
    ran: list[tuple[str, ...]],
    installs: Callable[[], str],
) -> None:
    """A package's own `systemctl daemon-reload` takes seconds on a small board."""
    (root / "run/systemd/system").mkdir(parents=True)
    offline = []

    def install() -> str:
        offline.append(board.environment.copy())
        return installs()

    answers[argv("install", "chrony")] = install
    answers["systemctl", "daemon-reload"] = ""
    WANTED.converge(board, WANTED.observe(board))
    assert offline == [{"SYSTEMD_OFFLINE": "1"}]
    assert ran == [argv("install", "chrony"), ("systemctl", "daemon-reload")]
    assert board.environment == {}


def test_a_policy_of_somebody_else_stays(board: Board, root: Path) -> None:
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    with no_daemon_starts(board):
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 101\n"


def test_who_holds_dpkg_is_named_and_waited_for(
    board: Board, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = root / "var/lib/dpkg/lock-frontend"
    lock.write_text("")
    there = lock.stat()
    device = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}"
    locks = root / "proc/locks"
    locks.write_text(
        f"1: POSIX  ADVISORY  WRITE 812 {device}:{there.st_ino} 0 EOF\n"
        f"1: -> POSIX  ADVISORY  WRITE 813 {device}:{there.st_ino} 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 1 00:1a:1 0 EOF\n"
    )
    (root / "proc/812").mkdir()
    (root / "proc/812/comm").write_text("unattended-upgr\n")
    told: list[str] = []
    board.say = told.append
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 3:
            locks.write_text("")

    monkeypatch.setattr(time, "sleep", sleep)
    wait_for_dpkg(board)
    assert told == ["unattended-upgr (process 812), which is changing packages"]
    assert len(sleeps) == 3


def test_waiting_has_an_end(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_lock_holder", lambda board: "apt-get (process 1)")
    monkeypatch.setattr(packages, "POLL", 0.01)
    wait_for_dpkg(board, patience=0.05)


def test_commands() -> None:
    assert WANTED.commands()[1] == (
        "sudo apt-get install --no-install-recommends chrony dbus hostname"
    )
    assert WANTED.undo() == ("sudo apt-get remove chrony dbus hostname",)


PINNED = Packages(names=("dbus", "slurmd"), versions=(("slurmd", "24.11.5-"),))
SLURMD = "Package: {}\nStatus: install ok installed\nVersion: {}\n\n"


def test_a_version_is_one_that_begins_so(board: Board, root: Path) -> None:
    table = SLURMD.format("dbus", "1") + SLURMD.format("slurmd", "24.11.5-4+deb13u1")
    (root / "var/lib/dpkg/status").write_text(table)
    assert PINNED.observe(board) == PINNED


def test_another_version_is_a_change_that_names_both(board: Board, root: Path) -> None:
    table = SLURMD.format("dbus", "1") + SLURMD.format("slurmd", "24.11.55-1")
    (root / "var/lib/dpkg/status").write_text(table)
    observed = PINNED.observe(board)
    assert observed != PINNED
    assert PINNED.difference(observed) == ("  slurmd: 24.11.55-1 -> 24.11.5",)


def test_a_package_that_is_not_there_is_told_once(board: Board, root: Path) -> None:
    (root / "var/lib/dpkg/status").write_text(SLURMD.format("dbus", "1"))
    assert PINNED.difference(PINNED.observe(board)) == ("+ slurmd",)
