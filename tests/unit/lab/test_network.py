"""Addresses, names and commands of a lab's network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from tests.unit.lab.test_record import lab_spec

from wulfling.lab import network

SPEC = lab_spec(("n1", "10.0.0.1"), ("n2", "10.0.0.2"))


def test_interface_names_fit_into_the_kernels_fifteen_letters() -> None:
    wide = IPv4Network("10.0.0.0/8")
    ends = network.cable(wide, IPv4Address("10.255.255.253"))
    assert max(len(name) for name in ends) <= 15
    assert network.cable(SPEC.network, IPv4Address("10.0.0.1")) == ("va1", "vb1")


def test_a_hardware_address_is_local_and_not_for_a_group() -> None:
    first = int(network.hardware_address(IPv4Address("10.0.0.1")).split(":")[0], 16)
    assert first & 0b11 == 0b10


def test_everything_is_wired_once() -> None:
    commands = network.wiring(SPEC, {"lo"})
    assert "address add 10.0.0.254/24 dev lab0" in commands
    assert "link add va1 type veth peer name vb1" in commands
    assert network.wiring(SPEC, {"lo", "lab0", "va1", "vb1", "va2", "vb2"}) == []


def test_a_new_board_is_wired_into_the_bridge_that_is_there() -> None:
    commands = network.wiring(SPEC, {"lo", "lab0", "va1", "vb1"})
    assert commands == [
        "link add va2 type veth peer name vb2",
        "link set va2 master lab0 up",
        "link set vb2 up",
    ]


def test_offloads_are_off_on_everything_new() -> None:
    script = network.settings(["lab0", "va1", "vb1"], True)
    for name in ("lab0", "va1", "vb1"):
        assert f"-K {name} tx off rx off sg off tso off gso off gro off" in script
    assert "ip_forward" not in network.settings(["va2", "vb2"], False)
