"""Status: what it makes of what each node says of itself, and of nodes that say nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.unit.measured import PI

from wulfling.converge.status import NodeStatus, Queued, Served, Watch
from wulfling.errors import CommandFailed, IdentityMismatch, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Node, Partition, Role, Share, Slurm
from wulfling.model.finding import Finding
from wulfling.model.health import Health, Mount, SlurmNode, Space
from wulfling.proc import Finished
from wulfling.transport.fake import Answers, Fake
from wulfling.transport.link import Address, Link, Refused

BOARD = PI
CLUSTER = Cluster(
    name="c",
    network=IPv4Network("10.0.0.0/24"),
    domain="home.local",
    virtual=False,
    head="one",
    nodes=(
        Node("one", IPv4Address("10.0.0.1"), frozenset({Role.COMPUTE, Role.HEAD}), None),
        Node("two", IPv4Address("10.0.0.2"), frozenset({Role.COMPUTE}), None),
    ),
    storage=(),
    slurm=Slurm((Partition("batch", ("one", "two")),)),
    people=(),
    admin="wulfling",
    admin_keys=(),
    login="pi",
)
ROOT = Space("/", "ok", mb=29000, free_mb=20000, inodes=1000, free_inodes=900)
TWO = Health(
    load=0.56,
    memory_mb=1000,
    free_mb=500,
    up_seconds=543,
    clock=0.0,
    spaces=(ROOT,),
    links=(("eth0", 1000),),
)
ONE = dataclasses.replace(TWO, slurm_nodes=(SlurmNode("one", "IDLE"), SlurmNode("two", "MIXED")))

Said = Health | WulflingError | Mapping[str, Any]


def with_slurm(state: str, reason: str = "") -> Health:
    """What the head says when Slurm has this for the other node."""
    return dataclasses.replace(
        ONE, slurm_nodes=(SlurmNode("one", "IDLE"), SlurmNode("two", state, reason, "root"))
    )


def glanced(
    one: Said = ONE, two: Said = TWO, cluster: Cluster = CLUSTER
) -> tuple[dict[str, NodeStatus], tuple[Finding, ...]]:
    """Status of nodes that say this, and what is wrong."""
    nodes: dict[str, Answers | WulflingError] = {}
    for node, said in (("one", one), ("two", two)):
        if isinstance(said, WulflingError):
            nodes[node] = said
            continue
        facts = dataclasses.asdict(said) if isinstance(said, Health) else said
        board = dataclasses.replace(BOARD, machine_id=node)
        nodes[node] = Answers(hardware=board, health=json.loads(json.dumps(facts)))
    addresses = {node: Address(node=node, host=node, users=("a",)) for node in nodes}
    glance = asyncio.run(Watch(cluster, addresses, Fake(nodes)).look())
    assert [node.node for node in glance.nodes] == ["one", "two"]
    return {node.node: node for node in glance.nodes}, glance.findings


def test_everybody_is_well() -> None:
    found, wrong = glanced()
    assert found["one"] == NodeStatus(
        node="one",
        address="10.0.0.1",
        roles=("head", "compute"),
        reachable=True,
        state="idle",
        load=0.56,
        memory_mb=1000,
        free_mb=500,
        up_seconds=543,
        disk_mb=29000,
        disk_free_mb=20000,
        link_mbit=1000,
        cpus=4,
        seen_seconds=0,
    )
    assert found["two"].state == "mixed"
    assert not found["one"].unwell
    assert not found["two"].unwell
    assert wrong == ()


def test_a_reason_with_spaces() -> None:
    found, wrong = glanced(with_slurm("DOWN+NOT_RESPONDING", "Not responding since noon"))
    assert (found["two"].state, found["two"].reason) == ("down*", "Not responding since noon")
    assert found["two"].unwell
    assert wrong == ()  # the table says it


@pytest.mark.parametrize(
    ("state", "brief"),
    [
        ("IDLE", "idle"),
        ("MIXED+PLANNED", "mixed"),
        ("IDLE+COMPLETING", "completing"),
        ("IDLE+DRAIN", "drained"),
        ("MIXED+DRAIN", "draining"),
        ("IDLE+DRAIN+NOT_RESPONDING", "drained*"),
        ("DOWN+NOT_RESPONDING", "down*"),
        ("DOWN+DRAIN", "down"),
        ("DOWN*+DRAIN", "down*"),
        ("IDLE+INVALID_REG", "invalid_reg"),
        ("IDLE+CLOUD", "idle"),
    ],
)
def test_the_states_of_scontrol_are_told_as_sinfo_tells_them(state: str, brief: str) -> None:
    assert SlurmNode("n", state).brief == brief


def test_what_is_wrong_is_said_in_words() -> None:
    full = dataclasses.replace(ROOT, free_mb=10)
    hot = dataclasses.replace(TWO, spaces=(full,), throttled=0x80008, temperature=83.0)
    found, wrong = glanced(two=hot)
    assert {finding.check for finding in wrong} == {"space", "power"}
    assert found["two"].wrong == tuple(finding.words for finding in wrong)
    assert (found["two"].temperature, found["two"].throttled) == (83.0, True)


@pytest.mark.parametrize(
    ("state", "unwell"),
    [
        ("idle", False),
        ("mixed", False),
        ("allocated", False),
        ("completing", False),
        ("planned", False),
        ("idle-", False),  # planned for another job, sinfo(1), NODE STATE CODES
        ("mixed-", False),
        ("idle*", True),  # does not respond
        ("down", True),
        ("down*", True),
        ("drained", True),
        ("draining", True),
        ("draining*", True),
        ("unknown*", True),
        ("mixed$", True),
        ("-", False),
    ],
)
def test_states_and_their_suffixes(state: str, unwell: bool) -> None:
    assert NodeStatus("n", "10.0.0.1", (), reachable=True, state=state).unwell is unwell


def test_without_slurm_nobody_is_asked_for_it() -> None:
    cluster = dataclasses.replace(CLUSTER, slurm=None)
    found, wrong = glanced(one=TWO, cluster=cluster)
    assert found["one"].state == "-"
    assert wrong == ()


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("10.0.0.2 port 22: No route to host\nsecond line"),
        Refused("10.0.0.2 lets nobody in"),
        CommandFailed(("sh",), 124, "no end after 30 s"),
    ],
)
def test_a_node_that_is_away_says_why_and_the_others_are_there(error: WulflingError) -> None:
    found, _ = glanced(with_slurm("IDLE+NOT_RESPONDING"), error)
    assert not found["two"].reachable
    assert found["two"].reason == error.message.splitlines()[0]
    assert found["one"].state == "idle"


def test_with_the_head_away_the_states_are_not_known() -> None:
    found, _ = glanced(one=Unreachable("gone"))
    assert found["two"].reachable
    assert (found["two"].state, found["two"].unwell) == ("-", False)


def test_an_impostor_is_not_told_as_an_unreachable_node() -> None:
    with pytest.raises(IdentityMismatch):
        glanced(two=IdentityMismatch("another host key"))


def test_a_machine_without_ssh_is_told_once() -> None:
    with pytest.raises(WulflingError, match="ssh does not start"):
        glanced(one=WulflingError("ssh does not start here"))


def test_facts_that_are_not_understood() -> None:
    found, _ = glanced(two={"unheard": 1})
    assert not found["two"].reachable
    assert "was not understood" in found["two"].reason


def test_a_slurm_that_does_not_answer_takes_nothing_away() -> None:
    found, _ = glanced(one=dataclasses.replace(ONE, slurm_nodes=()))
    assert (found["one"].state, found["one"].memory_mb) == ("-", 1000)


def test_json_has_the_names_of_the_fields() -> None:
    found = NodeStatus("n", "10.0.0.1", ("head",), reachable=False, reason="gone").as_json()
    assert found["reason"] == "gone"
    assert list(found) == [item.name for item in dataclasses.fields(NodeStatus)]


def test_what_boards_tell_of_their_disks_their_packages_and_the_queue() -> None:
    told = dataclasses.replace(
        TWO,
        written=(("mmcblk0p2", 412), ("sda1", 9)),
        worn=(("mmcblk0", 20),),
        updates=(12, 3),
    )
    jobs = (("PENDING", "Priority", 3), ("RUNNING", "None", 2))
    one = dataclasses.replace(
        ONE, queue=jobs, now=5000.0, backups=(("head", 1400.0, ""),), updates=(0, 0)
    )
    found, _ = glanced(one, told)
    two = found["two"]
    assert (two.written_gib, two.worn_percent) == (412, 20)
    assert (two.updates, two.security_updates) == (12, 3)
    assert found["one"].queue == (Queued("PENDING", "Priority", 3), Queued("RUNNING", "None", 2))
    assert (found["one"].updates, found["one"].backups) == (0, (("head", 3600.0),))
    assert (two.queue, two.backups) == ((), ())


@pytest.mark.parametrize(
    ("spaces", "free"),
    [((ROOT,), 20000), ((ROOT, Space("/home", "ok", 90000, 70000, 10, 10)), 70000)],
)
def test_a_share_lies_on_the_nearest_file_system(spaces: tuple[Space, ...], free: int) -> None:
    cluster = dataclasses.replace(CLUSTER, storage=(Share("/home", "two"),))
    one = dataclasses.replace(ONE, mounts=(Mount("/home", "ok", "nfs4"),))
    found, _ = glanced(one, dataclasses.replace(TWO, spaces=spaces), cluster)
    assert [(share.path, share.free_mb) for share in found["two"].serves] == [("/home", free)]
    assert found["one"].serves == ()
    assert found["two"].serves == (Served("/home", spaces[-1].mb, free),)


def test_what_is_wrong_with_the_cluster_stands_with_the_head() -> None:
    found, wrong = glanced(dataclasses.replace(ONE, partitions=(("batch", "DOWN"),)))
    assert [finding.subject for finding in wrong] == ["c"]
    assert found["one"].wrong == (wrong[0].words,)
    assert found["two"].wrong == ()


# Again and again


class Changing:
    """A way to boards that can be changed while somebody looks."""

    def __init__(self) -> None:
        self.nodes: dict[str, Answers | WulflingError] = {}

    def put(self, node: str, said: Health | WulflingError) -> None:
        board = dataclasses.replace(BOARD, machine_id=node)
        facts = dataclasses.asdict(said) if isinstance(said, Health) else {}
        self.nodes[node] = (
            said
            if isinstance(said, WulflingError)
            else Answers(hardware=board, health=json.loads(json.dumps(facts)))
        )

    async def open(self, to: Address) -> Link:
        return await Fake(self.nodes).open(to)

    async def run(self, to: Address, argv: Sequence[str], **how: Any) -> Finished:
        return await Fake(self.nodes).run(to, argv)


def watch_of(dial: Changing) -> Watch:
    addresses = {node: Address(node=node, host=node, users=("a",)) for node in ("one", "two")}
    return Watch(CLUSTER, addresses, dial)


async def test_a_board_that_goes_away_comes_back() -> None:
    dial = Changing()
    dial.put("one", ONE)
    dial.put("two", TWO)
    watch = watch_of(dial)
    assert watch.unheard == ("one", "two")
    assert watch.glance().nodes == ()
    looking = asyncio.ensure_future(watch.go_on(0.01))

    async def until(state: tuple[bool, float]) -> None:
        while not looking.done():
            seen = {node.node: node for node in watch.glance().nodes}
            if "two" in seen and (seen["two"].reachable, seen["two"].load) == state:
                return
            await asyncio.sleep(0.01)
        looking.result()

    await until((True, 0.56))
    dial.put("two", Unreachable("10.0.0.2 port 22: No route to host"))
    await until((False, 0.0))
    (two,) = (node for node in watch.glance().nodes if node.node == "two")
    assert two.reason == "10.0.0.2 port 22: No route to host"
    assert two.seen_seconds is not None
    dial.put("two", dataclasses.replace(TWO, load=3.5))
    await until((True, 3.5))
    looking.cancel()


async def test_an_impostor_ends_the_watching() -> None:
    dial = Changing()
    dial.put("one", ONE)
    dial.put("two", IdentityMismatch("another host key"))
    with pytest.raises(IdentityMismatch):
        await watch_of(dial).go_on(60)


async def test_packages_are_counted_seldom_and_kept_in_mind() -> None:
    dial = Changing()
    dial.put("one", dataclasses.replace(ONE, updates=(7, 1)))
    watch = watch_of(dial)
    await watch.ask("one")
    dial.put("one", ONE)  # as a board answers that was not asked for them
    await watch.ask("one")
    (one,) = watch.glance().nodes
    assert (one.updates, one.security_updates) == (7, 1)
