"""Status: what it makes of what each node says of itself, and of nodes that say nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.unit.measured import PI

from wulfling.converge.status import NodeStatus, status
from wulfling.errors import CommandFailed, IdentityMismatch, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Node, Partition, Role, Slurm
from wulfling.model.finding import Finding
from wulfling.model.health import Health, SlurmNode, Space
from wulfling.transport.fake import Answers, Fake
from wulfling.transport.link import Address, Refused

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
    found, wrong = asyncio.run(status(cluster, addresses, Fake(nodes)))
    assert [node.node for node in found] == ["one", "two"]
    return {node.node: node for node in found}, wrong


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
    )
    assert found["two"].cells() == (
        *("two", "10.0.0.2", "compute", "mixed", "0.56"),
        *("500 of 1000 MiB", "9 min"),
    )
    assert not found["one"].unwell
    assert not found["two"].unwell
    assert wrong == ()


def test_a_reason_with_spaces() -> None:
    found, wrong = glanced(with_slurm("DOWN+NOT_RESPONDING", "Not responding since noon"))
    assert (found["two"].state, found["two"].reason) == ("down*", "Not responding since noon")
    assert found["two"].unwell
    assert "down* (Not responding since noon)" in found["two"].cells()
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
    assert found["two"].cells()[3].startswith("unreachable: ")


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


def test_a_board_that_does_not_know_its_memory() -> None:
    found, _ = glanced(two=dataclasses.replace(TWO, memory_mb=0))
    assert found["two"].cells()[4:] == ("?", "?", "?")


def test_json_has_the_names_of_the_fields() -> None:
    found = NodeStatus("n", "10.0.0.1", ("head",), reachable=False, reason="gone").as_json()
    assert found["reason"] == "gone"
    assert list(found) == [item.name for item in dataclasses.fields(NodeStatus)]
