"""Multicast DNS: packets as avahi sends them, and packets that nobody should send."""

from __future__ import annotations

import struct

import pytest

from wulfling.bringup.mdns import SERVICES, Announcement, announcements, query

ME = "192.168.1.101"
HERE = Announcement(ME, "rpnode01", "dc:a6:32:01:02:03")


def name(*labels: str, pointer: int = 0) -> bytes:
    parts = b"".join(bytes([len(label.encode())]) + label.encode() for label in labels)
    return parts + (struct.pack("!H", 0xC000 | pointer) if pointer else b"\0")


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 0x8001, 10, len(data)) + data


def packet(*records: bytes, flags: int = 0x8400, questions: bytes = b"") -> bytes:
    counts = (1 if questions else 0, len(records), 0, 0)
    return struct.pack("!6H", 0, flags, *counts) + questions + b"".join(records)


WORKSTATION = name("_workstation", "_tcp", "local")
INSTANCE = name("rpnode01 [dc:a6:32:01:02:03]", pointer=12)


def test_the_question_is_one_small_packet() -> None:
    asked = query()
    assert len(asked) < 120
    assert asked[4:6] == struct.pack("!H", len(SERVICES))
    assert name("_workstation", "_tcp", "local") in asked
    assert announcements(ME, asked) == ()


def test_a_workstation_tells_its_name_and_its_card() -> None:
    assert announcements(ME, packet(record(WORKSTATION, 12, INSTANCE))) == (HERE,)


def test_the_card_is_kept_where_another_service_does_not_tell_it() -> None:
    ssh = record(name("_ssh", "_tcp", "local"), 12, name("rpnode01", "_ssh", "_tcp", "local"))
    both = packet(record(WORKSTATION, 12, INSTANCE), ssh)
    assert announcements(ME, both) == (HERE,)
    assert announcements(ME, packet(ssh)) == (Announcement(ME, "rpnode01"),)


def test_who_speaks_for_another_tells_its_address() -> None:
    a = record(name("rpnode01", "local"), 1, bytes((192, 168, 1, 55)))
    found = announcements(ME, packet(record(WORKSTATION, 12, INSTANCE), a))
    assert [one.address for one in found] == ["192.168.1.55"]


def test_other_services_are_not_ours() -> None:
    printer = record(name("_ipp", "_tcp", "local"), 12, name("laser", "_ipp", "_tcp", "local"))
    assert announcements(ME, packet(printer)) == ()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * 11,
        packet(record(WORKSTATION, 12, INSTANCE))[:-20],
        packet(record(b"\xc0\x0c", 12, INSTANCE)),  # points to itself
        packet(record(WORKSTATION, 12, b"\xc0\xff")),
        packet(record(b"\x80abc", 12, INSTANCE)),
        packet(record(b"\x3f" * 400, 12, INSTANCE)),
        struct.pack("!6H", 0, 0x8400, 65535, 65535, 65535, 65535) + b"\0" * 50,
        packet(record(WORKSTATION, 12, INSTANCE), flags=0),
    ],
)
def test_what_is_no_answer_says_nothing(broken: bytes) -> None:
    assert announcements(ME, broken) == ()
