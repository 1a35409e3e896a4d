"""Entries come and go by lines: what else is in the file stays, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.spec import document
from wulfling.spec.document import Document
from wulfling.spec.entries import appended, dropped

KIM = ["kim: {uid: 2001}"]
DATA = {"kim": {"uid": "2001"}}


def read(text: str) -> Document:
    return document.parse(text.encode(), Path("cluster.yaml"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1\n", "a: 1\n\npeople:\n  kim: {uid: 2001}\n"),
        ("a: 1", "a: 1\n\npeople:\n  kim: {uid: 2001}\n"),
        ("a: 1\r\n", "a: 1\r\n\r\npeople:\r\n  kim: {uid: 2001}\r\n"),
        ("people:\nb: 1\n", "people:\n  kim: {uid: 2001}\nb: 1\n"),
        ("people:  # who\nb: 1\n", "people:  # who\n  kim: {uid: 2001}\nb: 1\n"),
        ("people: {}  # who\n", "people:   # who\n  kim: {uid: 2001}\n"),
        ("people: { }\nb: 1\n", "people: \n  kim: {uid: 2001}\nb: 1\n"),
        (
            "people:\n    pi: {uid: 1}  # me\n\n# ---\nb: 1\n",
            "people:\n    pi: {uid: 1}  # me\n    kim: {uid: 2001}\n\n# ---\nb: 1\n",
        ),
        (
            "people:\n  pi:\n    keys:\n      - a\n      - b\n",
            "people:\n  pi:\n    keys:\n      - a\n      - b\n  kim: {uid: 2001}\n",
        ),
    ],
)
def test_appended(before: str, after: str) -> None:
    found = appended(read(before), "people", KIM, DATA)
    assert found is not None
    assert found.text == after


@pytest.mark.parametrize(
    "text", ["people: {pi: {uid: 1}}\n", "people: {\n}\n", "a: 1\n...\n", "people: null\n"]
)
def test_a_form_that_takes_no_line(text: str) -> None:
    assert appended(read(text), "people", KIM, DATA) is None


def test_somebody_who_is_there_is_not_written_over() -> None:
    assert appended(read("people:\n  kim: {uid: 5}\n"), "people", KIM, DATA) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("people:\n  kim: {uid: 1}\n", "people:\n"),
        ("people:\n  kim: {uid: 1}", "people:"),
        ("people:\n  a: {}\n  kim: {}\n  b: {}\n", "people:\n  a: {}\n  b: {}\n"),
        (
            "people:\n  kim:\n    uid: 1\n    keys: [a,\n      b]\n\n  # b is old\n  b: {}\nc: 1\n",
            "people:\n\n  # b is old\n  b: {}\nc: 1\n",
        ),
        ("people:\r\n  a: {}\r\n  kim: {}\r\n\r\nc: 1\r\n", "people:\r\n  a: {}\r\n\r\nc: 1\r\n"),
    ],
)
def test_dropped(before: str, after: str) -> None:
    found = dropped(read(before), "people", "kim")
    assert found is not None
    assert found.text == after


@pytest.mark.parametrize(
    "text",
    [
        "people: {kim: {}, b: {}}\n",
        "people:\n  {a: {},\n  kim: {}, b: {}}\n",
        "people:\n  a: &x {}\n  kim: &y {uid: 1}\n  b: *y\n",
    ],
)
def test_an_entry_that_shares_its_lines_or_is_used_by_others_stays(text: str) -> None:
    assert dropped(read(text), "people", "kim") is None
