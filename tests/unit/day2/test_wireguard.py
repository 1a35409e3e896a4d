"""Keys by the book, a file that WireGuard reads, and what the head says of devices."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.day2 import wireguard
from wulfling.day2.wireguard import configuration, keep, new_key, private_in, public_of, sightings
from wulfling.errors import NodeFailed, WulflingError
from wulfling.model.cluster import Cluster, Device, Wireguard
from wulfling.spec import notation

if TYPE_CHECKING:
    from tests.unit.day2.conftest import Answering

# RFC 7748, section 6.1: Alice's and Bob's.
BOOK = {
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a": (
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    ),
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb": (
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    ),
}
ALICE, BOB = (base64.b64encode(bytes.fromhex(key)).decode() for key in BOOK.values())


@pytest.fixture
def away(cluster: Cluster) -> Cluster:
    """The cluster with a laptop and a phone."""
    devices = (
        Device("laptop", IPv4Address("10.88.0.2"), ALICE),
        Device("phone", IPv4Address("10.88.0.3"), BOB),
    )
    network = IPv4Network("10.88.0.0/24")
    return replace(cluster, wireguard=Wireguard("home.example.org", 51820, network, False, devices))


def test_keys_are_those_of_the_book() -> None:
    for private, public in BOOK.items():
        text = base64.b64encode(bytes.fromhex(private)).decode()
        assert base64.b64decode(public_of(text)).hex() == public


def test_new_keys_are_keys_and_are_new() -> None:
    keys = {new_key() for _ in range(8)}
    assert len({public_of(key) for key in keys}) == 8
    for key in keys:
        assert notation.wireguard_key(key) == key
        raw = base64.b64decode(key)
        assert (raw[0] & 7, raw[31] >> 6) == (0, 1), "as `wg genkey` makes them"


def test_a_device_sends_the_head_what_is_for_the_head(away: Cluster) -> None:
    assert away.wireguard is not None
    laptop = away.wireguard.devices[0]
    text = configuration(away, laptop, "PRIVATE", "HEAD")
    assert text.splitlines() == [
        "# laptop, at c (wulfling)",
        *("[Interface]", "PrivateKey = PRIVATE", "Address = 10.88.0.2/32", ""),
        *("[Peer]", "PublicKey = HEAD", "Endpoint = home.example.org:51820"),
        *("AllowedIPs = 10.88.0.1/32, 10.9.9.1/32", "PersistentKeepalive = 25"),
    ]
    way = replace(away.wireguard, endpoint="203.0.113.7:40000", to_boards=True)
    text = configuration(replace(away, wireguard=way), laptop, "PRIVATE", "HEAD")
    assert "Endpoint = 203.0.113.7:40000\nAllowedIPs = 10.88.0.1/32, 10.9.9.0/24\n" in text


def test_a_file_is_for_its_owner_and_is_known_again(away: Cluster, tmp_path: Path) -> None:
    assert away.wireguard is not None
    place, key = tmp_path / "laptop.conf", new_key()
    assert private_in(place, "laptop") == ""
    keep(place, configuration(away, away.wireguard.devices[0], key, ALICE))
    assert place.stat().st_mode & 0o777 == 0o600
    assert private_in(place, "laptop") == key
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    "text", ["[Interface]\nPrivateKey = x\n", "", "# phone, at c (wulfling)\n"]
)
def test_nothing_else_is_overwritten(tmp_path: Path, text: str) -> None:
    place = tmp_path / "wg0.conf"
    place.write_text(text)
    with pytest.raises(WulflingError, match="is not the file of laptop"):
        private_in(place, "laptop")


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WulflingError, match=r"none/laptop\.conf cannot be written: No such file"):
        keep(tmp_path / "none" / "laptop.conf", "x")


async def test_the_head_knows_who_was_there(away: Cluster, answering: Answering) -> None:
    said = (
        f"there\nlatest-handshakes\t{ALICE}\t1790000000\nendpoints\t{ALICE}\t203.0.113.9:4242\n"
        f"transfer\t{ALICE}\t5000\t700\n"
    )
    ask, dial = answering({("one", "wg show"): said})
    laptop, phone = await sightings(away, ask)
    assert laptop.last_seen == datetime.fromtimestamp(1790000000, timezone.utc)
    assert (laptop.came_from, laptop.received, laptop.sent) == ("203.0.113.9:4242", 5000, 700)
    assert phone.cells()[2:] == ("not admitted", "-")
    assert laptop.as_json()["last_seen"] == "2026-09-21T14:13:20+00:00"
    assert not [script for script in dial.said if "dump" in str(script)], "that shows private keys"


async def test_who_was_never_there(away: Cluster, answering: Answering) -> None:
    lines = (
        f"latest-handshakes\t{key}\t0\nendpoints\t{key}\t(none)\ntransfer\t{key}\t0\t0\n"
        for key in (ALICE, BOB)
    )
    ask, _ = answering({("one", "wg show"): "there\n" + "".join(lines)})
    laptop, _ = await sightings(away, ask)
    assert laptop.admitted
    assert laptop.cells() == ("laptop", "10.88.0.2", "never", "-")


async def test_a_head_without_its_end_says_so(away: Cluster, answering: Answering) -> None:
    ask, _ = answering({("one", "wg show"): ""})
    with pytest.raises(NodeFailed, match="its end of the tunnel is not there"):
        await sightings(away, ask)


async def test_the_heads_key_comes_without_its_private_half(
    away: Cluster, answering: Answering
) -> None:
    ask, _ = answering({("one", "wg pubkey"): f"{ALICE}\n"})
    assert await wireguard.head_key(away, ask) == ALICE
