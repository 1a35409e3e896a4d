"""Cluster files that are refused: every problem at once, each at its place, each with a remedy.

``bad/`` holds the files and ``bad/expected.txt`` what is said of each, one problem a line. After
a change that is meant, run this with ``WULFLING_UPDATE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.errors import BadFile, WulflingError

BAD = Path(__file__).parent / "bad"
EXPECTED = BAD / "expected.txt"
FILES = sorted(BAD.glob("*.yaml"))


def problems(file: Path) -> Sequence[WulflingError]:
    with pytest.raises(BadFile) as caught:
        spec.load(file)
    return caught.value.problems


def place(problem: WulflingError) -> tuple[int, int]:
    line, column = problem.where.rsplit(":", 2)[1:]
    return int(line), int(column)


def told(file: Path) -> str:
    lines = [f"{line}:{column} {p.message}" for p in problems(file) for line, column in [place(p)]]
    return "\n".join([f"== {file.stem}", *lines])


def expected() -> Iterator[tuple[str, str]]:
    for part in re.split(r"\n+(?=== )", EXPECTED.read_text(encoding="utf-8").strip()):
        yield part.splitlines()[0].removeprefix("== "), part


@pytest.fixture(autouse=True)
def nobody_has_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def test_there_is_something_expected_of_every_file() -> None:
    if os.environ.get("WULFLING_UPDATE_GOLDEN"):
        EXPECTED.write_text("\n\n".join(map(told, FILES)) + "\n", encoding="utf-8")
    assert [name for name, _ in expected()] == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_is_said_at_once_and_in_its_place(file: Path) -> None:
    assert told(file) == dict(expected())[file.stem]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_in_the_order_of_the_file_and_with_a_remedy(file: Path) -> None:
    found = problems(file)
    assert [place(p) for p in found] == sorted(place(p) for p in found)
    lines = file.read_text(encoding="utf-8").split("\n")
    for problem in found:
        assert problem.where.startswith(f"{file}:")
        assert problem.hint, problem
        assert "\n" not in problem.message
        line, column = place(problem)
        assert line <= len(lines)
        assert column <= len(lines[line - 1]) + 1


def test_nothing_of_a_private_key_is_told() -> None:
    for problem in problems(BAD / "private-key-pasted.yaml"):
        assert "c2VjcmV0" not in problem.message + problem.hint + str(problem)


def test_a_flood_of_problems_ends(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    nodes = "".join(f"  n{n}: {{addres: 10.0.0.1}}\n" for n in range(300))
    file.write_text(f"wulfling: 1\ncluster: c\nnodes:\n{nodes}", encoding="utf-8")
    found = problems(file)
    assert len(found) == 101
    assert found[-1].message == "and 200 problems more"


def test_a_million_bytes_that_mean_nothing_are_refused_soon(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    for text in ("!" * 1_000_000, "a\n" * 500_000, "[" * 1_000_000, "{a: 1}\n" * 140_000):
        file.write_text(text, encoding="utf-8")
        assert problems(file)
