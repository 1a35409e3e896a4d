"""The wire to the controller, and what its death looks like."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from wulfling.node.controller import Controller, ControllerGone

Pipe = tuple[IO[bytes], IO[bytes]]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Both ends of a pipe: what is written to the second is read from the first."""
    reading, writing = os.pipe()
    ends = os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0)
    yield ends
    for end in ends:
        end.close()


def test_both_directions() -> None:
    out = io.BytesIO()
    controller = Controller(io.BytesIO(b'{"do": "plan"}\n{"n": 2}\n'), out)
    assert controller.hear() == {"do": "plan"}
    controller.tell(event="step", **{"for": "\udce9"})
    assert controller.hear() == {"n": 2}
    assert out.getvalue() == b'{"event": "step", "for": "\\udce9"}\n'


@pytest.mark.parametrize(
    "said", [b"", b'{"resources": [', b"nonsense\n", b'["a", "list"]\n', b"\xff\xfe\n"]
)
def test_what_is_cut_off_or_not_ours_is_the_end(said: bytes) -> None:
    controller = Controller(io.BytesIO(said), io.BytesIO())
    for _ in range(2):
        with pytest.raises(ControllerGone):
            controller.hear()


def test_nobody_listens(pipe: Pipe) -> None:
    reading, writing = pipe
    controller = Controller(io.BytesIO(), writing)
    reading.close()
    with pytest.raises(ControllerGone):
        controller.tell(event="hello")


def test_listening_all_the_time(pipe: Pipe) -> None:
    reading, writing = pipe
    gone = threading.Event()
    controller = Controller(reading, io.BytesIO())
    writing.write(b'{"n": 1}\n')
    assert controller.hear() == {"n": 1}
    controller.call_when_gone(gone.set)
    writing.write(b'{"n": 2}\n')
    assert controller.hear() == {"n": 2}
    assert not gone.is_set()
    writing.close()
    assert gone.wait(5)
    for _ in range(2):
        with pytest.raises(ControllerGone):
            controller.hear()
    with pytest.raises(ControllerGone):
        controller.tell(event="step")


def test_one_that_is_dead_already(pipe: Pipe) -> None:
    reading, writing = pipe
    gone = threading.Event()
    controller = Controller(reading, io.BytesIO())
    writing.close()
    controller.call_when_gone(gone.set)
    assert gone.wait(5)
