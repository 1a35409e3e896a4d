"""What a power cut can leave, and that the next apply finds and removes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.node.board import Board
from wulfling.node.repair import repair
from wulfling.node.resources.file import unfinished
from wulfling.node.resources.packages import POLICY_TEXT

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

CONFIGURE = ("dpkg", "--force-confold", "--configure", "-a")
OPTIONS = "-y -q --no-install-recommends -o DPkg::Lock::Timeout=600"
OPTIONS += " -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0"
OPTIONS += " -o Acquire::Retries=3 -o APT::Keep-Downloaded-Packages=false"
INSTALL = ("apt-get", *OPTIONS.split(), "install", "--fix-broken")


def test_nothing_to_do(board: Board, root: Path, ran: list[tuple[str, ...]]) -> None:
    assert repair(board) == ()
    assert ran == []


def test_a_policy_of_ours(board: Board, root: Path) -> None:
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(POLICY_TEXT)
    assert repair(board) == ("removed /usr/sbin/policy-rc.d, which a killed installation left",)
    assert not policy.exists()


def test_a_policy_of_somebody_else(board: Board, root: Path) -> None:
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    assert repair(board) == ()
    assert (root / "usr/sbin/policy-rc.d").exists()


@pytest.mark.parametrize(
    ("lock", "process", "stale"),
    [
        ("4711", None, True),
        ("4711\0", "sshd", True),
        ("", None, True),
        ("4711", "useradd", False),
        ("4711\0", "vipw", False),
    ],
)
def test_locks_of_useradd(
    board: Board, root: Path, lock: str, process: str | None, stale: bool
) -> None:
    """After a power cut the number in the lock is some other process, or the file is empty."""
    place = root / "etc/passwd.lock"
    place.write_text(lock)
    if process:
        (root / "proc/4711").mkdir()
        (root / "proc/4711/comm").write_text(f"{process}\n")
    assert len(repair(board)) == stale
    assert place.exists() is not stale


@pytest.mark.parametrize(
    "state", ["half-configured", "unpacked", "half-installed", "triggers-pending"]
)
def test_an_installation_that_was_cut_off(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]], state: str
) -> None:
    status = root / "var/lib/dpkg/status"
    status.write_text(f"Package: slurmd\nStatus: install ok {state}\nVersion: 1\n")

    def configure() -> str:
        assert (root / "usr/sbin/policy-rc.d").exists()
        return ""

    told: list[str] = []
    board.say = told.append
    answers[CONFIGURE] = configure
    answers[INSTALL] = configure
    assert repair(board) == ("finished an installation that was cut off (dpkg --configure -a)",)
    assert ran == [CONFIGURE, INSTALL]
    assert told == ["an installation that was cut off to be finished"]
    assert not (root / "usr/sbin/policy-rc.d").exists()


def test_changes_that_dpkg_has_not_yet_put_into_its_table(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    (root / "var/lib/dpkg/updates/0007").write_text("Package: slurmd\n")
    answers[CONFIGURE] = (1, "dpkg: error processing package slurmd")
    answers[INSTALL] = ""
    repair(board)
    assert ran == [CONFIGURE, INSTALL]


def test_what_dpkg_always_leaves_is_no_crash(board: Board, root: Path) -> None:
    (root / "var/lib/dpkg/updates/tmp.i").write_text("")
    (root / "var/lib/dpkg/status").write_text("Package: x\nStatus: deinstall ok config-files\n")
    assert repair(board) == ()


def test_packages_that_cannot_be_repaired(board: Board, root: Path, answers: Answers) -> None:
    """They may be none of ours; what is ours and needs them fails in its own step."""
    (root / "var/lib/dpkg/updates/0007").write_text("")
    answers[CONFIGURE] = (1, "no")
    answers[INSTALL] = (100, "E: Unmet dependencies.")
    (words,) = repair(board)
    assert words.startswith("could not finish an installation that was cut off")
    assert "Unmet dependencies" in words
    assert not (root / "usr/sbin/policy-rc.d").exists()


def test_an_open_intent(board: Board, root: Path) -> None:
    journal = root / "var/lib/wulfling/journal"
    journal.parent.mkdir()
    journal.write_text("file:/etc/munge/munge.key\n")
    (root / "etc/munge").mkdir()
    left = unfinished(root / "etc/munge/munge.key")
    left.write_text("half a key")
    assert repair(board) == (
        "the last run was cut off at file:/etc/munge/munge.key, which is looked at again",
    )
    assert not left.exists()
    assert repair(board) == ()


@pytest.mark.parametrize("key", ["", "service:munge.service", "file:/no/such/folder/x"])
def test_other_intents(board: Board, root: Path, key: str) -> None:
    journal = root / "var/lib/wulfling/journal"
    journal.parent.mkdir()
    journal.write_text(f"{key}\n" if key else "")
    assert len(repair(board)) == bool(key)
    assert repair(board) == ()
