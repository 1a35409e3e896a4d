"""What all resources have in common: equality without reasons, keys, differences in words."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import pytest

from wulfling.model.resource import Resource, digest


@dataclass(frozen=True, kw_only=True)
class Thing(Resource):
    kind: ClassVar[str] = "thing"

    label: str
    size: int | None = None
    parts: tuple[str, ...] = ()
    on: bool = False

    @property
    def name(self) -> str:
        return self.label


def test_the_key_is_kind_and_name() -> None:
    assert Thing(label="/x").key == "thing:/x"


def test_reasons_and_order_are_no_part_of_the_state() -> None:
    assert Thing(label="x") == Thing(label="x", why="because", awaits=("one/thing:y",))
    assert Thing(label="x").difference(Thing(label="x", why="because")) == ()


def test_what_is_not_there_is_one_line() -> None:
    assert Thing(label="x", size=3).difference(None) == ("+ thing:x",)


def test_a_difference_in_words() -> None:
    was = Thing(label="x", on=True)
    want = Thing(label="x", size=3, parts=("a", "b"))
    assert want.difference(was) == (
        "  size: none -> 3",
        "  parts: none -> a b",
        "  on: yes -> no",
    )
    assert was.difference(want) == ("  size: 3 -> none", "  parts: a b -> none", "  on: no -> yes")


def test_zero_is_not_nothing() -> None:
    assert Thing(label="x", size=0).difference(Thing(label="x")) == ("  size: none -> 0",)


def test_resources_are_values() -> None:
    with pytest.raises(FrozenInstanceError):
        Thing(label="x").label = "y"  # type: ignore[misc]
    assert len({Thing(label="x"), Thing(label="x", why="y")}) == 1


def test_a_kind_has_to_say_everything_itself() -> None:
    class Bare(Resource):
        kind: ClassVar[str] = "bare"

    bare = Bare()
    for ask in (lambda: bare.name, bare.commands, bare.undo, lambda: bare.observe(None)):
        with pytest.raises(NotImplementedError):
            ask()
    with pytest.raises(NotImplementedError):
        bare.converge(None, None)


def test_digest_tells_texts_and_their_borders_apart() -> None:
    assert digest("a", "b") == digest("a", "b")
    assert len({digest("ab"), digest("a", "b"), digest("b", "a"), digest("a", "b", "")}) == 4


def test_digest_takes_what_is_not_utf_8() -> None:
    assert len(digest(b"\xff".decode("utf-8", "surrogateescape"))) == 12
