"""From what was heard to a table: who is there, who is in the file, who is new and how named."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from wulfling import proc
from wulfling.bringup import discover
from wulfling.bringup.discover import Found, Machine, Own, judged, machines, missing_macs, named
from wulfling.errors import WulflingError
from wulfling.model.cluster import Role
from wulfling.proc import Finished
from wulfling.spec.members import Member

DEBIAN = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"
OWN = (Own("eth0", IPv4Interface("192.168.1.9/24"), "00:11:22:33:44:55"),)


def machine(last: int, *, banner: str = DEBIAN, mac: str = "", name: str = "") -> Machine:
    door = "open" if banner else "shut"
    return Machine(IPv4Address(f"192.168.1.{last}"), door, banner, mac, name)


def member(name: str, last: int, mac: str | None = None, key: str = "") -> Member:
    address = IPv4Address(f"192.168.1.{last}")
    return Member(name, key or name, address, frozenset((Role.COMPUTE,)), None, None, mac=mac)


def test_machines_are_who_answered_in_any_way() -> None:
    answers = {
        "doors": {
            "192.168.1.20": ["open", DEBIAN],
            "192.168.1.3": ["shut", ""],
            "192.168.1.4": ["silent", ""],
            "192.168.1.5": ["silent", ""],
            "192.168.1.6": ["silent", ""],
        },
        "heard": [["192.168.1.99", "00"]],
    }
    neighbours = [
        {"dst": "192.168.1.20", "lladdr": "DC:A6:32:00:00:01", "state": ["REACHABLE"]},
        {"dst": "192.168.1.4", "lladdr": "dc:a6:32:00:00:02", "state": ["STALE"]},
        {"dst": "192.168.1.5", "state": ["FAILED"]},
        {"dst": "192.168.1.6", "lladdr": "dc:a6:32:00:00:03", "state": ["FAILED"]},
    ]
    found = machines(answers, neighbours)
    assert [(str(m.address), m.door, m.mac) for m in found] == [
        ("192.168.1.3", "shut", ""),
        ("192.168.1.4", "silent", "dc:a6:32:00:00:02"),
        ("192.168.1.20", "open", "dc:a6:32:00:00:01"),
    ]


def test_a_card_that_answers_for_several_is_nobodys() -> None:
    """Proxy ARP: a router hands out its own address for all behind it."""
    answers = {"doors": {f"192.168.1.{n}": ["open", DEBIAN] for n in (2, 3)}, "heard": []}
    rows = [{"dst": f"192.168.1.{n}", "lladdr": "dc:a6:32:00:00:01"} for n in (2, 3)]
    assert [m.mac for m in machines(answers, rows)] == ["", ""]


def test_new_is_what_the_file_has_not_and_what_could_be_a_node() -> None:
    nodes = (
        member("a", 2),
        member("b", 3, "dc:a6:32:00:00:03"),
        member("c", 4, "dc:a6:32:00:00:04"),
    )
    found = judged(
        [
            machine(2),
            machine(3, mac="dc:a6:32:00:00:99"),
            machine(5, mac="dc:a6:32:00:00:04"),
            machine(6),
            machine(7, banner="SSH-2.0-dropbear_2022.83"),
            machine(8, banner=""),
        ],
        nodes,
        IPv4Network("192.168.1.0/24"),
    )
    assert [(f.node, f.new, f.remark) for f in found] == [
        ("a", False, ""),
        ("b", False, "the file has mac dc:a6:32:00:00:03 for b"),
        ("c", False, "the card of c, which the file has at 192.168.1.4"),
        ("", True, ""),
        ("", False, ""),
        ("", False, ""),
    ]
    assert missing_macs([Found(machine(2, mac="dc:a6:32:00:00:02"), "a")], nodes) == {
        "a": "dc:a6:32:00:00:02"
    }
    folded = (member("n1", 2, key="n[1-3]"),)
    assert missing_macs([Found(machine(2, mac="dc:a6:32:00:00:02"), "n1")], folded) == {}


def test_what_is_not_in_the_files_network_is_not_new() -> None:
    found = judged([machine(6)], (), IPv4Network("10.0.0.0/24"))
    assert not found[0].new
    assert found[0].remark == "not in 10.0.0.0/24, the file's network"


def test_a_board_keeps_the_name_that_is_its_own() -> None:
    heard = ["rpnode07", "raspberrypi", "raspberrypi-2", "twin", "twin", "Node02", "a b", "taken"]
    found = [Found(machine(n + 1, name=name), new=True) for n, name in enumerate(heard)]
    pool = tuple(f"node0{n}" for n in range(1, 10))
    given = [f.name for f in named(found, pool, ["taken", "node04"])]
    assert given == [
        *("rpnode07", "node01", "node03", "node05", "node06", "node02", "node07", "node08"),
    ]
    with pytest.raises(WulflingError, match="more new boards than the 2 names"):
        named([Found(machine(n), new=True) for n in (1, 2, 3)], ("x", "y"))


def test_targets_are_near_few_and_not_ourselves() -> None:
    addresses = discover.targets(["192.168.1.0/28", "192.168.1.200"], OWN)
    assert [str(a).rpartition(".")[2] for a in addresses] == [
        str(n) for n in (*range(1, 9), *range(10, 15), 200)
    ]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("10.0.0.0/8", "more than 1024"),
        ("8.8.8.0/24", "no network of boards"),
        ("127.0.0.0/24", "no network of boards"),
        ("224.0.0.251", "no network of boards"),
        ("rpnode01", "neither an address nor a network"),
    ],
)
def test_targets_that_are_refused(where: str, told: str) -> None:
    with pytest.raises(WulflingError, match=told):
        discover.targets([where], OWN)


@pytest.mark.parametrize(
    ("route", "own", "network"),
    [
        ('[{"dev": "wlan0"}]', ["eth0:10.0.0.1/24", "wlan0:192.168.1.9/24"], "192.168.1.0/24"),
        ("[]", ["eth0:10.0.0.1/24"], "10.0.0.0/24"),
        ('[{"type": "unreachable"}]', ["eth0:10.0.0.1/24", "tun0:10.9.0.1/32"], "10.0.0.0/24"),
        ("", ["eth0:10.0.0.1/24", "eth1:10.0.1.1/24"], ""),
        ("[]", [], ""),
    ],
)
def test_the_network_that_this_machine_is_in(
    monkeypatch: pytest.MonkeyPatch, route: str, own: list[str], network: str
) -> None:
    monkeypatch.setattr(proc, "run", lambda argv, **_: Finished(tuple(argv), 0, route, ""))
    pairs = [word.split(":") for word in own]
    ours = [Own(name, IPv4Interface(address), "") for name, address in pairs]
    if network:
        assert str(discover.attached(ours)) == network
    else:
        with pytest.raises(WulflingError):
            discover.attached(ours)


def test_what_ip_shows_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, Any] = {
        "address": '[{"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8,'
        ' "scope": "host"}]}, {"ifname": "eth0", "addr_info": [{"local": "192.168.1.9",'
        ' "prefixlen": 24, "scope": "global"}]}]',
        "link": '[{"ifname": "eth0", "address": "00:11:22:33:44:55"}]',
    }
    ran: list[tuple[str, ...]] = []

    def run(argv: tuple[str, ...], **_: object) -> Finished:
        ran.append(argv)
        return Finished(argv, 0, said["link" if "link" in argv else "address"], "")

    monkeypatch.setattr(proc, "run", run)
    assert discover.own_addresses(("enter", "--lab")) == OWN
    assert all(argv[:2] == ("enter", "--lab") for argv in ran)
