"""Plan and apply against nodes that answer from a table."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from tests.unit.measured import PI

from wulfling.converge.apply import apply
from wulfling.converge.events import Begin, Connected, Done, Event, Hello, Lost, StepDone, Waiting
from wulfling.converge.observe import plan
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import (
    NOT_MADE_YET,
    Conversation,
    Errand,
    Known,
    Patience,
    Recalled,
)
from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import BackupSecrets, Secrets
from wulfling.model.plan import Status
from wulfling.model.resource import Resource
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.firewall import Firewall
from wulfling.transport.fake import Answers, Fake, Unexpected
from wulfling.transport.link import Address, Link

BOARD = PI
X, Y = File(path="/x", content="x"), File(path="/y", content="y")
OK, CHANGE, FAILED = Status.OK, Status.CHANGE, Status.FAILED

Declared = Mapping[str, tuple[Resource, ...]]
Nodes = Mapping[str, Answers | WulflingError]


def answers(**values: object) -> Answers:
    return Answers(**{"hardware": BOARD, **values})  # type: ignore[arg-type]


def errand(fake: Fake, compiled: Declared | Callable[[Known], Declared]) -> Errand:
    return Errand(
        addresses=tuple(Address(node=node, host=node, users=("a",)) for node in fake._nodes),
        head="head",
        operator="kim@laptop",
        compile=compiled if callable(compiled) else lambda known: compiled,
        blob=lambda sha256: b"data of " + sha256.encode(),
    )


def planned(
    nodes: Nodes,
    compiled: Declared | Callable[[Known], Declared],
    events: list[Event] | None = None,
) -> Outcome:
    fake = Fake(nodes)
    heard = events if events is not None else []
    return asyncio.run(plan(errand(fake, compiled), fake, heard.append))


def applied(
    nodes: Nodes,
    compiled: Declared | Callable[[Known], Declared],
    events: list[Event] | None = None,
) -> Outcome:
    fake = Fake(nodes)
    heard = events if events is not None else []
    return asyncio.run(apply(errand(fake, compiled), fake, heard.append))


def test_nothing_to_do() -> None:
    outcome = planned({"head": answers(steps={X.key: OK})}, {"head": (X,)})
    assert outcome.exit_code == 0
    assert [(s.node, s.key, s.status) for s in outcome.plan.steps] == [("head", X.key, OK)]
    assert outcome.hardware == {"head": BOARD}


def test_a_plan_with_changes_exits_with_2_and_an_apply_of_them_with_0() -> None:
    nodes: Nodes = {"head": answers(steps={X.key: CHANGE})}
    assert planned(nodes, {"head": (X,)}).exit_code == 2
    outcome = applied(nodes, {"head": (X,)})
    assert (outcome.exit_code, outcome.plan.steps[0].status) == (0, Status.CHANGED)


def test_steps_come_in_the_order_of_the_file_whoever_was_faster() -> None:
    nodes: Nodes = {
        "head": answers(steps={X.key: CHANGE, Y.key: OK}, hello_after=0.01),
        "two": answers(steps={X.key: CHANGE}),
    }
    outcome = planned(nodes, {"head": (X, Y), "two": (X,)})
    assert [step.node for step in outcome.plan.steps] == ["head", "head", "two"]
    again = planned(
        {**nodes, "two": answers(steps={X.key: CHANGE}, hello_after=0.02)},
        {"head": (X, Y), "two": (X,)},
    )
    assert again.plan.fingerprint == outcome.plan.fingerprint


def test_events_tell_the_whole_story() -> None:
    events: list[Event] = []
    applied({"head": answers(steps={X.key: CHANGE})}, {"head": (X,)}, events)
    assert [type(event) for event in events] == [Connected, Hello, Begin, StepDone, Done]


def test_nothing_is_compiled_before_everybody_has_said_hello() -> None:
    seen: list[Known] = []

    def compiled(known: Known) -> Declared:
        seen.append(known)
        return {}

    planned({"head": answers(), "slow": answers(hello_after=0.05)}, compiled)
    assert [set(known.hardware) for known in seen] == [{"head", "slow"}]


def test_an_unreachable_node_leaves_the_others_alone() -> None:
    gone = Unreachable("10.0.0.2 port 22: No route to host", hint="is it on?", where="two")
    events: list[Event] = []
    nodes: Nodes = {"head": answers(steps={X.key: OK}), "two": gone}
    outcome = planned(nodes, {"head": (X,), "two": (X,)}, events)
    assert outcome.exit_code == 3
    assert outcome.plan.unreachable == {"two": "10.0.0.2 port 22: No route to host"}
    assert outcome.errors["two"].hint == "is it on?"
    assert Lost("two", gone) in events
    assert len(outcome.plan.steps) == 1


def test_a_failed_node_beats_an_unreachable_one() -> None:
    nodes: Nodes = {
        "head": answers(),
        "two": Unreachable("gone"),
        "three": NodeFailed("sudo asks pi for a password", where="three"),
    }
    outcome = planned(nodes, {})
    assert outcome.exit_code == 4
    assert set(outcome.plan.unreachable) == {"two"}
    assert set(outcome.errors) == {"two", "three"}


def test_a_failed_step_exits_with_4() -> None:
    nodes: Nodes = {"head": answers(steps={X.key: FAILED}), "two": Unreachable("gone")}
    assert applied(nodes, {"head": (X,)}).exit_code == 4


def test_the_head_remembers_boards_that_are_off() -> None:
    remembered = {"two": asdict(BOARD), "removed": asdict(BOARD), "old": {"arch": "arm64"}}
    nodes: Nodes = {
        "head": answers(known=remembered),
        "two": Unreachable("off"),
        "old": Unreachable(""),
    }
    assert planned(nodes, {}).hardware == {"head": BOARD, "two": BOARD}


def test_what_is_measured_beats_what_is_remembered() -> None:
    bigger = asdict(BOARD) | {"memory_mb": 8000}
    nodes: Nodes = {"head": answers(known={"two": bigger}), "two": answers()}
    assert planned(nodes, {}).hardware["two"].memory_mb == BOARD.memory_mb


@pytest.mark.parametrize(("remembered", "taken"), [(3792 + 16, 3792 + 16), (3792 + 64, 3792)])
def test_a_few_mib_more_or_less_after_a_reboot_are_no_change(remembered: int, taken: int) -> None:
    known = {"two": asdict(BOARD) | {"memory_mb": remembered}}
    nodes: Nodes = {"head": answers(known=known), "two": answers()}
    assert planned(nodes, {}).hardware["two"].memory_mb == taken


def _secrets_seen(run: Callable[..., Outcome], nodes: Nodes) -> bytes | None:
    seen: list[Known] = []

    def compiled(known: Known) -> Declared:
        seen.append(known)
        return {}

    run(nodes, compiled)
    return seen[0].secrets.munge_key if seen[0].secrets else None


def test_the_heads_munge_key_is_used() -> None:
    nodes: Nodes = {"head": answers(secrets={"munge_key": b"k" * 128}), "two": answers()}
    assert _secrets_seen(planned, nodes) == b"k" * 128
    assert _secrets_seen(applied, nodes) == b"k" * 128


def test_only_an_apply_makes_a_new_munge_key() -> None:
    nodes: Nodes = {"head": answers()}
    assert _secrets_seen(planned, nodes) == NOT_MADE_YET.munge_key
    one, other = _secrets_seen(applied, nodes), _secrets_seen(applied, nodes)
    assert one
    assert other
    assert len(one) == 128
    assert one != other
    one.decode("ascii")


def test_a_new_head_gets_the_secrets_and_the_boards_of_the_old_one() -> None:
    """Also when an apply has given it a munge key of its own before (issue 4, item 8)."""
    board = asdict(PI)
    nodes: Nodes = {"head": answers(secrets={"munge_key": b"n" * 128}), "two": Unreachable("off")}
    fake = Fake(nodes)
    seen: list[Known] = []

    def compiled(known: Known) -> Declared:
        seen.append(known)
        return {}

    recalled = Recalled(b"k" * 128, json.dumps({"two": board}))
    values = {**vars(errand(fake, compiled)), "recalled": recalled}
    asyncio.run(apply(Errand(**values), fake))
    (known,) = seen
    assert known.secrets
    assert known.secrets.munge_key == b"k" * 128
    assert known.hardware["two"] == PI


def test_what_opens_the_backup_comes_from_the_head() -> None:
    kept = {"backup_password": b"word\n", "backup_key": b"key\n", "backup_key.pub": b"pub\n"}
    fake = Fake({"head": answers(secrets={"munge_key": b"k" * 128, **kept})})
    seen: list[Known] = []

    def compiled(known: Known) -> Declared:
        seen.append(known)
        return {}

    asyncio.run(plan(errand(fake, compiled), fake))
    assert seen[0].secrets == Secrets(b"k" * 128, BackupSecrets("word", "key\n", "pub"))


def test_without_the_head_there_are_no_secrets() -> None:
    nodes: Nodes = {
        "head": Unreachable("off"),
        "two": answers(secrets={"munge_key": b"stolen" * 10}),
    }
    assert _secrets_seen(applied, nodes) is None


@pytest.mark.parametrize(("head", "retire"), [(answers(), True), (Unreachable("off"), False)])
def test_while_the_head_is_away_nothing_is_taken_back(
    head: Answers | WulflingError, retire: bool
) -> None:
    fake = Fake({"head": head, "two": answers()})
    asyncio.run(apply(errand(fake, {}), fake))
    assert fake.links["two"].heard[1] == {"resources": [], "retire": retire}


def test_an_errand_about_something_leaves_everything_else_alone() -> None:
    """Not even waited for is what is outside; the board is told, or it would take all of that
    back."""
    kim = File(path="/etc/keys/kim", content="", awaits=("head/file:/etc/keys/all", "head/file:x"))
    hosts = File(path="/etc/hosts", content="")
    fake = Fake({"head": answers(), "two": answers(steps={kim.key: Status.CHANGE})})
    about = replace(errand(fake, {"two": (hosts, kim)}), scope=("file:/etc/keys/",))
    (mine,) = about.about((hosts, kim))
    assert mine.awaits == ("head/file:/etc/keys/all",)
    outcome = asyncio.run(apply(about, fake))
    assert [step.key for step in outcome.plan.steps] == [kim.key]
    told = fake.links["two"].heard[1]
    assert (told["scope"], told["retire"]) == (("file:/etc/keys/",), True)


def test_secrets_are_asked_of_the_head_alone() -> None:
    fake = Fake({"head": answers(), "two": answers()})
    asyncio.run(plan(errand(fake, {}), fake))
    assert fake.links["head"].heard[0]["secrets"] is True
    assert "secrets" not in fake.links["two"].heard[0]


def test_a_locked_node_stops_everything_before_it_starts() -> None:
    fake = Fake({"head": answers(), "two": answers(locked_by="lee@desk since 12:00")})
    with pytest.raises(Locked, match=r"two: lee@desk since 12:00"):
        asyncio.run(apply(errand(fake, {"head": (X,)}), fake))
    assert len(fake.links["head"].heard) == 1
    assert all(link.closed for link in fake.links.values())


def test_every_locked_node_is_named() -> None:
    nodes: Nodes = {name: answers(locked_by=f"lee on {name}") for name in ("head", "two")}
    with pytest.raises(Locked, match=r"head: lee on head\ntwo: lee on two"):
        applied(nodes, {})


def test_a_plan_does_not_care_for_locks() -> None:
    assert planned({"head": answers(locked_by="lee")}, {}).exit_code == 0


def test_a_node_with_another_identity_stops_everything() -> None:
    fake = Fake({"head": answers(), "two": IdentityMismatch("another key", where="two")})
    with pytest.raises(IdentityMismatch, match="two: another key"):
        asyncio.run(plan(errand(fake, {}), fake))
    assert len(fake.links["head"].heard) == 1
    assert fake.links["head"].closed


def test_what_is_wrong_here_is_no_nodes_fault() -> None:
    with pytest.raises(WulflingError, match="ssh does not start"):
        planned({"head": WulflingError("ssh does not start on this machine")}, {})


def test_an_error_of_compile_hangs_up_on_everybody() -> None:
    fake = Fake({"head": answers(), "two": answers()})

    def compiled(known: Known) -> Declared:
        raise WulflingError("Slurm refuses this mix of versions")

    with pytest.raises(WulflingError, match="refuses this mix"):
        asyncio.run(apply(errand(fake, compiled), fake))
    assert all(link.closed for link in fake.links.values())


EXPORT = Directory(path="/export")
MOUNT = Directory(path="/mount", awaits=("store/directory:/export",))
BOTH = {"head": (MOUNT, X), "store": (EXPORT,)}


def _sharing(**store: object) -> Nodes:
    mounts = {MOUNT.key: CHANGE, X.key: CHANGE}
    values = {"steps": {EXPORT.key: CHANGE}, "hello_after": 0.01, **store}
    return {"head": answers(steps=mounts), "store": answers(**values)}


def test_a_node_waits_for_a_step_of_another_node() -> None:
    events: list[Event] = []
    outcome = applied(_sharing(), BOTH, events)
    assert outcome.exit_code == 0
    told = [(e.step.node, e.step.key) for e in events if isinstance(e, StepDone)]
    assert told.index(("store", EXPORT.key)) < told.index(("head", MOUNT.key))
    begun = [event.key for event in events if isinstance(event, Begin) and event.node == "head"]
    assert begun == [MOUNT.key, X.key]


def test_what_awaits_a_failed_step_is_pending_and_the_rest_goes_on() -> None:
    outcome = applied(_sharing(steps={EXPORT.key: FAILED}), BOTH)
    mount, rest = (step for step in outcome.plan.steps if step.node == "head")
    assert mount.status is Status.PENDING
    assert mount.message == "directory:/export on store failed"
    assert rest.status is Status.CHANGED
    assert outcome.exit_code == 4


def test_what_awaits_an_unreachable_node_is_pending() -> None:
    outcome = applied({**_sharing(), "store": Unreachable("off")}, BOTH)
    assert outcome.plan.of(Status.PENDING)[0].message == "store is unreachable"
    assert outcome.exit_code == 3


def test_a_board_that_loses_power_in_the_middle_is_unreachable_at_its_step() -> None:
    events: list[Event] = []
    outcome = applied(_sharing(lost_at=EXPORT.key), BOTH, events)
    assert outcome.exit_code == 3
    reason = outcome.plan.unreachable["store"]
    assert reason == "Timeout, server not responding (in the step directory:/export)"
    assert outcome.plan.of(Status.PENDING)[0].message == "store is unreachable"
    assert Waiting("head", "store/directory:/export") in events


def test_a_circle_of_waits_fails_and_does_not_hang() -> None:
    one = Directory(path="/one", awaits=("store/directory:/two",))
    two = Directory(path="/two", awaits=("head/directory:/one",))
    nodes: Nodes = {
        name: answers(steps={one.key: CHANGE, two.key: CHANGE}) for name in ("head", "store")
    }
    outcome = applied(nodes, {"head": (one,), "store": (two,)})
    assert outcome.exit_code == 4
    assert any("wait for each other" in step.message for step in outcome.plan.steps)


def test_a_file_that_a_board_needs_is_brought_once_for_all() -> None:
    brought: list[str] = []

    def blob(sha256: str) -> bytes:
        brought.append(sha256)
        return b"wheel"

    fake = Fake({n: answers(steps={X.key: CHANGE}, needs={X.key: "abc"}) for n in ("head", "two")})
    it = errand(fake, {"head": (X,), "two": (X,)})
    asyncio.run(apply(Errand(**{**vars(it), "blob": blob}), fake))
    assert brought == ["abc"]
    assert {"blob": "abc", "data": "d2hlZWw="} in fake.links["two"].heard


def test_a_file_that_cannot_be_brought_fails_the_node_that_needs_it() -> None:
    def blob(sha256: str) -> bytes:
        raise WulflingError("PyPI is away", hint="try again")

    fake = Fake({"head": answers(steps={X.key: CHANGE}, needs={X.key: "abc"}), "two": answers()})
    it = errand(fake, {"head": (X,)})
    outcome = asyncio.run(apply(Errand(**{**vars(it), "blob": blob}), fake))
    assert outcome.exit_code == 4
    assert outcome.errors["head"].message == "PyPI is away (in the step file:/x)"
    assert fake.links["head"].closed


@pytest.mark.parametrize("silent", ["hello", X.key])
def test_a_silent_node_is_given_up_after_a_while(silent: str) -> None:
    fake = Fake({"head": answers(), "two": answers(steps={X.key: OK}, silent=silent)})
    talk = Conversation(
        "plan", errand(fake, {"two": (X,)}), fake, lambda event: None, Patience(0.05, 0.05)
    )
    outcome = asyncio.run(talk.hold())
    assert outcome.exit_code == 3
    assert outcome.plan.unreachable["two"].startswith("said nothing for 0.05 s")


def test_a_node_that_waits_for_another_may_be_silent_as_long_as_it_takes() -> None:
    class Busy(Fake):
        async def open(self, to: Address) -> Link:
            link = await super().open(to)
            return Busily(link) if to.node == "store" else link

    class Busily:
        """Sends a sign of life now and then, and is slow."""

        def __init__(self, link: Link) -> None:
            self.send, self.close, self._messages = link.send, link.close, link.messages

        async def messages(self) -> AsyncIterator[dict[str, Any]]:
            async for message in self._messages():
                if message.get("event") == "step":
                    for _ in range(5):
                        await asyncio.sleep(0.04)
                        yield {"event": "waiting", "for": "the SD card"}
                yield message

    fake = Busy(_sharing(hello_after=0.0))
    patience = Patience(hello=1, step=0.1)
    talk = Conversation("apply", errand(fake, BOTH), fake, lambda event: None, patience)
    assert asyncio.run(talk.hold()).exit_code == 0


def test_cancelling_hangs_up_on_everybody() -> None:
    fake = Fake({"head": answers(), "two": answers(silent="hello")})

    async def interrupted() -> None:
        task = asyncio.ensure_future(apply(errand(fake, {}), fake))
        await asyncio.sleep(0.02)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    assert all(link.closed for link in fake.links.values())


def test_repairs_are_told() -> None:
    nodes: Nodes = {"head": answers(repaired=("finished an installation that was cut off",))}
    outcome = applied(nodes, {})
    assert outcome.repaired == {"head": ("finished an installation that was cut off",)}


def test_the_fake_refuses_what_is_not_in_its_table() -> None:
    with pytest.raises(Unexpected, match="file:/y"):
        planned({"head": answers(steps={X.key: OK})}, {"head": (Y,)})


def test_work_is_done_meanwhile() -> None:
    fake = Fake({"head": answers(hello_after=0.01)})
    order: list[str] = []

    def compiled(known: Known) -> Declared:
        order.append("compile")
        return {}

    it = errand(fake, compiled)
    values = {**vars(it), "meanwhile": lambda: order.append("meanwhile")}
    asyncio.run(plan(Errand(**values), fake))
    assert order == ["meanwhile", "compile"]


def test_after_a_firewall_somebody_comes_in_by_a_new_connection() -> None:
    """Issue 5, item 3: only a new connection shows that the next one will get through."""
    rules = Firewall(rules="table inet wulfling\n")
    fake = Fake({"head": answers(steps={rules.key: CHANGE})})
    opened: list[str] = []
    dial = fake.open

    async def open_(to: Address) -> Link:
        opened.append(to.node)
        return await dial(to)

    fake.open = open_  # type: ignore[method-assign]
    outcome = asyncio.run(apply(errand(fake, {"head": (rules,)}), fake, lambda event: None))
    assert outcome.exit_code == 0
    assert opened == ["head", "head"]
    assert fake.links["head"].heard == [{"do": "confirm"}]
    assert fake.links["head"].closed


def test_a_connection_that_does_not_come_is_told_to_the_board() -> None:
    rules = Firewall(rules="table inet wulfling\n")
    fake = Fake({"head": answers(steps={rules.key: CHANGE})})
    first: list[Link] = []
    dial = fake.open

    async def once(to: Address) -> Link:
        if first:
            raise Unreachable("10.0.0.1 port 22: Connection timed out", where="head")
        first.append(await dial(to))
        return first[0]

    fake.open = once  # type: ignore[method-assign]
    with pytest.raises(AssertionError):  # the fake board wants to be reached
        asyncio.run(apply(errand(fake, {"head": (rules,)}), fake, lambda event: None))
    said = fake.links["head"].heard[-1]
    assert said == {"contact": False, "because": "10.0.0.1 port 22: Connection timed out"}
