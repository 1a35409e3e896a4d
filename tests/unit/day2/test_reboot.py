"""A rolling reboot: the order, the jobs, what others have drained, and being cut off."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.day2.town import Board, rack, town

from wulfling.day2.reboot import KEPT, reboot
from wulfling.errors import NodeFailed, Unreachable

EVERYBODY = ("disk", "head", "n1", "n2", "n3")


def test_one_after_the_other_file_server_and_head_last() -> None:
    boards = town()
    found = asyncio.run(reboot(rack(boards), EVERYBODY))
    assert [one.node for one in found] == ["n1", "n2", "n3", "disk", "head"]
    assert all(one.again for one in found)
    assert boards.done == [
        *("n1 drain", "n1 reboots", "n1 resume"),
        *("n2 drain", "n2 reboots", "n2 resume"),
        *("n3 drain", "n3 reboots", "n3 resume"),
        "disk reboots",
        *("head drain", "head reboots", "head resume"),
    ]
    assert boards.files == {}


def test_jobs_end_first() -> None:
    """The boards of this test raise when one of them goes away under a job."""
    boards = town(n1=Board(jobs={"7": 9, "8": 4}), head=Board(jobs={"9": 12}, clients=5))
    asyncio.run(reboot(rack(boards), ("n1", "head")))
    assert boards.boards["n1"].boot == 2
    assert boards.boards["head"].boot == 2


def test_an_srun_on_the_head_is_waited_for() -> None:
    boards = town(head=Board(clients=4))
    asyncio.run(reboot(rack(boards), ("head",)))
    assert boards.done == ["head drain", "head reboots", "head resume"]


def test_what_a_person_has_drained_stays_drained() -> None:
    boards = town(n1=Board(state="IDLE+DRAIN", reason="new fan"))
    asyncio.run(reboot(rack(boards), ("n1",)))
    assert boards.done == ["n1 reboots"]
    assert boards.boards["n1"].reason == "new fan"


def test_a_drain_of_another_verb_stays() -> None:
    boards = town(n1=Board(state="IDLE+DRAIN", reason="wulfling remove (kim@laptop)"))
    asyncio.run(reboot(rack(boards), ("n1",)))
    assert boards.done == ["n1 reboots"]


@pytest.mark.parametrize("moment", ["n1 reboots", "n1 resume", "n2 drain", "n2 resume"])
def test_cut_off_anywhere_and_run_again_each_board_starts_once(moment: str) -> None:
    boards = town()
    boards.stop_at = moment
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(reboot(rack(boards), ("n1", "n2")))
    assert KEPT in boards.files
    found = asyncio.run(reboot(rack(boards), ("n1", "n2")))
    assert [(b.boot, b.state) for b in map(boards.boards.get, ("n1", "n2")) if b] == [
        (2, "IDLE"),
        (2, "IDLE"),
    ]
    assert [one.node for one in found] == ["n1", "n2"]
    assert boards.files == {}


def test_run_again_after_its_end_starts_them_once_more() -> None:
    boards = town()
    for _ in range(2):
        asyncio.run(reboot(rack(boards), ("n1",)))
    assert boards.boards["n1"].boot == 3


def test_one_that_does_not_come_back_stops_it_and_stays_drained() -> None:
    boards = town(n1=Board(never_back=True))
    with pytest.raises(NodeFailed, match="did not come back in 0.1 s"):
        asyncio.run(reboot(rack(boards, boot=0.1), ("n1", "n2")))
    assert boards.done == ["n1 drain", "n1 reboots"]
    assert boards.boards["n1"].reason.startswith("wulfling reboot (kim@laptop)")
    assert json.loads(boards.files[KEPT]) == {"n1": "boot-1", "n2": "boot-1"}


def test_one_that_comes_back_ill_stops_it_with_the_reason() -> None:
    boards = town(n1=Board(ill="/home is not mounted\n"))
    with pytest.raises(NodeFailed, match="not well after .*: /home is not mounted"):
        asyncio.run(reboot(rack(boards), ("n1", "n2")))
    assert boards.boards["n2"].boot == 1


def test_a_start_takes_its_time() -> None:
    boards = town(n1=Board(boots_for=20))
    asyncio.run(reboot(rack(boards), ("n1",)))
    assert boards.boards["n1"].state == "IDLE"


def test_nothing_begins_while_one_of_them_is_away() -> None:
    boards = town(n3=Board(off=True))
    with pytest.raises(Unreachable):
        asyncio.run(reboot(rack(boards), ("n1", "n3")))
    assert boards.done == []


def test_with_a_limit_a_node_goes_back_to_work() -> None:
    boards = town(n1=Board(jobs={"7": 10**6}))
    with pytest.raises(NodeFailed, match="held by 1 job: 7"):
        asyncio.run(reboot(rack(boards), ("n1", "n2"), wait=0.0))
    assert boards.done == ["n1 drain", "n1 resume"]
