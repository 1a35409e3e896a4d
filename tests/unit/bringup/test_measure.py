"""Who is measured: boards whose host key is pinned, and nobody else is even tried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.measured import PI

from wulfling import proc
from wulfling.bringup.measure import is_pinned, measure
from wulfling.errors import Unreachable
from wulfling.model.devices import Devices, Disk, Kind
from wulfling.node import devices, facts
from wulfling.transport.link import Address, Link
from wulfling.transport.ssh import Ssh

HAS = Devices((Disk("sda", Kind.SSD, 500),), ())
HELLO = {"event": "hello", "facts": facts.as_json(PI), "devices": devices.as_json(HAS)}


class Line:
    """A board that says one thing."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said, self.heard, self.closed = said, dict[str, Any](), False

    async def send(self, message: Mapping[str, Any]) -> None:
        self.heard = dict(message)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        yield {"event": "waiting", "for": "its clock"}
        yield dict(self.said)

    async def close(self) -> None:
        self.closed = True


class Lines(Ssh):
    """Boards by address; one that is not there is off."""

    def __init__(self, **lines: Line) -> None:
        super().__init__()
        self.lines, self.opened = lines, list[str]()

    async def open(self, to: Address) -> Link:
        self.opened.append(to.node)
        if to.node not in self.lines:
            raise Unreachable("off", where=to.node)
        return self.lines[to.node]


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """The address of a board whose key is pinned, as others have theirs hashed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    key = tmp_path / "key"
    proc.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    public = " ".join(Path(f"{key}.pub").read_text().split()[:2])
    pinned = tmp_path / "known_hosts"
    pinned.write_text(f"10.9.9.1 {public}\n10.9.9.2 {public}\n10.9.9.4 {public}\n")
    proc.run(["ssh-keygen", "-q", "-H", "-f", str(pinned)])
    return Address(node="a", host="10.9.9.1", users=("pi",), known_hosts=(pinned,))


def test_pinned_is_what_a_file_of_ours_says(known: Address, tmp_path: Path) -> None:
    assert is_pinned(known)
    assert not is_pinned(replace(known, host="10.9.9.3"))
    assert not is_pinned(replace(known, known_hosts=(tmp_path / "none",)))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "known_hosts").rename(tmp_path / ".ssh" / "known_hosts")
    assert is_pinned(known)
    assert not is_pinned(replace(known, virtual=True))


async def test_boards_that_we_know_are_asked(known: Address) -> None:
    line, odd = Line(HELLO), Line({"event": "hello", "facts": {"cores": 1}})
    dial = Lines(a=line, d=odd)
    others = [
        replace(known, node="b", host="10.9.9.2"),
        replace(known, node="c", host="10.9.9.3"),
        replace(known, node="d", host="10.9.9.4"),
    ]
    values, errors = await measure([known, *others], dial)
    assert list(values) == ["a"]
    assert (values["a"].hardware, values["a"].devices) == (PI, HAS)
    assert line.heard == {"do": "check", "operator": "", "devices": True}
    assert line.closed and odd.closed
    assert sorted(dial.opened) == ["a", "b", "d"]
    assert {node: error.message for node, error in errors.items()} == {
        "b": "off",
        "d": "what it said of its hardware was not understood",
    }
