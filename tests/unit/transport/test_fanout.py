"""Many nodes at once."""

import asyncio

import pytest

from wulfling.errors import Unreachable
from wulfling.transport.fanout import each
from wulfling.transport.link import Address


def test_one_node_that_fails_leaves_the_others_alone() -> None:
    addresses = [Address(node=f"n{i}", host="h", users=()) for i in range(5)]
    at_work: set[str] = set()
    most = 0

    async def work(address: Address) -> str:
        nonlocal most
        at_work.add(address.node)
        most = max(most, len(at_work))
        await asyncio.sleep(0.001)
        at_work.discard(address.node)
        if address.node == "n1":
            raise Unreachable("gone", where="n1")
        return address.node.upper()

    found = asyncio.run(each(addresses, work, at_once=2))
    assert found.values == {"n0": "N0", "n2": "N2", "n3": "N3", "n4": "N4"}
    assert found.errors["n1"].message == "gone"
    assert most == 2


def test_a_bug_is_raised_after_the_others_have_ended() -> None:
    addresses = [Address(node=f"n{i}", host="h", users=()) for i in range(3)]
    done = []

    async def work(address: Address) -> None:
        if address.node == "n0":
            raise KeyError("a bug")
        await asyncio.sleep(0.001)
        done.append(address.node)

    with pytest.raises(KeyError):
        asyncio.run(each(addresses, work))
    assert done == ["n1", "n2"]
