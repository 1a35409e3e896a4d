"""Reads a cluster file: bytes to text, text to plain data, and where each piece of it stands."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from wulfling.errors import BadFile, WulflingError
from wulfling.spec.problem import TOP, Place, Problem

LARGEST_FILE = 1 << 20  # bytes
LONGEST_LINE = 1 << 14  # characters; an RSA key of 16384 bits fits, the parser stays fast

Loc = tuple[str | int, ...]
"""The way to a value: keys and, in lists, numbers from 0."""

# What YAML 1.2 (5.1) does not count as printable, and lone surrogates, which no terminal takes.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-")
_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


@dataclass(frozen=True)
class Document:
    """A cluster file that is at least one YAML mapping.

    ``data`` consists of mappings, lists and text: a plain ``NO``, ``1.10`` or ``01:02:03`` is
    the text that stands in the file (YAML calls this the failsafe schema), and what type a
    value has is decided by ``schema`` and not by its spelling. A plain empty value is None.
    ``problems`` are those with which the rest can still be checked, such as a key said twice;
    at the places in ``replaced`` they left another value than the one in the file.
    """

    path: Path
    text: str
    data: Mapping[str, object]
    keys: Mapping[Loc, Place]
    values: Mapping[Loc, Place]
    problems: tuple[Problem, ...]
    replaced: frozenset[Loc]

    @property
    def name(self) -> str:
        """The path as it can be printed."""
        return printable(self.path)

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Where the value at ``loc`` starts, or with ``key`` its key; for what does not stand
        in the file, where the nearest thing around it starts."""
        if key and loc in self.keys:
            return self.keys[loc]
        if loc in self.values:
            return self.values[loc]
        while loc:
            if loc in self.keys:
                return self.keys[loc]
            loc = loc[:-1]
            if loc and loc in self.values and loc not in self.keys:
                return self.values[loc]
        return TOP

    def where(self, loc: Loc, *, key: bool = False) -> str:
        """The same as file:line:column."""
        place = self.place(loc, key=key)
        return f"{self.name}:{place.line}:{place.column}"


def read(path: Path) -> Document:
    """The file at ``path``.

    Raises ``BadFile`` when it is not a regular file of at most 1 MiB that can be read, when
    it is not UTF-8, when it is not one YAML mapping, and when a private key is in it.
    """
    try:
        content = regular_file(path, LARGEST_FILE)
    except OSError as error:
        raise BadFile([_unreadable(path, error)]) from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> Document:
    """The same for bytes that were read from, or will be written to, ``path``."""
    try:
        text = _decoded(content)
        _refuse_private_key(text)
        return _composed(text, path)
    except _UnusableError as unusable:
        name = printable(path)
        raise BadFile([problem.error(name) for problem in unusable.problems]) from None


def regular_file(path: Path, largest: int) -> bytes:
    """The content of a regular file of at most ``largest`` bytes.

    Raises ``OSError`` for anything else, and never waits, as opening a FIFO would.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a NUL in the name
        raise OSError(str(error)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError("it is a directory")
        if not stat.S_ISREG(mode):
            raise OSError("it is not a regular file")
        content = bytearray()
        while len(content) <= largest and (piece := os.read(descriptor, largest + 1)):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > largest:
        raise OSError(f"it is larger than {largest >> 10} KiB")
    return bytes(content)


def printable(path: Path) -> str:
    """A path as text that every terminal takes, also when its bytes are not UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def reason(error: OSError) -> str:
    """Why a file could not be read, in words."""
    return error.strerror or str(error)


class _UnusableError(Exception):
    """The file is refused before its content can be looked at."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.problems = problems


def _unreadable(path: Path, error: OSError) -> WulflingError:
    name = printable(path)
    if isinstance(error, FileNotFoundError):
        return WulflingError(
            f"there is no file {name}",
            hint="write one with `wulfling init`, or name yours: `wulfling -f FILE ...`",
            where=name,
        )
    return WulflingError(
        f"{name} cannot be read: {reason(error)}",
        hint="name a text file that you can read: `wulfling -f FILE ...`",
        where=name,
    )


def _decoded(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            raise _UnusableError(
                [Problem(TOP, f"the file is {encoding}, not UTF-8", "save it as UTF-8")]
            )
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        place = _place_of(content[: error.start].decode(errors="replace"))
        byte = content[error.start]
        problem = Problem(place, f"byte 0x{byte:02x} is not UTF-8 here", "save the file as UTF-8")
        raise _UnusableError([problem]) from None
    if found := _UNPRINTABLE.search(text):
        place = _place_of(text[: found.start()])
        what = "a NUL byte" if found[0] == "\0" else f"the control character 0x{ord(found[0]):02x}"
        message = f"{what} does not belong in a cluster file"
        raise _UnusableError([Problem(place, message, "delete it")])
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            place = Place(number, LONGEST_LINE + 1)
            message = f"the line has more than {LONGEST_LINE} characters"
            raise _UnusableError([Problem(place, message, "break it into several")])
    return text


def _place_of(before: str) -> Place:
    """The place of the character after ``before``."""
    line = before.count("\n") + 1
    return Place(line, len(before) - (before.rfind("\n") + 1) + 1)


def _refuse_private_key(text: str) -> None:
    """Nothing else is said about such a file, because other messages might quote the key."""
    problems = [
        Problem(
            _place_of(text[: found.start()]),
            "this is a PRIVATE key: whoever can read this file can now log in with it",
            "delete it here, stop using that key (`ssh-keygen -t ed25519` makes another), and"
            " name its .pub file instead",
        )
        for found in _PRIVATE_KEY.finditer(text)
    ]
    if problems:
        raise _UnusableError(problems)


def _composed(text: str, path: Path) -> Document:
    from wulfling.spec.compose import compose  # the YAML parser

    composed = compose(text)
    problems = composed.problems
    if not composed.complete:
        raise _UnusableError(problems)
    data = composed.data
    if not isinstance(data, dict):
        if data is None:
            message = "the file is empty"
        else:
            what = "a list" if isinstance(data, list) else "text"
            message = f"the file is {what}, not a mapping of keys to values"
        problem = Problem(TOP, message, "`wulfling init` writes a file to start from")
        raise _UnusableError([problem, *problems])
    return Document(
        path=path,
        text=text,
        data=MappingProxyType(data),
        keys=MappingProxyType(composed.keys),
        values=MappingProxyType(composed.values),
        problems=tuple(problems),
        replaced=frozenset(composed.replaced),
    )
