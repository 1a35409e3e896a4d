"""The view of ``status --tui``, driven without a terminal by textual's own Pilot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, RichLog, Static

from wulfling import spec
from wulfling.cli.tui import JOURNAL, Reason, View
from wulfling.converge.status import Watch
from wulfling.day2.rack import Rack
from wulfling.errors import IdentityMismatch, Unreachable, WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.health import Health, SlurmNode
from wulfling.proc import Finished
from wulfling.transport.fake import Answers, Fake
from wulfling.transport.link import Address

SHOW = ("scontrol", "--oneliner", "show", "nodes")
IDLE = "NodeName=one Arch=x State=IDLE X=1\nNodeName=two Arch=x State=IDLE X=1\n"
DRAINED = (
    "NodeName=one Arch=x State=IDLE X=1\n"
    "NodeName=two Arch=x State=IDLE+DRAIN X=1 Reason=hot [root@2026-11-24T19:00:00]\n"
)
DRAIN = ("scontrol", "update", "NodeName=two", "State=DRAIN", "Reason=new fan, says kim")
RESUME = ("scontrol", "update", "NodeName=two", "State=RESUME")
HEALTH = Health(load=0.5, memory_mb=1000, free_mb=500, up_seconds=543)


class Asked(Fake):
    """Notes the commands that change something."""

    def __init__(self, nodes: dict[str, Answers | WulflingError]) -> None:
        super().__init__(nodes)
        self.did: list[tuple[str, ...]] = []

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        if tuple(argv[:2]) == ("scontrol", "update"):
            self.did.append(tuple(argv))
        return await super().run(to, argv)


@pytest.fixture
def view(file: Path, board: Hardware) -> Callable[..., tuple[View, Asked]]:
    """The view of two boards; ``two`` may be away, and Slurm may say ``slurm`` of it."""

    def make(
        away: WulflingError | None = None, said: str = IDLE, state: str = "IDLE", code: int = 0
    ) -> tuple[View, Asked]:
        head = replace(
            HEALTH,
            exports=tuple((path, "10.9.9.2") for path in ("/home", "/nfs")),
            slurm_nodes=(SlurmNode("one", "IDLE"), SlurmNode("two", state, "hot", "root")),
        )
        commands = {
            ("one", SHOW): Finished(SHOW, 0, said, ""),
            ("one", DRAIN): Finished(DRAIN, code, "", "slurm_update error: Access denied"),
            ("one", RESUME): Finished(RESUME, 0, "", ""),
            ("one", JOURNAL): Finished(JOURNAL, 0, "Nov 27 one slurmctld[1]: [up]\n", ""),
            ("two", JOURNAL): Finished(JOURNAL, 0, "Nov 27 two slurmd[7]: error: [x]\n", ""),
        }
        nodes: dict[str, Answers | WulflingError] = {
            name: Answers(
                hardware=replace(board, machine_id=name),
                health=json.loads(json.dumps(asdict(health))),
                commands={argv: done for (node, argv), done in commands.items() if node == name},
            )
            for name, health in (("one", head), ("two", HEALTH))
        }
        dial = Asked({**nodes, **({"two": away} if away else {})})
        cluster = spec.resolve(spec.load(file), {}, None, ())
        addresses = {name: Address(node=name, host=name, users=("a",)) for name in nodes}
        boards = Rack(cluster, addresses, dial, "kim@laptop")
        return View(Watch(cluster, addresses, dial), boards, every=60), dial

    return make


@asynccontextmanager
async def shown(view: View, width: int = 80) -> AsyncIterator[Pilot[WulflingError]]:
    async with view.run_test(size=(width, 40)) as pilot:
        await until(pilot, lambda: "asking" not in summary(view))
        yield pilot


async def until(pilot: Pilot[WulflingError], come: Callable[[], bool]) -> None:
    """Return when it has come to that; fail when it does not."""
    for _ in range(200):
        if come():
            return
        await pilot.pause(0.05)
        assert isinstance(pilot.app, View)
        pilot.app.picture()
    pytest.fail("it did not come to that")


def text(view: View, widget: str) -> str:
    return str(view.screen_stack[0].query_one(widget, Static).render())


def summary(view: View) -> str:
    return text(view, "#summary")


def log(view: View) -> str:
    return "\n".join(line.text for line in view.screen_stack[0].query_one("#log", RichLog).lines)


def row(view: View, node: str) -> list[str]:
    table = view.screen_stack[0].query_one("#table", DataTable)
    return [str(cell) for cell in table.get_row(node)]


def told(view: View) -> str:
    return " / ".join(note.message for note in view._notifications)


async def test_every_node_and_one_of_them_closely(view: Callable[..., tuple[View, Asked]]) -> None:
    app, _ = view(state="IDLE+DRAIN")
    async with shown(app) as pilot:
        assert row(app, "one")[:3] == ["one", "idle", "█░░░░░ 0.50"]
        assert row(app, "two")[:2] == ["two", "drained"]
        await until(pilot, lambda: "slurmctld[1]: [up]" in log(app))
        await pilot.press("down")
        await until(pilot, lambda: "slurmd[7]: error: [x]" in log(app))
        assert text(app, "#node").startswith("two  10.9.9.2  compute  drained\n")
        assert "takes no new jobs: hot" in text(app, "#node")


async def test_a_board_that_is_away(view: Callable[..., tuple[View, Asked]]) -> None:
    app, _ = view(away=Unreachable("10.9.9.2: No route to host", where="two"))
    async with shown(app, width=40) as pilot:
        assert summary(app).startswith("c: 1 of 2 well, 1 away")
        await pilot.press("down")
        await until(pilot, lambda: "No route to host" in log(app))
        assert "unreachable: 10.9.9.2: No route to host" in " ".join(text(app, "#node").split())


async def test_d_asks_for_the_reason_and_drains(view: Callable[..., tuple[View, Asked]]) -> None:
    app, dial = view()
    async with shown(app) as pilot:
        await pilot.press("down", "d")
        await until(pilot, lambda: isinstance(app.screen, Reason))
        await pilot.press("enter")
        assert isinstance(app.screen, Reason), "no reason is none"
        app.screen.query_one(Input).value = "new fan, says kim"
        await pilot.press("enter")
        await until(pilot, lambda: "two: drained" in told(app))
    assert dial.did == [DRAIN]


async def test_escape_leaves_it_as_it_is(view: Callable[..., tuple[View, Asked]]) -> None:
    app, dial = view()
    async with shown(app) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Reason))
        await pilot.press("x", "escape")
        await until(pilot, lambda: not isinstance(app.screen, Reason))
    assert dial.did == []


async def test_r_resumes(view: Callable[..., tuple[View, Asked]]) -> None:
    app, dial = view(said=DRAINED, state="IDLE+DRAIN")
    async with shown(app) as pilot:
        await pilot.press("down", "r")
        await until(pilot, lambda: "two: takes jobs again (was IDLE+DRAIN: hot)" in told(app))
    assert dial.did == [RESUME]


async def test_what_slurm_refuses_is_told(view: Callable[..., tuple[View, Asked]]) -> None:
    app, _ = view(code=1)
    async with shown(app) as pilot:
        await pilot.press("down", "d")
        await until(pilot, lambda: isinstance(app.screen, Reason))
        app.screen.query_one(Input).value = "new fan, says kim"
        await pilot.press("enter")
        await until(pilot, lambda: "Access denied" in told(app))


async def test_an_impostor_ends_the_view(view: Callable[..., tuple[View, Asked]]) -> None:
    app, _ = view(away=IdentityMismatch("another host key", where="two"))
    async with app.run_test() as pilot:
        for _ in range(100):
            if app.return_value:
                break
            await asyncio.sleep(0.02)
        del pilot
    assert isinstance(app.return_value, IdentityMismatch)
