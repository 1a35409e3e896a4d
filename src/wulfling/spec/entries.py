"""Lines of a block of the cluster file, such as its nodes or people: put in, or taken out.

A parser that writes YAML back loses what its author meant by blank lines and comments. So text
is inserted and removed at the places that the reader told, and the result is read again: it has
to differ from the file by the entries alone, or it is not returned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from wulfling.errors import BadFile
from wulfling.spec import document as documents
from wulfling.spec.document import Document
from wulfling.spec.problem import Place

_EMPTY = re.compile(r"^\s*(#.*)?$")
_NOTHING = re.compile(r"\{\s*\}")


def appended(
    document: Document, block: str, lines: Sequence[str], data: Mapping[str, object]
) -> Document | None:
    """``document`` with ``lines``, which say ``data``, at the end of ``block``; the block comes
    last when there is none. None when it is written in a form that takes no line."""
    expected: Any = deepcopy(dict(document.data))
    expected[block] = {**(expected.get(block) or {}), **data}
    whole = _opened(document.text.split("\n"), document, block)
    at = _end(document, block, whole) if (block,) in document.keys else len(whole) - 1
    ending = "\r" if whole[0].endswith("\r") else ""
    added = [f"{' ' * _indent(document, block)}{line}{ending}" for line in lines]
    after = whole[at:] or [""]  # a last line without its end gets one
    return reads_as(document, "\n".join([*whole[:at], *added, *after]), expected)


def dropped(document: Document, block: str, key: str) -> Document | None:
    """``document`` without one entry of ``block``. None when it shares its lines with others."""
    expected: Any = deepcopy(dict(document.data))
    del expected[block][key]
    expected[block] = expected[block] or None
    lines = document.text.split("\n")
    begin = document.keys[(block, key)].line
    end = _end(document, block, lines)
    following = [place.line for place in _keys_of(document, block) if place.line > begin]
    end = _trimmed(lines, begin, min([end, *(line - 1 for line in following)]))
    return reads_as(document, "\n".join([*lines[: begin - 1], *lines[end:]]), expected)


def reads_as(document: Document, text: str, expected: Mapping[str, Any]) -> Document | None:
    """``text`` as a document when it says ``expected`` and has no problem that was not there."""
    try:
        found = documents.parse(text.encode(), document.path)
    except BadFile:
        return None
    if dict(found.data) != expected or len(found.problems) > len(document.problems):
        return None
    return found


def _opened(lines: list[str], document: Document, block: str) -> list[str]:
    """The lines with a block that takes entries: one that is not there comes last, after a blank
    line, and an empty ``{}`` goes."""
    ending = "\r" if lines[0].endswith("\r") else ""
    if (block,) not in document.keys:
        last = lines if lines[-1] == "" else [*lines, ""]
        return [*last[:-1], ending, f"{block}:{ending}", ""]
    place = document.values.get((block,))
    if place is None or document.data[block] != {}:
        return lines
    line = lines[place.line - 1]
    start = place.column - 1
    shut = _NOTHING.match(line, start)
    if shut is None:
        return lines
    return [*lines[: place.line - 1], line[:start] + line[shut.end() :], *lines[place.line :]]


def _keys_of(document: Document, block: str) -> list[Place]:
    return [p for loc, p in document.keys.items() if len(loc) == 2 and loc[0] == block]


def _indent(document: Document, block: str) -> int:
    columns = [place.column for place in _keys_of(document, block)]
    return columns[0] - 1 if columns else 2


def _end(document: Document, block: str, lines: Sequence[str]) -> int:
    """How many lines there are up to the end of the block's last entry."""
    begin = document.keys[(block,)].line
    following = [p.line for loc, p in document.keys.items() if len(loc) == 1 and p.line > begin]
    return _trimmed(lines, begin, min(following, default=len(lines) + 1) - 1)


def _trimmed(lines: Sequence[str], begin: int, end: int) -> int:
    """``end`` without the blank lines and comments before it, which belong to what follows."""
    while end > begin and _EMPTY.match(lines[end - 1]):
        end -= 1
    return end
