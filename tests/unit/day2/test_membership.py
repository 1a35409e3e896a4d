"""Who may leave, who answers where a board was, and what a board keeps that leaves."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.day2.town import Board, cluster, rack, town

from wulfling.components import farewell
from wulfling.day2.membership import (
    Answer,
    busy_with,
    check_may_go,
    leave,
    make_room,
    take_over,
    who_answers,
)
from wulfling.errors import IdentityMismatch, Unreachable, WulflingError
from wulfling.node.resources.block import Block
from wulfling.transport.link import Refused, Unpinned


@pytest.mark.parametrize(("name", "why"), [("head", "is the head"), ("disk", "serves /home")])
def test_who_cannot_leave(name: str, why: str) -> None:
    with pytest.raises(WulflingError, match=why):
        check_may_go(rack(town()), name)
    check_may_go(rack(town()), "n1")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Unreachable("No route to host"), Answer.NOBODY),
        (Unpinned("nobody has said yet"), Answer.STRANGER),
        (IdentityMismatch("another key"), Answer.STRANGER),
        (Refused("no account"), Answer.BLANK),
        (None, Answer.OURS),
    ],
)
def test_who_answers(error: WulflingError | None, answer: Answer) -> None:
    boards = town(n1=Board(error=error))
    assert asyncio.run(who_answers(rack(boards), "n1")) is answer


def test_a_blank_board_has_nothing_of_ours() -> None:
    boards = town(n1=Board(blank=True))
    assert asyncio.run(who_answers(rack(boards), "n1")) is Answer.BLANK


def test_a_dead_board_leaves_as_it_is() -> None:
    boards = town(n1=Board(off=True, state="DOWN*"))
    assert asyncio.run(leave(rack(boards), "n1")) is False
    assert boards.done == ["n1 drain"]
    assert boards.boards["n1"].reason.startswith("wulfling remove")


def test_jobs_that_a_dead_board_still_has_for_slurm_are_waited_for() -> None:
    boards = town(n1=Board(off=True, jobs={"7": 6}))
    asyncio.run(leave(rack(boards), "n1"))
    assert boards.boards["n1"].jobs == {}


def test_a_node_that_was_never_applied_leaves() -> None:
    boards = town(n1=Board(off=True))
    boards.unknown = {"n1"}
    assert asyncio.run(leave(rack(boards), "n1")) is False
    assert boards.done == []


def test_what_runs_there() -> None:
    assert asyncio.run(busy_with(rack(town()), "n1")) == ""
    boards = town(n1=Board(jobs={"7": 9, "8": 9}))
    assert asyncio.run(busy_with(rack(boards), "n1")) == "2 jobs: 7, 8"


def test_the_place_of_a_dead_board_is_taken() -> None:
    boards = town(n1=Board(off=True, state="DOWN*"))
    asyncio.run(make_room(rack(boards), "n1", Answer.NOBODY))
    boards.boards["n1"] = Board(state="IDLE+DRAIN", reason=boards.boards["n1"].reason)
    asyncio.run(take_over(rack(boards), "n1"))
    assert boards.done == ["n1 drain", "n1 resume"]


def test_what_a_board_keeps() -> None:
    whole = cluster()
    kept = {resource.key for resource in farewell(whole, whole.node("n1"))}
    assert {"hostname:n1", "service:chrony.service", "service:ssh.service"} <= {
        key.replace("hostname:hostname", "hostname:n1") for key in kept
    }
    assert "file:/etc/sudoers.d/wulfling" in kept
    gone = ("munge", "slurm", "fstab", "shosts", "known_hosts", "packages:")
    (hosts,) = (r for r in farewell(whole, whole.node("n1")) if isinstance(r, Block))
    assert hosts.text == "10.9.9.2 n1 n1.home.local\n"
    assert not [key for key in kept if any(word in key for word in gone)]
