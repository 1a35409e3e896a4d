"""Devices come into the file, and out of it, as a person with an editor would do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling import spec
from wulfling.errors import BadFile, WulflingError
from wulfling.spec import document
from wulfling.spec.devices import admitted, opened, revoked
from wulfling.spec.document import Document
from wulfling.spec.problem import Refused

ALICE = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
BOB = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
TOP = "wulfling: 1\ncluster: c\nnodes:\n  n1: {address: 10.0.0.1}  # mine\n"


def read(text: str) -> Document:
    return document.parse(text.encode(), Path("cluster.yaml"))


def test_the_first_device_of_a_file() -> None:
    found = admitted(opened(read(TOP), "home.example.org:40000"), "phone", ALICE)
    assert found.text == (
        TOP + '\nremote:\n  wireguard: {endpoint: "home.example.org:40000"}\n'
        f'\ndevices:\n  phone: {{address: 10.88.0.2, key: "{ALICE}"}}\n'
    )
    way = spec.resolve(spec.check(found)[0], {}, None, ()).wireguard
    assert way is not None
    assert (way.endpoint, way.port, str(way.head)) == ("home.example.org:40000", 51820, "10.88.0.1")


def test_the_first_free_address() -> None:
    found = admitted(admitted(opened(read(TOP), "h"), "phone", ALICE), "laptop", BOB)
    assert "laptop: {address: 10.88.0.3" in found.text
    found = revoked(found, "phone")
    assert "phone" not in found.text
    assert "tablet: {address: 10.88.0.2" in admitted(found, "tablet", ALICE).text
    assert revoked(found, "laptop").text == opened(read(TOP), "h").text + "\ndevices:\n"


def test_no_address_is_left() -> None:
    text = f"{TOP}remote: {{wireguard: {{endpoint: h, network: 10.99.0.0/30}}}}\n"
    found = admitted(read(text), "phone", ALICE)
    with pytest.raises(WulflingError, match="every address of the tunnel has a device"):
        admitted(found, "laptop", BOB)


def test_devices_on_one_line_take_no_line() -> None:
    text = opened(read(TOP), "h").text
    with pytest.raises(WulflingError) as caught:
        admitted(read(f"{text}devices: {{a: {{address: 10.88.0.2, key: {BOB}}}}}\n"), "b", ALICE)
    assert f'  b: {{address: 10.88.0.3, key: "{ALICE}"}}' in caught.value.hint


def test_the_same_key_twice_is_refused() -> None:
    found = admitted(opened(read(TOP), "h"), "phone", ALICE)
    with pytest.raises(BadFile, match="laptop and phone have the same key"):
        admitted(found, "laptop", ALICE)


def test_nobody_of_that_name() -> None:
    found = admitted(opened(read(TOP), "h"), "phone", ALICE)
    with pytest.raises(WulflingError) as caught:
        revoked(found, "fone")
    assert "phone" in caught.value.hint


@pytest.mark.parametrize("key", [ALICE[:-2] + "p=", ALICE[:-1], "x" * 44, ALICE + "=", ""])
def test_what_is_no_key(key: str) -> None:
    """The last letter before = carries two bits that 32 bytes do not have."""
    with pytest.raises(Refused) as caught:
        spec.notation.wireguard_key(key)
    assert not key or key not in caught.value.message, "it could be a private one"


@pytest.mark.parametrize(
    "text", ["home.example.org", "203.0.113.7", "h:1", "My-Home.example:65535"]
)
def test_endpoints(text: str) -> None:
    assert spec.notation.endpoint(text) == text


@pytest.mark.parametrize(
    "text", ["", "a b", "h:", "h:0", "h:x", "1.2.3", "-x.org", "h]:1", "fe80::1"]
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(Refused):
        spec.notation.endpoint(text)
