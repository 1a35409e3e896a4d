"""Folded names: our short cut and ClusterShell give the same answers, and no bomb goes off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wulfling.spec import nodeset
from wulfling.spec.problem import Refused


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("rpnode01", ["rpnode01"]),
        ("a,b,a", ["a", "b"]),
        ("rpnode[01-03]", ["rpnode01", "rpnode02", "rpnode03"]),
        ("n[8-11]", ["n8", "n9", "n10", "n11"]),
        ("n[1,3]", ["n1", "n3"]),
        ("n[1-5/2]", ["n1", "n3", "n5"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("n[1-2]-ib", ["n1-ib", "n2-ib"]),
        ("rpnode[01-02],filenode01", ["filenode01", "rpnode01", "rpnode02"]),
    ],
)
def test_unfolded(text: str, names: list[str]) -> None:
    assert sorted(nodeset.expand(text)) == sorted(names)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "a,",
        "a b",
        "@all",
        "a*",
        "a!b",
        "a&b",
        "n[",
        "n]",
        "n[]",
        "n[1-]",
        "n[-1]",
        "n[2-1]",
        "n[a-b]",
        "n[1-2",
        "n[1-4/0]",
        "n[[1]]",
        "n[1-1025]",
        "n[1-99][1-99]",
        "n[1-999999]",
        "é",
        "n[1-9999999999999999]",
        "n[1-600],m[1-600]",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        nodeset.expand(text)
    assert caught.value.hint


ENDS = st.from_regex(r"0{0,2}[0-9]{1,3}", fullmatch=True)


@given(st.from_regex(r"[a-z-]{0,3}", fullmatch=True), ENDS, ENDS, st.sampled_from(["", "x", "-b"]))
def test_the_short_cut_agrees_with_clustershell(before: str, a: str, b: str, after: str) -> None:
    text = f"{before}[{a}-{b}]{after}"
    try:
        names = nodeset.expand(text)
    except Refused:
        return
    assert names == nodeset._expanded(text)


@given(st.lists(st.from_regex(r"[a-z]{1,3}[0-9]{1,3}", fullmatch=True), min_size=1, unique=True))
def test_folding_loses_nothing(names: list[str]) -> None:
    assert sorted(nodeset.expand(nodeset.fold(names))) == sorted(names)


@given(st.text(alphabet="an09[],-/ .", max_size=20))
def test_nothing_but_refusals(text: str) -> None:
    try:
        assert len(nodeset.expand(text)) <= nodeset.MOST_NODES
    except Refused:
        pass
