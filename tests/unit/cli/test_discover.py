"""``wulfling discover`` at the edge: what is told and asked, what is written, and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import MappingProxyType

import click
import pytest
from tests.unit.measured import PI

from wulfling.bringup import discover as bringup
from wulfling.bringup import measure
from wulfling.bringup.discover import Machine, Own
from wulfling.bringup.roles import Measured
from wulfling.errors import Unreachable, WulflingError
from wulfling.model.devices import Devices
from wulfling.transport.link import Address, Dial

Run = Callable[..., tuple[int, str, str]]
DEBIAN = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"
HERE = [
    Machine(IPv4Address("10.9.9.1"), "open", DEBIAN, "dc:a6:32:00:00:01"),
    Machine(IPv4Address("10.9.9.7"), "open", DEBIAN, "dc:a6:32:00:00:07"),
    Machine(IPv4Address("10.9.9.8"), "shut", "", "dc:a6:32:00:00:08"),
]


class Network:
    """Who is on it, who lets us in, and which addresses were looked at."""

    def __init__(self) -> None:
        self.machines: list[Machine] = HERE
        self.opened: Sequence[str] = ()
        self.broken: Mapping[str, WulflingError] = MappingProxyType({})
        self.looked_at: Sequence[IPv4Address] = ()
        self.tried: dict[str, Address] = {}


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    net = Network()

    def look(addresses: Sequence[IPv4Address], own: object, door: object) -> tuple[Machine, ...]:
        net.looked_at = addresses
        return tuple(m for m in net.machines if m.address in addresses)

    async def measured(
        addresses: Sequence[Address], dial: Dial
    ) -> tuple[Mapping[str, Measured], Mapping[str, WulflingError]]:
        net.tried = {to.node: to for to in addresses}
        boards = {node: Measured(node, PI, Devices((), ())) for node in net.opened}
        return boards, net.broken

    own = (Own("eth0", IPv4Interface("10.9.9.200/24"), "00:11:22:33:44:55"),)
    monkeypatch.setattr(bringup, "own_addresses", lambda door: own)
    monkeypatch.setattr(bringup, "attached", lambda own, door: IPv4Network("10.9.9.0/24"))
    monkeypatch.setattr(bringup, "look", look)
    monkeypatch.setattr(measure, "measure", measured)
    return net


def test_a_new_file(run: Run, home: Path, network: Network) -> None:
    code, out, err = run("discover", "--yes", "--name", "hpc", "--user", "kim")
    assert code == 0
    assert out.splitlines() == [
        "ADDRESS   MAC                NODE      SEEMS TO BE",
        "10.9.9.1  dc:a6:32:00:00:01  + node01  Raspberry Pi, Debian 12",
        "10.9.9.7  dc:a6:32:00:00:07  + node02  Raspberry Pi, Debian 12",
        "10.9.9.8  dc:a6:32:00:00:08  -         Raspberry Pi, no SSH",
    ]
    assert "next: wulfling -f cluster.yaml adopt\n" in err
    assert (home / "cluster.yaml").read_text().splitlines()[1:] == [
        "wulfling: 1",
        "cluster: hpc",
        "login: kim  # the account that answers on a new board",
        "nodes:",
        "  node01: {address: 10.9.9.1, mac: dc:a6:32:00:00:01}  # Raspberry Pi, Debian 12",
        "  node02: {address: 10.9.9.7, mac: dc:a6:32:00:00:07}  # Raspberry Pi, Debian 12",
    ]
    assert len(network.looked_at) == 253
    assert network.tried["node01"].users == ("wulfling", "kim")


def test_roles_are_written_where_all_were_measured(run: Run, home: Path, network: Network) -> None:
    network.opened = ("node01", "node02")
    code, out, err = run("discover", "-y")
    assert code == 0
    assert "node01: head, compute: 4 cores, 3792 MiB" in out
    assert "roles: [head, compute]}" in (home / "cluster.yaml").read_text()
    assert "next: wulfling -f cluster.yaml plan\n" in err


def test_half_a_suggestion_is_told_and_not_written(run: Run, home: Path, network: Network) -> None:
    network.opened = ("node02",)
    network.broken = {"node01": Unreachable("no route\nat all")}
    code, out, err = run("discover", "-y")
    assert code == 0
    assert "node02: head, compute:" in out
    assert "node01: not measured: no route\n" in err
    assert "roles" not in (home / "cluster.yaml").read_text()


def test_a_file_that_is_there_gets_what_is_new(run: Run, file: Path, network: Network) -> None:
    text = file.read_text()
    file.chmod(0o640)
    code, out, _ = run("discover", "--yes")
    assert code == 0
    assert "10.9.9.1  dc:a6:32:00:00:01  one " in out
    new = "  node01: {address: 10.9.9.7, mac: dc:a6:32:00:00:07}  # Raspberry Pi, Debian 12\n"
    two = "  two: {address: 10.9.9.2, roles: [compute]}\n"
    expected = text.replace("10.9.9.1,", "10.9.9.1, mac: dc:a6:32:00:00:01,")
    assert file.read_text() == expected.replace(two, two + new)
    assert file.stat().st_mode & 0o777 == 0o640
    assert not list(file.parent.glob(".*.new"))
    code, _, err = run("discover", "--yes")
    assert code == 0
    assert err == f"looking at 253 addresses\nnext: wulfling -f {file.name} plan\n"


def test_nothing_is_written_when_nobody_can_be_asked(run: Run, home: Path) -> None:
    code, _, err = run("discover")
    assert code == 2
    assert "nothing was written; next: wulfling -f cluster.yaml discover --yes" in err
    assert not (home / "cluster.yaml").exists()


@pytest.mark.parametrize(("said", "code"), [(True, 0), (False, 2)])
def test_a_person_is_asked_once(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, said: bool, code: int
) -> None:
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return said

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    assert run("discover")[0] == code
    assert asked == ["Write 2 new boards into cluster.yaml?"]
    assert (home / "cluster.yaml").exists() is said


def test_who_edits_meanwhile_keeps_the_edit(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm(question: str, **_: object) -> bool:
        file.write_text(file.read_text() + "# mine\n")
        return True

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    code, _, err = run("discover")
    assert code == 1
    assert "was changed by somebody else meanwhile" in err
    assert "10.9.9.7" not in file.read_text()


def test_json_is_all_of_stdout_and_asks_nobody(
    run: Run, home: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    network.opened = ("node02",)
    code, out, _ = run("discover", "-o", "json")
    rows = json.loads(out)
    assert code == 2
    assert [(row["name"], row["new"], row["ssh"]) for row in rows] == [
        ("node01", True, "open"),
        ("node02", True, "open"),
        ("", False, "shut"),
    ]
    assert rows[1]["measured"]["memory_mb"] == 3792
    assert rows[1]["suggested"]["roles"] == ["head", "compute"]
    assert rows[0]["measured"] is None and rows[0]["suggested"] is None
    assert not (home / "cluster.yaml").exists()


def test_some_addresses_alone(run: Run, network: Network) -> None:
    assert run("discover", "10.9.9.7", "-y", "--names", "pi[1-3]")[0] == 0
    assert [str(address) for address in network.looked_at] == ["10.9.9.7"]


def test_nobody_is_there(run: Run, network: Network) -> None:
    network.machines = []
    code, _, err = run("discover", "-y")
    assert code == 0
    assert "nobody answered: are the boards on" in err
    network.machines = HERE[2:]
    assert "SSH has to be on" in run("discover", "-y")[2]


@pytest.mark.usefixtures("file")
def test_words_that_are_refused(run: Run) -> None:
    assert run("discover", "--lab", "x")[0] == 64
    assert run("discover", "--names", "a[")[0] == 64
    assert run("discover", "8.8.8.8")[0] == 1


def test_a_name_that_no_cluster_can_have(run: Run, home: Path) -> None:
    code, _, err = run("discover", "-y", "--name", "A B")
    assert code == 1
    assert "'A B'" in err
    assert not (home / "cluster.yaml").exists()
