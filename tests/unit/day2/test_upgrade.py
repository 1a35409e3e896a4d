"""The canary first, Slurm last and in its order, and nothing after a board that fails."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.day2.town import Board, Town, rack, town

from wulfling.converge.outcome import Outcome
from wulfling.day2.upgrade import Look, Upgraded, look, remarks, upgrade
from wulfling.errors import NodeFailed, Unreachable
from wulfling.model.plan import Plan, Status, Step

NAMES = ("disk", "head", "n1", "n2", "n3")


def news(boards: Town, **what: str) -> Town:
    """Let boards have updates: ``n1="system slurm"``."""
    boards.news = {
        name: dict.fromkeys(kinds.split(), Status.CHANGE) for name, kinds in what.items()
    }
    return boards


def go(boards: Town) -> list[Upgraded]:
    """Look, and do it."""
    done: list[Upgraded] = []

    async def both() -> None:
        seen = await look(rack(boards))
        await upgrade(rack(boards), seen, done.append)

    asyncio.run(both())
    return done


def test_one_after_the_other_and_slurm_last() -> None:
    boards = news(town(), **dict.fromkeys(NAMES, "system slurm"))
    done = go(boards)
    assert [(one.node, one.what) for one in done] == [
        *((name, "system") for name in ("n1", "n2", "n3", "disk", "head")),
        *((name, "slurm") for name in ("head", "n1", "n2", "n3", "disk")),
    ]
    assert boards.done[:3] == ["n1 drain", "n1 installs system", "n1 resume"]
    assert "head drain" in boards.done
    # Running jobs survive Slurm's daemons, so nothing is drained for them.
    assert boards.done[-5:] == [
        f"{name} installs slurm" for name in ("head", "n1", "n2", "n3", "disk")
    ]


def test_jobs_end_first_and_only_those_that_have_to_start_anew() -> None:
    boards = news(town(n1=Board(jobs={"7": 6}, why="libc6")), n1="system", n2="system")
    done = go(boards)
    assert [(one.node, one.started) for one in done] == [("n1", True), ("n2", False)]
    assert boards.done[:4] == ["n1 drain", "n1 installs system", "n1 reboots", "n1 resume"]


def test_a_start_that_an_earlier_run_has_left_is_made_good() -> None:
    boards = town(n2=Board(why="libc6"))
    (done,) = go(boards)
    assert (done.node, done.started) == ("n2", True)


def test_nothing_after_a_canary_that_is_ill() -> None:
    boards = news(town(n1=Board(ill="/home is not mounted")), n1="system", n2="system")
    with pytest.raises(NodeFailed, match="/home is not mounted"):
        go(boards)
    assert boards.done == ["n1 drain", "n1 installs system"]
    assert boards.boards["n1"].reason.startswith("wulfling upgrade")


@pytest.mark.parametrize(
    "moment", ["n1 installs system", "n1 resume", "n2 drain", "n2 installs slurm"]
)
def test_cut_off_anywhere_and_run_again(moment: str) -> None:
    boards = news(town(), n1="system slurm", n2="system slurm")
    boards.stop_at = moment
    with pytest.raises(KeyboardInterrupt):
        go(boards)
    go(boards)
    installed = [event for event in boards.done if "installs" in event]
    assert len(installed) == len(set(installed)) == 4
    assert {boards.boards[name].state for name in ("n1", "n2")} == {"IDLE"}


def test_a_board_that_is_away_is_left_out() -> None:
    boards = news(town(n1=Board(off=True)), n1="system", n2="system")
    seen = asyncio.run(look(rack(boards)))
    assert [type(error) for error in seen.errors.values()] == [Unreachable]
    assert [one.node for one in go(boards)] == ["n2"]


def seen_of(*lines: str, key: str = "updates:slurm") -> Look:
    step = Step("head", key, Status.CHANGE, lines)
    return Look(Outcome(Plan((step,), {}), {}, {}, {}, applied=False), {}, (), {})


def test_what_has_no_way_back_is_said() -> None:
    far = "  slurmctld 22.05.8-4+deb12u2 -> 24.11.5-4"
    near = "  slurmctld 22.05.8-4+deb12u2 -> 22.05.8-4+deb12u3"
    told = list(remarks(seen_of(far, far.replace("slurmctld", "slurmdbd"))))
    assert told[0].startswith("one way: Slurm 24.11.5 converts the queue and the accounts")
    assert "dumped" in told[1]
    assert not [line for line in remarks(seen_of(near)) if line.startswith("one way")]
    kernel = seen_of("  linux-image-6.1.0-28-amd64 6.1.119-1", key="updates:system")
    assert "kernel" in list(remarks(kernel))[-1]
    assert list(remarks(Look(Outcome(Plan((), {}), {}, {}, {}, applied=False), {}, (), {}))) == []
