"""The verbs of a cluster's life at the command line: who is meant, who is asked, and the codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.day2.town import Board, Town

from wulfling.cli import rack as racks
from wulfling.errors import Unreachable

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def boards(file: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """The two boards of the file."""
    town = Town({"one": Board(), "two": Board()}, head="one")
    monkeypatch.setattr(racks, "Ssh", lambda: town)
    return town


def test_drain_and_resume(run: Run, boards: Town) -> None:
    code, out, err = run("node", "drain", "two", "--reason", "new fan")
    assert (code, out) == (0, "two: drained\n")
    assert err == "next: wulfling -f cluster.yaml node resume two\n"
    assert boards.boards["two"].reason == "new fan"
    assert run("node", "resume", "one", "two")[:2] == (
        0,
        "one: takes jobs as it is\ntwo: takes jobs again (was IDLE+DRAIN: new fan)\n",
    )
    assert boards.done == ["two drain", "two resume"]


def test_drain_says_which_jobs_end_first(run: Run, boards: Town) -> None:
    boards.boards["two"].jobs = {"17": 50, "18": 50}
    out = run("node", "drain", "two", "--reason", "new fan")[1]
    assert out == "two: drained once these are done, 2 jobs: 17, 18\n"


@pytest.mark.parametrize("reason", ["", "two\nlines"])
def test_a_reason_is_a_line(run: Run, boards: Town, reason: str) -> None:
    assert run("node", "drain", "two", "--reason", reason)[0] == 64
    assert boards.done == []


def test_all_nodes_that_are_not_there_are_named(run: Run, boards: Town) -> None:
    code, _, err = run("node", "drain", "n[1-2]", "two", "--reason", "x")
    assert code == 1
    assert "there is no node n1 and no node n2" in err
    assert "the file has one, two" in err
    assert boards.done == []


def test_what_slurm_does_not_know_is_drained_with_nobody_else(run: Run, boards: Town) -> None:
    boards.unknown = {"two"}
    code, _, err = run("node", "drain", "one", "two", "--reason", "x")
    assert code == 1
    assert "Slurm does not know two" in err
    assert boards.done == []


def test_the_head_is_away(run: Run, boards: Town) -> None:
    boards.boards["one"].error = Unreachable("No route to host", where="one")
    assert run("node", "drain", "two", "--reason", "x")[0] == 3


def test_nobody_is_asked_in_a_pipe(run: Run, boards: Town) -> None:
    for words in (
        ("node", "reboot"),
        ("power", "off"),
        ("node", "add", "three", "--address", "10.9.9.3"),
    ):
        code, _, err = run(*words)
        assert code == 64
        assert "with -y it goes ahead" in err
    assert boards.done == []


def test_reboot_tells_what_was_done(
    run: Run, boards: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "sleep", _no_time)
    code, out, _ = run("node", "reboot", "-y", "-o", "json")
    assert code == 0
    assert '"node": "two",\n    "again": true' in out
    assert [event for event in boards.done if "reboots" in event] == ["two reboots", "one reboots"]


async def _no_time(seconds: float) -> None:
    """Boards of a table need none."""


def test_two_at_once_is_one_too_many(run: Run, boards: Town) -> None:
    from wulfling.day2.rack import turn

    with turn("c", "kim@laptop"):
        code, _, err = run("node", "reboot", "two", "-y")
    assert code == 5
    assert "kim@laptop is at work on c" in err
    assert boards.done == []


def test_a_newcomer_that_the_file_does_not_take(run: Run, file: Path, boards: Town) -> None:
    before = file.read_text()
    code, _, err = run("node", "add", "three", "--address", "10.9.9.2", "-y")
    assert code == 6
    assert "has the address 10.9.9.2" in err
    assert run("node", "add", "two", "--address", "10.9.9.7", "-y")[0] == 1
    assert run("node", "add", "x", "--address", "10.9.9.7", "--partition", "gpu", "-y")[0] == 1
    assert run("node", "add", "x", "--address", "ten", "-y")[0] == 64
    assert run("node", "add", "x", "--address", "10.9.9.7", "--mac", "zz", "-y")[0] == 64
    assert file.read_text() == before


def test_who_cannot_leave(run: Run, file: Path, boards: Town) -> None:
    code, _, err = run("node", "remove", "one", "-y")
    assert code == 1
    assert "one is the head" in err
    boards.boards["two"].jobs = {"7": 99}
    code, _, err = run("node", "remove", "two", "--no-wait", "-y")
    assert code == 4
    assert "it runs 1 job: 7" in err
    assert boards.done == []
    assert "two:" in file.read_text()


def test_replace_waits_for_a_person_to_swap_the_boards(run: Run, boards: Town) -> None:
    code, _, err = run("node", "replace", "two", "-y")
    assert code == 4
    assert "the old board still answers; it takes no jobs any more and has none" in err
    assert "node replace two   # again" in err
    boards.boards["two"].off = True
    code, _, err = run("node", "replace", "two", "-y")
    assert code == 3
    assert "no board answers there yet" in err
    assert boards.boards["two"].reason.startswith("wulfling replace")


def test_power_off(run: Run, boards: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "sleep", _no_time)
    assert run("power", "off", "-y") == (
        0,
        "off: two one\n",
        "next: wulfling -f cluster.yaml power on\n",
    )
