"""``wulfling lab``: the refusals, which need no board."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from wulfling.lab import record
from wulfling.lab.places import lab_files, private_folder
from wulfling.lab.record import BoardSpec, LabSpec

Run = Callable[..., tuple[int, str, str]]
VIRTUAL = "wulfling: 1\ncluster: c\nboards: virtual\nnodes: {one: {address: 10.0.0.1}}\n"
VERBS = [["up"], ["up", "one"], ["down"], ["cut", "one"], ["console", "one"], ["destroy"]]


@pytest.fixture
def lab(home: Path) -> None:
    """A lab that was asked for and never switched on."""
    Path("cluster.yaml").write_text(VIRTUAL)
    boards = (BoardSpec("one", IPv4Address("10.0.0.1"), 256),)
    files = lab_files("c")
    private_folder(files.folder)
    record.keep(files, LabSpec("c", IPv4Network("10.0.0.0/24"), boards, "wulfling", ()), ())


@pytest.mark.parametrize("words", VERBS)
def test_real_boards_are_no_lab(run: Run, file: Path, words: list[str]) -> None:
    code, out, err = run("lab", *words)
    assert (code, out) == (1, "")
    assert "c has real boards, and a lab has virtual ones" in err
    assert "boards: virtual" in err


@pytest.mark.parametrize("words", [["down"], ["cut", "one"], ["console", "one"], ["up", "one"]])
def test_a_lab_that_is_not_there(run: Run, words: list[str]) -> None:
    Path("cluster.yaml").write_text(VIRTUAL)
    code, out, err = run("lab", *words)
    assert (code, out) == (1, "")
    assert "there is no lab c" in err


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("words", [["cut", "nobody"], ["console", "nobody"], ["up", "nobody"]])
def test_a_board_that_is_not_there(run: Run, words: list[str]) -> None:
    code, out, err = run("lab", *words)
    assert (code, out) == (1, "")
    assert "nobody" in err


@pytest.mark.usefixtures("lab")
def test_the_console_of_a_board_that_was_never_on(run: Run) -> None:
    code, out, err = run("lab", "console", "one")
    assert (code, out) == (1, "")
    assert "one has not been switched on" in err
    assert "wulfling -f cluster.yaml lab up" in err


@pytest.mark.usefixtures("lab")
def test_a_list_of_labs(run: Run) -> None:
    code, out, _ = run("lab", "list", "-o", "json")
    assert code == 0
    assert [(row["lab"], row["board"], row["state"]) for row in json.loads(out)] == [
        ("c", "one", "off")
    ]
    assert run("lab", "list")[1].splitlines()[1].split() == [
        "c",
        "one",
        "10.0.0.1",
        "off",
        "256",
        "0",
    ]


def test_no_lab_at_all(run: Run) -> None:
    assert run("lab", "list") == (0, "LAB  BOARD  ADDRESS  STATE  MEMORY  DISK\n", "")
    assert run("lab", "list", "-o", "json") == (0, "[]\n", "")
