"""Doctor's rounds against nodes that answer from a table: what is asked, judged, mended, said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest
from tests.unit.converge.test_checks import CLUSTER, HARDWARE, well

from wulfling.converge import doctor
from wulfling.converge.doctor import Examined, Mended, examine, mend
from wulfling.converge.evidence import asked
from wulfling.converge.session import Errand
from wulfling.errors import IdentityMismatch, Unreachable, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.model.finding import Finding
from wulfling.model.health import Health
from wulfling.model.plan import Status
from wulfling.node.resources.file import File
from wulfling.proc import Finished
from wulfling.transport.fake import Answers, Fake, FakeLink
from wulfling.transport.link import Address, Refused

HOSTS = File(path="/etc/munge/munge.key", content="x")
NAMES = ("one", "two", "files")


def told(health: Health) -> Mapping[str, Any]:
    """As it comes over the wire: no tuples, only lists."""
    import json

    found: dict[str, Any] = json.loads(json.dumps(asdict(health)))
    return found


def table(**instead: Any) -> dict[str, Answers | WulflingError]:
    """Healthy nodes, but for those that are given."""
    nodes: dict[str, Answers | WulflingError] = {
        name: Answers(
            hardware=HARDWARE[name],
            steps={HOSTS.key: Status.OK},
            health=told(well(name)),
            credential=f"MUNGE:{name}",
        )
        for name in NAMES
    }
    return {**nodes, **instead}


def answers(name: str, **facts: Any) -> Answers:
    steps = facts.pop("steps", {HOSTS.key: Status.OK})
    commands = facts.pop("commands", {})
    return Answers(
        hardware=HARDWARE[name],
        steps=steps,
        health=told(replace(well(name), **facts)),
        credential=f"MUNGE:{name}",
        commands=commands,
    )


def errand() -> Errand:
    return Errand(
        addresses=tuple(
            Address(node=n, host=f"10.0.0.{i}", users=("a",)) for i, n in enumerate(NAMES)
        ),
        head="one",
        operator="kim@laptop",
        compile=lambda known: dict.fromkeys(known.hardware, (HOSTS,)),
        blob=lambda sha256: b"",
    )


def cluster() -> Cluster:
    return CLUSTER


def looked(nodes: Mapping[str, Answers | WulflingError]) -> tuple[Examined, Fake]:
    fake = Fake(nodes)
    return asyncio.run(examine(errand(), cluster, fake)), fake


def causes(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(finding.subject, finding.check) for finding in findings]


def test_a_healthy_cluster_and_what_it_was_asked() -> None:
    examined, fake = looked(table())
    assert examined.findings == ()
    order, said = fake.links["two"].heard
    assert order["do"] == "plan"
    assert order["examine"] == asked(CLUSTER, "two")
    assert said["credentials"] == {"one": "MUNGE:one"}
    assert fake.links["one"].heard[1]["credentials"] == {
        "two": "MUNGE:two",
        "files": "MUNGE:files",
    }


def test_each_board_is_asked_for_what_it_has() -> None:
    one, two, files = (asked(CLUSTER, name) for name in NAMES)
    assert (one["scheduler"], two["scheduler"]) == (True, False)
    assert (one["reach"], two["reach"], files["reach"]) == (["two", "files"], ["one"], [])
    assert (two["mounts"], files["mounts"]) == (["/home", "/nfs"], [])
    assert (two["programs"], files["programs"]) == (["slurmd"], [])
    assert (two["controller"], files["controller"]) == ("10.0.0.1", "")
    plain = asked(replace(CLUSTER, slurm=None), "one")
    assert (plain["munge"], plain["scheduler"], plain["programs"]) == (False, False, [])


def test_a_wrong_host_key_is_a_finding_and_the_others_are_asked() -> None:
    wrong = IdentityMismatch("10.0.0.2 answered with the host key X", where="two")
    examined, fake = looked(table(two=wrong))
    assert causes(examined.findings) == [("two", "identity")]
    assert fake.links["one"].heard[0]["do"] == "plan"


def test_the_plan_is_evidence() -> None:
    examined, _ = looked(table(two=answers("two", steps={HOSTS.key: Status.CHANGE})))
    assert causes(examined.findings) == [("two", "munge")]


def through(script: str) -> tuple[str, ...]:
    return doctor._through("two", script)


def test_a_board_that_refuses_our_key_is_looked_at_from_another() -> None:
    home = "/var/local/wulfling"
    folders = f"/ /var /var/local {home} {home}/.ssh {home}/.ssh/authorized_keys"
    question = through(f"stat -c '%a %U %n' {folders}")
    said = f"755 root /\n777 wulfling {home}\n"
    head = answers("one", commands={question: Finished(question, 0, said, "")})
    examined, _ = looked(table(one=head, two=Refused("no", hint="do", where="two")))
    (finding,) = examined.findings
    assert (finding.subject, finding.check) == ("two", "login")
    assert f"others may write to {home}" in finding.words


class Mending:
    """Findings round by round, and what was run."""

    def __init__(self, *rounds: Mapping[str, Answers | WulflingError]) -> None:
        self.rounds = list(rounds)
        self.ran: list[tuple[str, str]] = []
        self.applied = 0

    async def open(self, to: Address) -> FakeLink:
        assert not isinstance(self.rounds[0], Exception)
        link = await Fake(self.rounds[0]).open(to)
        assert isinstance(link, FakeLink)
        return link

    async def run(self, to: Address, argv: Sequence[str], **more: Any) -> Finished:
        self.ran.append((to.node, argv[-1]))
        return Finished(tuple(argv), 1 if "umount" in argv[-1] else 0, "", "umount: busy")

    async def look(self) -> Examined:
        return await examine(errand(), cluster, self)

    async def again(self) -> Examined:
        if len(self.rounds) > 1:
            self.rounds.pop(0)
        return await self.look()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing passes by itself here."""
    monkeypatch.setattr(doctor, "GRACE", 0.0)
    monkeypatch.setattr(doctor, "SETTLING", 0.0)
    monkeypatch.setattr(doctor, "POLL", 0.01)


def mended(mending: Mending, *only: str) -> Mended:
    async def work() -> Mended:
        first = await mending.look()
        hear = lambda what, finding: None  # noqa: E731
        return await mend(first, errand(), mending.again, mending, tell=hear, only=only)

    return asyncio.run(work())


def test_what_is_mended_is_gone_when_it_is_looked_at_again() -> None:
    ill = table(two=answers("two", clock=700.0))
    mending = Mending(ill, table())
    done = mended(mending)
    assert (causes(done.mended), done.left, done.failed) == ([("two", "clock")], (), ())
    assert [node for node, _ in mending.ran] == ["two"]


def test_a_mend_uncovers_the_next_cause() -> None:
    drained = tuple(
        replace(n, state="IDLE+DRAIN", reason="Kill task failed", by="root")
        if n.name == "two"
        else n
        for n in well("one").slurm_nodes
    )
    head = answers("one", slurm_nodes=drained)
    rounds = (table(two=answers("two", clock=700.0), one=head), table(one=head), table())
    done = mended(Mending(*rounds))
    assert causes(done.mended) == [("two", "clock"), ("two", "node")]
    assert done.left == ()


def test_a_mend_that_fails_is_said_and_not_tried_again() -> None:
    stale = replace(well("two").mounts[0], state="ESTALE")
    ill = table(two=answers("two", mounts=(stale,)))
    mending = Mending(ill)
    done = mended(mending)
    assert causes(done.left) == [("two", "mount")]
    assert done.mended == ()
    assert [subject for subject, _ in done.failed] == ["two"]
    assert len(mending.ran) == 1


def test_only_the_nodes_that_were_asked_for_are_mended() -> None:
    ill = table(two=answers("two", clock=700.0))
    mending = Mending(ill)
    done = mended(mending, "files")
    assert (done.mended, done.left, mending.ran) == ((), (), [])


def test_nothing_is_run_on_a_board_that_is_away() -> None:
    away = Unreachable("no route", hint="is it on?", where="two")
    mending = Mending(table(two=away))
    done = mended(mending)
    assert causes(done.left) == [("two", "reach")]
    assert mending.ran == []
