"""People come into the file, and out of it, as a person with an editor would do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling import spec
from wulfling.errors import BadFile, WulflingError
from wulfling.spec import document, enrol
from wulfling.spec.document import Document
from wulfling.spec.enrol import Entrant, enrolled, expelled
from wulfling.spec.problem import Refused
from wulfling.spec.resolution import uid_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPfgmCHLLnCcDXMn13FYa1C2j6Dc1WB20XRZd9slLZvs kim@x"
TOP = "wulfling: 1\ncluster: c\nnodes:\n  n1: {address: 10.0.0.1}\n"
KIM = Entrant("kim", "school", (("cpu", "4"), ("mem", "1G")), "10G", (KEY,))


def read(text: str) -> Document:
    return document.parse(text.encode(), Path("cluster.yaml"))


def test_a_line_for_each() -> None:
    text = enrolled(read(TOP + "people:\n  pi: {uid: 2001}  # me\n"), [KIM, Entrant("lee")])
    assert text.splitlines()[4:] == [
        "people:",
        "  pi: {uid: 2001}  # me",
        f'  kim: {{account: school, limits: {{cpu: 4, mem: 1G}}, quota: 10G, keys: ["{KEY}"]}}',
        "  lee: {}",
    ]
    people = spec.check(read(text))[0].people
    assert people["kim"].keys == (KEY,)
    assert KIM.same_as(people["kim"])
    assert not KIM.same_as(people["lee"])


@pytest.mark.parametrize("name", ["null", "true", "_x", "no", "y", "e1-2"])
def test_words_that_yaml_has_a_meaning_for(name: str) -> None:
    text = enrolled(read(TOP), [Entrant(name, account=name)])
    assert spec.check(read(text))[0].people[name].account == name


def test_a_number_that_somebody_else_has_is_not_given_again() -> None:
    """Two of 200 names share the number that is made of a name, one time in three."""
    lee = uid_of("lee", spec.schema.PersonSpec.model_validate({}))
    text = enrolled(read(f"{TOP}people:\n  pi: {{uid: {lee}}}\n"), [Entrant("lee"), KIM])
    people = spec.check(read(text))[0].people
    assert people["lee"].uid == 2001
    assert people["kim"].uid is None


def test_people_on_one_line_take_no_line() -> None:
    with pytest.raises(WulflingError) as caught:
        enrolled(read(TOP + "people: {pi: {}}\n"), [Entrant("kim")])
    assert caught.value.where == "cluster.yaml:5:1"
    assert "  kim: {}" in caught.value.hint


def test_what_would_be_refused_is_refused_before_anything_is_written() -> None:
    with pytest.raises(BadFile, match="munge is an account"):
        enrolled(read(TOP), [Entrant("munge")])


def test_out_of_the_file() -> None:
    text = TOP + "people:\n  pi: {}\n\n  # the class\n  kim: {}\n"
    assert expelled(read(text), "kim") == TOP + "people:\n  pi: {}\n\n  # the class\n"


def test_nobody_of_that_name() -> None:
    with pytest.raises(WulflingError, match="nobody called 'kin'") as caught:
        expelled(read(TOP + "people:\n  kim: {}\n"), "kin")
    assert "`kim`" in caught.value.hint
    with pytest.raises(WulflingError):
        expelled(read(TOP), "kim")


def test_somebody_in_a_line_with_others() -> None:
    with pytest.raises(WulflingError, match="shares a line") as caught:
        expelled(read(TOP + "people: {kim: {}, lee: {}}\n"), "kim")
    assert caught.value.where == "cluster.yaml:5:10"


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", ()),
        ("cpu=4", (("cpu", "4"),)),
        ("cpu=4,mem=1.5G", (("cpu", "4"), ("mem", "1.5G"))),
        ("cpu=0; node=2 billing=3", (("cpu", "0"), ("node", "2"), ("billing", "3"))),
    ],
)
def test_limits(text: str, limits: tuple[tuple[str, str], ...]) -> None:
    assert enrol.limits_of(text) == limits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cpus=4", "cpus"),
        ("cpu", "no value"),
        ("cpu=", "no value"),
        ("cpu=many", "whole number"),
        ("mem=4", "no unit"),
        ("cpu=1,cpu=2", "twice"),
    ],
)
def test_limits_that_are_none(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        enrol.limits_of(text)
    assert refused.value.hint


@pytest.mark.parametrize("text", ["", "Kim", "kim lee", "root", "wulfling", "1a", "a" * 32])
def test_names_that_nobody_can_have(text: str) -> None:
    with pytest.raises(Refused) as refused:
        enrol.name_of(text, "wulfling")
    assert refused.value.hint
