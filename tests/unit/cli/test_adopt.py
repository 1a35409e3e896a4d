"""``wulfling adopt`` at the edge: what is asked, what is told, and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from wulfling.bringup import adopt as bringup
from wulfling.bringup.adopt import Adopted, Stranger
from wulfling.cli.adopt import _Person
from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable
from wulfling.model.plan import Status, Step

Run = Callable[..., tuple[int, str, str]]
PRINT = "SHA256:" + "a" * 43


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the boards become; the second item is what was asked of them."""
    given: list[Any] = [(), None]

    class Adoption:
        def __init__(self, *about: object) -> None:
            given[1] = about

        async def meet(self, asker: object) -> None:
            if isinstance(given[0], Exception):
                raise given[0]

        async def work(self, hear: object) -> Sequence[Adopted]:
            return tuple(given[0])

        async def close(self) -> None:
            given.append("closed")

    monkeypatch.setattr(bringup, "Adoption", Adoption)
    return given


def adopted(node: str, *keys: str, error: Any = None) -> Adopted:
    steps = tuple(Step(node, key, Status.CHANGED) for key in keys)
    return Adopted(node, "10.9.9.1", PRINT, steps, error)


@pytest.mark.usefixtures("file")
def test_good_boards(run: Run, results: list[Any]) -> None:
    results[0] = [adopted("one", "clock", "passwords off"), adopted("two")]
    code, out, err = run("adopt")
    assert code == 0
    assert out == "one: adopted (clock, passwords off)\ntwo: is adopted\n"
    assert err == "next: wulfling -f cluster.yaml apply\n"
    assert results[-1] == "closed"


@pytest.mark.usefixtures("file")
def test_json_is_all_of_stdout(run: Run, results: list[Any]) -> None:
    failed = NodeFailed("no Python", hint="type this")
    results[0] = [adopted("one", "clock"), adopted("two", error=failed)]
    code, out, err = run("adopt", "-o", "json")
    assert code == 4
    assert [(row["node"], row["adopted"], row["error"]) for row in json.loads(out)] == [
        ("one", True, ""),
        ("two", False, "no Python"),
    ]
    assert "hint: type this" in err
    assert "again, when that is mended" in err


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("error", [Unreachable("off"), IdentityMismatch("other", where="one")])
def test_refusals_have_their_codes(run: Run, results: list[Any], error: Any) -> None:
    results[0] = error
    code, out, err = run("adopt", "two")
    assert (code, out) == (error.exit_code, "")
    assert error.message in err
    assert [to.node for to in results[1][1]] == ["two"]
    assert results[-1] == "closed"


@pytest.mark.usefixtures("file", "results")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("three",), 1, "there is no node three"),
        (("--user", "-oX"), 64, "no name of an account"),
        (("--answers", "none.yaml"), 6, "none.yaml cannot be read"),
        (("--answers", "open.yaml"), 6, "hint: chmod 600 open.yaml"),
        (("--answers", "bad.yaml"), 6, "bad.yaml:1:7: error: unknown key 'pasword'"),
    ],
)
def test_bad_words(run: Run, home: Path, words: tuple[str, ...], code: int, said: str) -> None:
    for name, mode in (("open.yaml", 0o644), ("bad.yaml", 0o600)):
        (home / name).write_text("one: {pasword: x}\n")
        (home / name).chmod(mode)
    got, out, err = run("adopt", *words)
    assert (got, out) == (code, "")
    assert said in err
    assert not (home / "ssh-was-started").exists()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Somebody at a terminal who types these words, and the questions they read."""

    def types(*words: str) -> list[str]:
        left: Iterator[str] = iter(words)
        questions: list[str] = []

        def prompt(question: str, **how: Any) -> str:
            questions.append(question + (" (hidden)" if how.get("hide_input") else ""))
            return next(left)

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(click, "prompt", prompt)
        return questions

    return types


STRANGERS = [Stranger("one", "10.9.9.1", PRINT), Stranger("two", "10.9.9.2", PRINT, twin="one")]


@pytest.mark.parametrize(("word", "trusts"), [("yes", True), (" Yes ", True), ("y", False)])
def test_fingerprints_are_compared_in_one_table(
    typed: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    word: str,
    trusts: bool,
) -> None:
    typed(word)
    assert _Person().trust(STRANGERS) is trusts
    err = capsys.readouterr().err
    assert err.splitlines()[1].split() == ["one", "10.9.9.1", PRINT]
    assert "a copy of one's card" in err.splitlines()[2]


def test_passwords_are_hidden_and_asked_once_for_an_account(
    typed: Callable[..., list[str]],
) -> None:
    questions = typed("word", "other")
    told = _Person().passwords({"one": "pi", "two": "ubuntu", "three": "pi"})
    assert told == {"one": "word", "three": "word", "two": "other"}
    assert questions == [
        "Password of pi on one, three (hidden)",
        "Password of ubuntu on two (hidden)",
    ]


def test_a_new_password_is_typed_twice_and_a_good_one(
    typed: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    typed("raspberry", "longer than that", "mistyped", "longer than that", "longer than that")
    told = _Person().new_passwords({"one": ("pi", "root"), "two": ("pi",)})
    assert told == dict.fromkeys(("one", "two"), "longer than that")
    err = capsys.readouterr().err
    assert "one: pi and root: a new password is needed" in err
    assert "one that makers give" in err
    assert "the two are not the same" in err


def test_nobody_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    person = _Person()
    assert not person.trust(STRANGERS)
    assert PRINT in capsys.readouterr().err, "for whoever writes a file of answers"
    assert person.passwords({"one": "pi"}) == {}
    assert person.new_passwords({"one": ("pi",)}) == {}
