"""Status: what it makes of each node's one answer, and of nodes that give none."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.measured import PI

from wulfling.converge.status import QUESTION, SLURM_QUESTION, NodeStatus, status
from wulfling.errors import CommandFailed, IdentityMismatch, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Node, Partition, Role, Slurm
from wulfling.proc import Finished
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
MEASURED = """0.56 0.34 0.22 1/93 4242
543.21 1000.00
MemTotal:        1024000 kB
MemAvailable:     512000 kB
"""


def asked(
    said: Mapping[str, str | WulflingError], cluster: Cluster = CLUSTER
) -> dict[str, NodeStatus]:
    """Status of nodes that answer with ``said`` to exactly the question that is due."""
    nodes: dict[str, Answers | WulflingError] = {}
    for node, answer in said.items():
        slurm = SLURM_QUESTION if cluster.slurm and node == cluster.head else ""
        argv = ("sh", "-c", QUESTION + slurm)
        nodes[node] = (
            answer
            if isinstance(answer, WulflingError)
            else Answers(hardware=BOARD, commands={argv: Finished(argv, 0, answer, "")})
        )
    addresses = {node: Address(node=node, host=node, users=("a",)) for node in said}
    found = asyncio.run(status(cluster, addresses, Fake(nodes)))
    assert [node.node for node in found] == ["one", "two"]
    return {node.node: node for node in found}


def test_everybody_is_well() -> None:
    found = asked({"one": f"{MEASURED}slurm\none idle none\ntwo mixed none\n", "two": MEASURED})
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
    )
    assert found["two"].cells() == (
        *("two", "10.0.0.2", "compute", "mixed", "0.56"),
        *("500 of 1000 MiB", "9 min"),
    )
    assert not found["one"].unwell
    assert not found["two"].unwell


def test_a_reason_with_spaces() -> None:
    found = asked({"one": f"{MEASURED}slurm\ntwo down* Not responding since noon\n", "two": ""})
    assert (found["two"].state, found["two"].reason) == ("down*", "Not responding since noon")
    assert found["two"].unwell
    assert "down* (Not responding since noon)" in found["two"].cells()


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
    found = asked({"one": MEASURED, "two": MEASURED}, cluster)
    assert found["one"].state == "-"


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("10.0.0.2 port 22: No route to host\nsecond line"),
        Refused("10.0.0.2 lets nobody in"),
        CommandFailed(("sh",), 124, "no end after 30 s"),
    ],
)
def test_a_node_that_is_away_says_why_and_the_others_are_there(error: WulflingError) -> None:
    found = asked({"one": f"{MEASURED}slurm\none idle none\ntwo idle* none\n", "two": error})
    assert not found["two"].reachable
    assert found["two"].reason == error.message.splitlines()[0]
    assert found["one"].state == "idle"
    assert found["two"].cells()[3].startswith("unreachable: ")


def test_with_the_head_away_the_states_are_not_known() -> None:
    found = asked({"one": Unreachable("gone"), "two": MEASURED})
    assert found["two"].reachable
    assert (found["two"].state, found["two"].unwell) == ("-", False)


def test_an_impostor_is_not_told_as_an_unreachable_node() -> None:
    with pytest.raises(IdentityMismatch):
        asked({"one": MEASURED, "two": IdentityMismatch("another host key")})


def test_a_machine_without_ssh_is_told_once() -> None:
    with pytest.raises(WulflingError, match="ssh does not start"):
        asked({"one": WulflingError("ssh does not start here"), "two": MEASURED})


@pytest.mark.parametrize(
    "said",
    [
        "",
        "slurm\n",
        "0.5\n",
        "0.56 0.34 0.22 1/93 4242\n543.21 1000.00\n",
        MEASURED.replace("1024000 kB", ""),
        MEASURED.replace("0.56", "?"),
        f"Welcome to Debian\n{MEASURED}",
        f"{MEASURED}{MEASURED}",
        f"{MEASURED}slurm\none\n\ntwo idle\nslurm_load_partitions: Unable to contact\n",
    ],
)
def test_a_short_or_garbled_answer_is_no_crash(said: str) -> None:
    found = asked({"one": said, "two": said.partition("slurm\n")[0]})
    assert found["one"].reachable
    assert len(found["one"].cells()) == 7


def test_a_greeting_before_the_answer_changes_nothing() -> None:
    """A root shell on some boards says hello first (~/.bashrc, /etc/profile.d)."""
    found = asked({"one": f"Welcome to Debian\n{MEASURED}", "two": MEASURED})
    assert (found["one"].load, found["one"].memory_mb) == (0.56, 1000)


def test_a_state_without_a_reason() -> None:
    found = asked({"one": f"{MEASURED}slurm\none idle\ntwo\n", "two": MEASURED})
    assert (found["one"].state, found["one"].reason) == ("idle", "")
    assert found["two"].state == "-"


def test_a_slurm_that_does_not_answer_takes_nothing_away() -> None:
    found = asked({"one": f"{MEASURED}slurm\n", "two": MEASURED})
    assert (found["one"].state, found["one"].memory_mb) == ("-", 1000)


@given(st.text(), st.text())
def test_whatever_a_board_says_is_no_crash(board: str, queue: str) -> None:
    found = asked({"one": f"{board}slurm\n{queue}", "two": board})
    assert all(len(node.cells()) == 7 for node in found.values())


def test_json_has_the_names_of_the_fields() -> None:
    found = NodeStatus("n", "10.0.0.1", ("head",), reachable=False, reason="gone")
    assert found.as_json() == {
        "node": "n",
        "address": "10.0.0.1",
        "roles": ("head",),
        "reachable": False,
        "state": "-",
        "reason": "gone",
        "load": 0.0,
        "memory_mb": 0,
        "free_mb": 0,
        "up_seconds": 0,
    }
