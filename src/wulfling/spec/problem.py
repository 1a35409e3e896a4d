"""One thing that is wrong with a cluster file, and how a value is shown in a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wulfling.errors import WulflingError

_LONGEST_SHOWN = 40
_MOST_LISTED = 12


class Place(NamedTuple):
    """Where in the text, both numbers from 1 as editors count; a column is a character."""

    line: int
    column: int


TOP = Place(1, 1)


@dataclass(frozen=True)
class Problem:
    """A fact about ``place`` and its remedy. A ``warning`` does not refuse the file."""

    place: Place
    message: str
    hint: str = ""
    warning: bool = False

    def error(self, name: str) -> WulflingError:
        """The same as an error in the file called ``name``."""
        where = f"{name}:{self.place.line}:{self.place.column}"
        return WulflingError(self.message, hint=self.hint, where=where)


class Refused(ValueError):
    """A value that cannot be what it is meant to be: the fact, and the remedy.

    A ``ValueError``, because that is what pydantic collects and carries to its position.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def show(value: object) -> str:
    """A value as it appears in a message: on one line, short, printable, and never a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
    if "PRIVATE KEY" in text:
        return "a private key"
    shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return "'" + "".join(char if char.isprintable() else "�" for char in shown) + "'"


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The one of ``known`` that ``word`` was probably meant to be, or ""."""
    from difflib import get_close_matches  # 5 ms that only a bad file has to pay

    words = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(word.lower()[:64], list(words), n=1, cutoff=likeness)
    return words[found[0]] if found else ""


def did_you_mean(word: str, known: Sequence[str], noun: str) -> str:
    """A hint for a word that is none of ``known``: the nearest, or all if they are few."""
    guess = nearest(word, known)
    if guess:
        return f"did you mean `{guess}`?"
    return f"{noun}: {', '.join(known)}" if len(known) <= _MOST_LISTED else ""


class WrongKind(Refused):
    """A mapping where a number was due, and the like; whoever knows the key names it."""

    def __init__(self, expected: str, value: object, hint: str = "") -> None:
        self.expected = expected
        self.value = value
        super().__init__(f"this has to be {expected}, not {show(value)}", hint or self._remedy())

    def _remedy(self) -> str:
        if self.expected.startswith("a mapping"):
            return "write `key: value` lines below it"
        if self.value is None:
            return "write a value there, or delete what stands before it"
        return f"write {self.expected}"
