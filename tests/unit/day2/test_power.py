"""Off in the right order when no job is left, and on again without a command."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.unit.day2.town import Board, Town, rack, town

from wulfling.day2.power import off, on, wake, wake_packet
from wulfling.errors import NodeFailed, Unreachable

COMPUTING = ("head", "n1", "n2", "n3")


def order(boards: Town) -> list[str]:
    return [event.split()[0] for event in boards.done if event.endswith("poweroffs")]


def test_off_in_order_and_expected_back() -> None:
    boards = town(n1=Board(jobs={"7": 9}), head=Board(jobs={"8": 5}, clients=3))
    assert asyncio.run(off(rack(boards))) == ("n1", "n2", "n3", "head", "disk")
    assert sorted(order(boards)[:3]) == ["n1", "n2", "n3"]
    assert order(boards)[3:] == ["head", "disk"]
    # DOWN, not drained: their registration brings them back (ReturnToService=2).
    assert {boards.boards[name].state for name in COMPUTING} == {"DOWN"}
    for name in COMPUTING:
        assert boards.done.index(f"{name} slurmd stops") < boards.done.index(f"{name} down")


def test_what_a_person_has_drained_is_drained_when_it_is_back() -> None:
    boards = town(n2=Board(state="IDLE+DRAIN", reason="new fan"))
    asyncio.run(off(rack(boards)))
    assert (boards.boards["n2"].state, boards.boards["n2"].reason) == ("IDLE+DRAIN", "new fan")


def test_a_job_that_takes_too_long_keeps_all_on() -> None:
    boards = town(n2=Board(jobs={"7": 10**6}))
    with pytest.raises(NodeFailed, match="held by 1 job: 7"):
        asyncio.run(off(rack(boards), wait=0.0))
    assert order(boards) == []
    assert {boards.boards[name].state for name in COMPUTING if name != "n2"} == {"IDLE"}


@pytest.mark.parametrize("moment", ["n1 down", "n2 poweroffs", "head poweroffs", "disk poweroffs"])
def test_cut_off_anywhere_and_run_again(moment: str) -> None:
    boards = town()
    boards.stop_at = moment
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(off(rack(boards)))
    asyncio.run(off(rack(boards)))
    assert all(board.off for board in boards.boards.values())
    assert {boards.boards[name].state for name in COMPUTING} == {"DOWN"}


def test_without_the_head_nobody_knows_of_jobs() -> None:
    boards = town(head=Board(off=True))
    with pytest.raises(Unreachable, match="only it knows of"):
        asyncio.run(off(rack(boards)))
    assert order(boards) == []


def test_on_tells_who_is_away() -> None:
    boards = town(n1=Board(off=True), n3=Board(off=True))
    with pytest.raises(Unreachable, match="no answer from n1, n3") as caught:
        asyncio.run(on(rack(boards, boot=0.05)))
    assert "by hand" in caught.value.hint


def test_on_gives_back_what_an_off_that_was_cut_off_has_drained() -> None:
    ours, theirs = "wulfling power off (kim@laptop)", "new fan"
    boards = town(
        n1=Board(state="IDLE+DRAIN", reason=ours), n2=Board(state="IDLE+DRAIN", reason=theirs)
    )
    asyncio.run(on(rack(boards)))
    assert boards.done == ["n1 resume"]


def test_the_packet_that_wakes_a_board() -> None:
    """The form of AMD's white paper 20213, on a socket of our own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        wake("dc:a6:32:01:02:03", "127.0.0.1", ear.getsockname()[1])
        heard = ear.recv(200)
    assert heard == wake_packet("dc:a6:32:01:02:03")
    assert heard[:6] == b"\xff" * 6
    assert heard[6:] == bytes.fromhex("dca632010203") * 16
