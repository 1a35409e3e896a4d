"""The key that a vendor signs packages with, taken only if it is the one that was pinned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import write_atomically

LARGEST = 1 << 20  # bytes
PATIENCE = 60  # seconds
_PUBLIC_KEY = 6  # RFC 9580, section 5


@dataclass(frozen=True, kw_only=True)
class Keyring(Resource):
    """A file at ``path`` with the one OpenPGP key that has ``fingerprint``, in capital letters.

    The board fetches it from ``url``. Who answers there is no matter: only this key is taken.
    """

    kind: ClassVar[str] = "keyring"

    path: str
    fingerprint: str
    url: str = field(compare=False)

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Keyring | None:
        """The key that is there; its fingerprint is "" when the file is no key, or several."""
        place = board.path(self.path)
        if not place.is_file():
            return None
        return Keyring(path=self.path, fingerprint=fingerprint(place.read_bytes()), url=self.url)

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Fetch it. Raises ``WulflingError`` when it does not come, or another one does."""
        data = _fetched(self.url)
        found = fingerprint(data)
        if found != self.fingerprint:
            raise WulflingError(
                f"the key of {self.url} is {found or 'none'}, and not {self.fingerprint}",
                hint="nothing was installed from there; ask the vendor whether its key is new",
            )
        uid, gid = board.uid("root"), board.gid("root")
        write_atomically(board.path(self.path), os.fsdecode(data), mode=0o644, uid=uid, gid=gid)

    def commands(self) -> tuple[str, ...]:
        return (
            f"sudo curl -fsSLo {self.path} {self.url}",
            f"gpg --show-keys {self.path}   # has to say {self.fingerprint}",
        )

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rm {self.path}",)


def fingerprint(data: bytes) -> str:
    """That of the one public key in ``data``; "" when there is none, or there are several.

    What hangs on it (names, subkeys) counts for apt only if this key has signed it.
    """
    import hashlib  # loads OpenSSL, and on a board most runs need none of it

    try:
        keys = [body for tag, body in _packets(data) if tag == _PUBLIC_KEY]
    except (IndexError, ValueError):
        return ""
    if len(keys) != 1 or keys[0][:1] != b"\x04":
        return ""
    length = len(keys[0]).to_bytes(2, "big")
    return hashlib.sha1(b"\x99" + length + keys[0]).hexdigest().upper()  # RFC 9580, 5.5.4.2


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The packets of an OpenPGP file, tag and body (RFC 9580, section 4.2). Raises ``ValueError``
    or ``IndexError`` when it is none."""
    at = 0
    while at < len(data):
        head, at = data[at], at + 1
        if not head & 0x80:
            raise ValueError("no packet begins like that")
        if head & 0x40:
            tag, first, at = head & 0x3F, data[at], at + 1
            if first < 192:
                length = first
            elif first < 224:
                length, at = ((first - 192) << 8) + data[at] + 192, at + 1
            elif first == 255:
                length, at = int.from_bytes(data[at : at + 4], "big"), at + 4
            else:
                raise ValueError("keys come whole")
        else:
            tag, size = head >> 2 & 0xF, (1, 2, 4, 0)[head & 3]
            if not size:
                raise ValueError("keys have a length")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("the end is missing")
        yield tag, data[at : at + length]
        at += length


def _fetched(url: str) -> bytes:
    from urllib.request import urlopen  # slow to load on a small board

    try:
        with urlopen(url, timeout=PATIENCE) as answer:
            data: bytes = answer.read(LARGEST)
    except OSError as error:
        raise WulflingError(
            f"{url} does not come: {error}",
            hint="the board needs the internet for that; for https also `ca-certificates`",
        ) from None
    return data
