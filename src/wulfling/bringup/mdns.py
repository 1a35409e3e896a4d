"""What machines say of themselves by multicast DNS: the question, and how answers are read.

RFC 6762 and 6763. Raspberry Pi OS announces ``_workstation._tcp`` under the name
``rpnode01 [dc:a6:32:01:02:03]``, which tells the name and the network card at once.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SERVICES = ("_workstation._tcp.local", "_ssh._tcp.local", "_sftp-ssh._tcp.local")

_A, _PTR = 1, 12
_IN = 1
_MOST_RECORDS = 200
_LONGEST_NAME = 255
_MAC = re.compile(r"^(?P<name>.*?) *\[(?P<mac>[0-9a-f]{2}(?::[0-9a-f]{2}){5})\]$", re.IGNORECASE)


@dataclass(frozen=True)
class Announcement:
    """A machine's own words: its address, its name, and its card where it told that ("" else)."""

    address: str
    name: str
    mac: str = ""


class _BrokenError(Exception):
    """A packet that is no answer."""


def query() -> bytes:
    """One packet that asks for every service of ``SERVICES``."""
    questions = b"".join(
        b"".join(bytes([len(label)]) + label.encode() for label in service.split("."))
        + b"\0"
        + struct.pack("!HH", _PTR, _IN)
        for service in SERVICES
    )
    return struct.pack("!6H", 0, 0, len(SERVICES), 0, 0, 0) + questions


def announcements(source: str, packet: bytes) -> tuple[Announcement, ...]:
    """The machines that a packet from ``source`` tells of; none if it is no answer.

    A machine that speaks for others (a reflector) tells their addresses; the others speak for
    themselves, and from their own address.
    """
    try:
        records = list(_records(packet))
    except (_BrokenError, IndexError, struct.error):
        return ()
    addresses = {
        owner[0].lower(): ".".join(map(str, data))
        for owner, kind, data in records
        if kind == _A and isinstance(data, bytes) and len(data) == 4
    }
    found: dict[str, Announcement] = {}
    for owner, kind, data in records:
        if kind != _PTR or isinstance(data, bytes) or ".".join(owner).lower() not in SERVICES:
            continue
        instance = data[0] if data else ""
        match = _MAC.match(instance)
        name, mac = (match["name"], match["mac"].lower()) if match else (instance, "")
        address = addresses.get(name.lower(), source)
        earlier = found.get(address)
        if earlier is None or (mac and not earlier.mac):
            found[address] = Announcement(address, name, mac)
    return tuple(found.values())


Record = tuple[Sequence[str], int, "bytes | Sequence[str]"]


def _records(packet: bytes) -> Iterator[Record]:
    """Owner, kind and data of each record; the data of a pointer is the name it points to."""
    flags, questions, *counts = struct.unpack_from("!5H", packet, 2)
    if not flags & 0x8000 or sum(counts) > _MOST_RECORDS or questions > _MOST_RECORDS:
        raise _BrokenError
    at = 12
    for _ in range(questions):
        at = _name(packet, at)[1] + 4
    for _ in range(sum(counts)):
        owner, at = _name(packet, at)
        kind, _, _, length = struct.unpack_from("!HHIH", packet, at)
        at += 10
        data = packet[at : at + length]
        if owner:
            yield owner, kind, _name(packet, at)[0] if kind == _PTR else data
        at += length


def _name(packet: bytes, at: int) -> tuple[Sequence[str], int]:
    """The labels of the name at ``at``, and where the next thing stands (RFC 1035, 4.1.4)."""
    labels: list[str] = []
    after, length = 0, 0
    while size := packet[at]:
        if size & 0xC0 == 0xC0:
            after = after or at + 2
            target = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            if target >= at:  # only backwards, or a packet could keep us for ever
                raise _BrokenError
            at = target
            continue
        length += size + 1
        if size & 0xC0 or length > _LONGEST_NAME:
            raise _BrokenError
        labels.append(packet[at + 1 : at + 1 + size].decode("utf-8", "replace"))
        at += size + 1
    return labels, after or at + 1
