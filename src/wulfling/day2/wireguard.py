"""Keys of devices, the file or QR code that a device reads, and what the head knows of them."""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wulfling.components.remote import KEY_FILE, UNIT, UNIT_FILE
from wulfling.day2.asking import Ask
from wulfling.errors import NodeFailed, WulflingError
from wulfling.model.cluster import TUNNEL, Cluster, Device, Wireguard

KEEPALIVE = 25  # seconds; home routers forget a UDP connection after 30 and more

# How a device's file begins, so that no other one is overwritten.
_OURS = r"# {}, at [a-z0-9-]+ \(wulfling\)\n\[Interface\]\nPrivateKey = ([A-Za-z0-9+/]{{43}}=)\n"


def new_key() -> str:
    """A private key, as `wg genkey` makes one."""
    raw = bytearray(secrets.token_bytes(32))
    raw[0] &= 248
    raw[31] = raw[31] & 127 | 64
    return base64.b64encode(raw).decode()


def public_of(private: str) -> str:
    """The public half of a private key (RFC 7748, section 5)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # slow to load

    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def configuration(cluster: Cluster, device: Device, private: str, head_key: str) -> str:
    """What the device's WireGuard reads (wg-quick(8)). It holds the private key."""
    way = cluster.wireguard
    assert way is not None
    # The address at home, too: the same cluster file and ssh names serve at home and away.
    reach = cluster.network if way.to_boards else f"{cluster.address(cluster.head)}/32"
    return (
        f"# {device.name}, at {cluster.name} (wulfling)\n"
        f"[Interface]\nPrivateKey = {private}\nAddress = {device.address}/32\n\n"
        f"[Peer]\nPublicKey = {head_key}\nEndpoint = {_with_port(way)}\n"
        f"AllowedIPs = {way.head}/32, {reach}\nPersistentKeepalive = {KEEPALIVE}\n"
    )


def _with_port(way: Wireguard) -> str:
    return way.endpoint if ":" in way.endpoint else f"{way.endpoint}:{way.port}"


def private_in(place: Path, name: str) -> str:
    """The private key of the file of the device ``name`` at ``place``; "" when there is none.
    Raises ``WulflingError`` when something else is there."""
    try:
        found = re.match(_OURS.format(re.escape(name)), place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise WulflingError(f"{place} cannot be read: {error}") from None
    if found is None:
        raise WulflingError(
            f"{place} is there already, and is not the file of {name}",
            hint="choose another place with --out",
        )
    return found[1]


def keep(place: Path, text: str) -> None:
    """Write a device's file so that nobody else ever reads it, whole or not at all. Raises
    ``WulflingError``."""
    fresh = place.with_name(f".{place.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(place)
    except OSError as error:
        raise WulflingError(f"{place} cannot be written: {error.strerror}") from None


async def head_key(cluster: Cluster, ask: Ask) -> str:
    """The head's public key; "" while it has no end of a tunnel; a key may be left of one."""
    text = f"[ ! -e {UNIT_FILE} ] || [ ! -s {KEY_FILE} ] || wg pubkey <{KEY_FILE}\n"
    return (await ask.script(cluster.head, text, about="wg pubkey")).strip()


@dataclass(frozen=True)
class Sighting:
    """A device, and when and whence it was last at the head."""

    device: Device
    admitted: bool  # whether the head lets it in now
    last_seen: datetime | None = None
    came_from: str = ""  # address and port
    received: int = 0  # bytes, since the head's tunnel was started
    sent: int = 0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.device.name,
            "address": str(self.device.address),
            "key": self.device.key,
            "admitted": self.admitted,
            "last_seen": self.last_seen.isoformat() if self.last_seen else None,
            "from": self.came_from or None,
            "received_bytes": self.received,
            "sent_bytes": self.sent,
        }

    def cells(self) -> tuple[str, ...]:
        """For people."""
        seen = f"{self.last_seen.astimezone():%Y-%m-%d %H:%M:%S}" if self.last_seen else "never"
        if not self.admitted:
            seen = "not admitted"
        return (self.device.name, str(self.device.address), seen, self.came_from or "-")


async def sightings(cluster: Cluster, ask: Ask) -> tuple[Sighting, ...]:
    """Every device of the file, as the head knows it. Raises ``NodeFailed`` when the head's end
    of the tunnel is not there."""
    assert cluster.wireguard is not None
    # Not `wg show dump`: that has the head's private key in it.
    text = (
        f"wg show {TUNNEL} public-key >/dev/null 2>&1 || exit 0\necho there\n"
        "for what in latest-handshakes endpoints transfer; do\n"
        f'    wg show {TUNNEL} $what | sed "s/^/$what\\t/"\ndone\n'
    )
    said = (await ask.script(cluster.head, text, about="wg show")).splitlines()
    if said[:1] != ["there"]:
        raise NodeFailed(
            "its end of the tunnel is not there",
            hint=f"wulfling apply; if that does not help: journalctl -u {UNIT}",
            where=cluster.head,
        )
    told: dict[str, dict[str, list[str]]] = {}
    for line in said[1:]:
        what, key, *values = line.split("\t")
        told.setdefault(key, {})[what] = values
    return tuple(_sighting(device, told.get(device.key)) for device in cluster.wireguard.devices)


def _sighting(device: Device, told: Mapping[str, list[str]] | None) -> Sighting:
    if told is None:
        return Sighting(device, admitted=False)
    (seconds,) = told["latest-handshakes"]
    (whence,) = told["endpoints"]
    received, sent = map(int, told["transfer"])
    seen = datetime.fromtimestamp(int(seconds), timezone.utc) if int(seconds) else None
    return Sighting(device, True, seen, whence if whence != "(none)" else "", received, sent)
