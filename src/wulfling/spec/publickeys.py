"""Public keys of people: lines of the file itself, or the .pub files that it names."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from wulfling.spec.document import reason, regular_file
from wulfling.spec.problem import Refused, show

_LARGEST = 64 << 10  # bytes of a key file

KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_LINE = re.compile(r"(?P<kind>[a-z0-9@.-]+)[ \t]+(?P<blob>[A-Za-z0-9+/]+={0,2})([ \t]+[^\n]*)?")
_WHOLE_LINE = "copy the whole line of the .pub file"
_MAKE = "`ssh-keygen -t ed25519` makes one"


def public_keys(entry: str, folder: Path) -> tuple[str, ...]:
    """The keys that one entry of ``keys:`` stands for, as whole lines.

    An entry is a key itself or the path of a file with keys, from ``folder`` or with ``~``.
    Raises ``Refused``, which never quotes what could be a part of a private key.
    """
    text = entry.strip()
    if _is_line(text):
        return (checked(text),)
    path = _path(text, folder)
    try:
        content = regular_file(path, _LARGEST)
    except FileNotFoundError:
        raise Refused(f"there is no key file {show(text)}", _MAKE) from None
    except OSError as error:
        message = f"the key file {show(text)} cannot be read: {reason(error)}"
        raise Refused(message, "name a .pub file that you can read") from None
    if b"PRIVATE KEY" in content or content.startswith(b"PuTTY-User-Key-File"):
        raise Refused(
            f"{show(text)} is a PRIVATE key, which must never leave its owner's machine",
            f"name the public one, {text.removesuffix('.ppk')}.pub",
        )
    return _lines(content, text)


def operator_keys() -> tuple[str, ...]:
    """The public keys of whoever runs this (~/.ssh/id_*.pub); unreadable ones are left out."""
    keys: list[str] = []
    try:
        folder = Path.home() / ".ssh"
        files = sorted(folder.glob("id_*.pub"))
    except (OSError, RuntimeError):
        return ()
    for file in files:
        try:
            keys += public_keys(str(file), folder)
        except Refused:
            continue
    return tuple(dict.fromkeys(keys))


def checked(line: str) -> str:
    """``line`` when it is one whole public key; raises ``Refused`` when it is not.

    The blob (RFC 4253, 6.6) begins with the kind and consists of strings that fill it to the
    last byte, so that a key that lost its end in a terminal window is noticed here.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise Refused("this is not one public key on one line", _WHOLE_LINE)
    kind = match["kind"]
    if kind not in KINDS:
        raise Refused(f"keys of the kind {show(kind)} are not taken", _MAKE)
    if not _whole(kind, match["blob"]):
        raise Refused(f"this {kind} key is not whole", _WHOLE_LINE)
    return line


def host_key(text: str) -> str:
    """The public key of an SSH server, without a comment: kind and data."""
    return " ".join(checked(text.strip()).split()[:2])


def _is_line(text: str) -> bool:
    first = text.split(maxsplit=1)[0] if text else ""
    return len(text.split()) > 1 and bool(re.match(r"(sk-)?(ssh|ecdsa)-", first))


def _path(text: str, folder: Path) -> Path:
    try:
        return folder / Path(text).expanduser()
    except (RuntimeError, ValueError):
        message = f"there is no home folder for {show(text)}"
        raise Refused(message, "write the whole path") from None


def _lines(content: bytes, name: str) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in content.decode().splitlines()]
    except UnicodeDecodeError:
        raise Refused(f"{show(name)} is not a file of public keys", _MAKE) from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise Refused(f"there is no key in {show(name)}", _MAKE)
    try:
        return tuple(checked(key) for key in keys)
    except Refused as refused:
        raise Refused(f"{show(name)}: {refused.message}", refused.hint) from None


def _whole(kind: str, blob: str) -> bool:
    if len(blob) % 4:  # b64decode lets a '=' too many pass
        return False
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    strings = []
    while len(data) >= 4:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            return False
        strings.append(data[4 : 4 + length])
        data = data[4 + length :]
    return not data and len(strings) > 1 and strings[0] == kind.encode()
