"""Waiting across nodes: it ends when the step is done, and as soon as it never will be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wulfling.converge.awaits import Release, Waits
from wulfling.model.plan import Status

MOUNT, EXPORT = "service:home.mount", "service:nfs-server"


def waits(**absent: str) -> Waits:
    return Waits({"a": [MOUNT, "file:/x"], "b": [EXPORT]}, absent)


def test_it_goes_on_when_the_other_node_is_as_far() -> None:
    them = waits()
    assert them.wait("a", MOUNT, [f"b/{EXPORT}"]) == ()
    assert them.is_waiting("a")
    assert them.settle("b", EXPORT, Status.CHANGED) == (Release("a", MOUNT),)
    assert not them.is_waiting("a")


def test_it_goes_on_at_once_when_the_other_node_was_faster() -> None:
    them = waits()
    them.settle("b", EXPORT, Status.OK)
    assert them.wait("a", MOUNT, [f"b/{EXPORT}"]) == (Release("a", MOUNT),)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.FAILED, "service:nfs-server on b failed"),
        (Status.SKIPPED, "service:nfs-server on b was skipped"),
        (Status.PENDING, "service:nfs-server on b is pending"),
    ],
)
def test_it_is_given_up_when_the_other_step_did_not_work(status: Status, words: str) -> None:
    them = waits()
    them.wait("a", MOUNT, [f"b/{EXPORT}"])
    assert them.settle("b", EXPORT, status) == (Release("a", MOUNT, words),)


def test_it_is_given_up_when_the_other_node_is_lost() -> None:
    them = waits()
    them.wait("a", MOUNT, [f"b/{EXPORT}"])
    assert them.leave("b", "is unreachable") == (Release("a", MOUNT, "b is unreachable"),)


def test_it_is_given_up_at_once_when_the_other_node_never_came() -> None:
    them = Waits({"a": [MOUNT]}, {"b": "is unreachable"})
    released = them.wait("a", MOUNT, [f"b/{EXPORT}"])
    assert released == (Release("a", MOUNT, "b is unreachable"),)


def test_what_a_lost_node_had_done_before_counts() -> None:
    them = waits()
    them.settle("b", EXPORT, Status.OK)
    them.leave("b", "is unreachable")
    assert them.wait("a", MOUNT, [f"b/{EXPORT}"]) == (Release("a", MOUNT),)


@pytest.mark.parametrize("awaited", ["b/service:other", "c/service:other", "nonsense"])
def test_what_nobody_declares_is_given_up_at_once(awaited: str) -> None:
    released = waits().wait("a", MOUNT, [awaited])
    assert "is declared for" in released[0].because


def test_all_of_several_are_waited_for() -> None:
    them = Waits({"a": [MOUNT], "b": [EXPORT], "c": [EXPORT]}, {})
    them.wait("a", MOUNT, [f"b/{EXPORT}", f"c/{EXPORT}"])
    assert them.settle("b", EXPORT, Status.OK) == ()
    assert them.settle("c", EXPORT, Status.OK) == (Release("a", MOUNT),)


def test_a_circle_is_given_up() -> None:
    them = waits()
    assert them.wait("a", MOUNT, [f"b/{EXPORT}"]) == ()
    released = them.wait("b", EXPORT, ["a/file:/x"])
    assert {release.node for release in released} == {"a", "b"}
    assert all("wait for each other" in release.because for release in released)


def test_a_key_may_have_slashes() -> None:
    them = waits()
    them.wait("b", EXPORT, ["a/file:/x"])
    assert them.settle("a", "file:/x", Status.OK) == (Release("b", EXPORT),)


@given(st.data())
def test_nobody_waits_for_ever(data: st.DataObject) -> None:
    """Whatever nodes declare and await, every run of them ends with nobody waiting."""
    nodes = ["a", "b", "c"]
    keys = {node: [f"k:{i}" for i in range(data.draw(st.integers(0, 3)))] for node in nodes}
    everything = [f"{node}/{key}" for node in nodes for key in ["k:0", "k:1", "k:2"]]
    awaited = {
        f"{node}/{key}": data.draw(st.lists(st.sampled_from(everything), max_size=2))
        for node in nodes
        for key in keys[node]
    }
    them = Waits(keys, {})
    todo = {node: list(own) for node, own in keys.items()}
    asked: set[str] = set()

    def heard(released: tuple[Release, ...]) -> None:
        for release in released:
            todo[release.node].remove(release.key)
            status = Status.PENDING if release.because else Status.CHANGED
            heard(them.settle(release.node, release.key, status))

    for _ in range(40):
        free = [node for node in nodes if node in todo and not them.is_waiting(node)]
        if not free:
            break
        node = data.draw(st.sampled_from(free))
        if not todo[node]:
            del todo[node]
            heard(them.leave(node, "ended without it"))
            continue
        key = todo[node][0]
        if awaited[f"{node}/{key}"] and key not in asked:
            heard(them.wait(node, key, awaited[f"{node}/{key}"]))
        else:
            todo[node].remove(key)
            heard(them.settle(node, key, Status.OK))
    assert not any(them.is_waiting(node) for node in nodes)
    assert not todo
