"""Where every node is, while an apply goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from wulfling.cli.progress import Progress
from wulfling.converge.events import Begin, Connected, Done, Event, Hello, Lost, StepDone, Waiting
from wulfling.errors import Unreachable
from wulfling.model.cluster import Hardware
from wulfling.model.plan import Status, Step


def shown(board: Hardware, *events: Event) -> list[str]:
    """The line of each node after these events."""
    with Progress(["one", "two"], shown=False) as progress:
        for event in events:
            progress.take(event)
    text = io.StringIO()
    Console(file=text, width=120, color_system=None).print(progress._table())
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def test_every_event_moves_its_node_and_no_other(board: Hardware) -> None:
    step = Step("one", "file:/x", Status.CHANGED)
    story: list[tuple[Event, str]] = [
        (Connected("one"), "0 changed asking what is there"),
        (Hello("one", board, ()), "0 changed comparing"),
        (Waiting("one", "two/service:x"), "0 changed waits for two/service:x"),
        (Begin("one", "file:/x"), "0 changed file:/x"),
        (StepDone(step), "1 changed comparing"),
        (Done("one"), "1 changed done"),
    ]
    assert shown(board) == ["one 0 s 0 changed connecting", "two 0 s 0 changed connecting"]
    for number, (_, words) in enumerate(story, 1):
        one, two = shown(board, *(event for event, _ in story[:number]))
        assert one == f"one 0 s {words}"
        assert two == "two 0 s 0 changed connecting"


def test_a_lost_node_says_why_on_one_line(board: Hardware) -> None:
    one, _ = shown(board, Lost("one", Unreachable("No route to host\nat all")))
    assert one == "one 0 s 0 changed lost: No route to host"


def test_brackets_of_a_message_are_no_markup(board: Hardware) -> None:
    one, _ = shown(board, Lost("one", Unreachable("said [/bold] and [red]")))
    assert one.endswith("lost: said [/bold] and [red]")


def test_in_a_pipe_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(["one"], shown=True) as progress:
        progress.take(Connected("one"))
    assert capfd.readouterr() == ("", "")
