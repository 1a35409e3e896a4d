"""Whose job it is."""

from __future__ import annotations

import pytest

from wulfling.errors import WulflingError
from wulfling.jobs.person import chosen
from wulfling.model.cluster import Person

KIM = Person("kim", 2001, "school", keys=("ssh-ed25519 AAAA kim@desk",))
LEE = Person("lee", 2002, "school", keys=("ssh-ed25519 BBBB",))


def test_who_is_asked_for() -> None:
    assert chosen((KIM, LEE), "lee", "kim", ()) == "lee"
    with pytest.raises(WulflingError, match="no bob") as unknown:
        chosen((KIM, LEE), "bob", "kim", ())
    assert "kim, lee" in unknown.value.hint


def test_the_name_here() -> None:
    assert chosen((KIM, LEE), None, "lee", ("ssh-ed25519 AAAA",)) == "lee"


def test_the_only_one_whose_key_is_ours() -> None:
    """Comments of keys do not count."""
    assert chosen((KIM, LEE), None, "me", ("ssh-ed25519 BBBB other comment",)) == "lee"


def test_the_only_one() -> None:
    assert chosen((KIM,), None, "me", ()) == "kim"


@pytest.mark.parametrize("own", [(), ("ssh-ed25519 AAAA", "ssh-ed25519 BBBB")])
def test_several_are_a_question(own: tuple[str, ...]) -> None:
    with pytest.raises(WulflingError, match="whose job is it") as several:
        chosen((KIM, LEE), None, "me", own)
    assert several.value.hint == "--as kim"


def test_nobody() -> None:
    with pytest.raises(WulflingError, match="no people"):
        chosen((), None, "me", ())
