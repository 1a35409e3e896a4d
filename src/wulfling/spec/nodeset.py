"""Folded node names, rpnode[01-04], both ways; the one module that knows ClusterShell."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wulfling.spec.problem import Refused, show

MOST_NODES = 1024

_AS = "write it as rpnode[01-04]"

# Without '@' (groups from files of this machine), '*' and the set operators '!', '&', '^'.
_TAKEN = re.compile(r"[A-Za-z0-9_.,\[\]/-]+")
_PIECE = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_SIMPLE = re.compile(
    r"(?P<before>[a-z-]*)\[(?P<first>[0-9]{1,6})-(?P<last>[0-9]{1,6})\](?P<after>[a-z-]*)"
)
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6})(?:/(\d{1,6}))?)?")


def expand(text: str) -> tuple[str, ...]:
    """The names that ``text`` stands for, each once, numbers counting up.

    Raises ``Refused`` when it cannot be read or stands for more than ``MOST_NODES``. What a
    name may look like is ``notation.node_name``'s business.
    """
    if not _TAKEN.fullmatch(text):
        hint = "write them as rpnode[01-04], or with commas between them"
        raise Refused(f"{show(text)} does not name nodes", hint)
    if "[" not in text and "]" not in text:
        names = text.split(",")
        if "" in names:
            raise Refused(f"{show(text)} has a comma too many", "delete it")
        return tuple(dict.fromkeys(names))
    if _estimate(text) > MOST_NODES:  # before anybody builds them
        raise Refused(f"{show(text)} stands for more than {MOST_NODES} nodes", "name fewer")
    simple = _SIMPLE.fullmatch(text)
    if simple is not None and _padded_alike(simple["first"], simple["last"]):
        return _counted(simple)
    return _expanded(text)


def fold(names: Iterable[str]) -> str:
    """Names as people write them: rpnode[01-04],filenode01."""
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet

    return str(NodeSet.fromlist(list(names), resolver=RESOLVER_NOGROUP))


def _expanded(text: str) -> tuple[str, ...]:
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException
    from ClusterShell.RangeSet import RangeSetException

    try:
        return tuple(str(name) for name in NodeSet(text, resolver=RESOLVER_NOGROUP))
    except (NodeSetException, RangeSetException):
        raise Refused(f"{show(text)} cannot be unfolded", _AS) from None


def _padded_alike(first: str, last: str) -> bool:
    """Whether two ends of a range are written with the same padding: 01-10, 1-10, not 1-010."""
    return len(first) == len(last) or not (first.startswith("0") or last.startswith("0"))


def _counted(simple: re.Match[str]) -> tuple[str, ...]:
    """The form nearly every file has, without the 10 ms that ClusterShell's import costs; a
    test holds it to ClusterShell's answers."""
    before, first, last, after = simple.group("before", "first", "last", "after")
    width = len(first)
    numbers = range(int(first), int(last) + 1)
    return tuple(f"{before}{number:0{width}d}{after}" for number in numbers)


def _estimate(text: str) -> int:
    """How many names there are at most."""
    total = 0
    for piece in _PIECE.findall(text):
        product = 1
        for inside in _BRACKET.findall(piece):
            product *= sum(_length(part, text) for part in inside.split(","))
            if product > MOST_NODES:
                return product
        total += product
    return total


def _length(part: str, text: str) -> int:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise Refused(f"{show(text)} has no number or range at {show(part)}", _AS)
    first, last, step = match.groups()
    if last is None:
        return 1
    if int(last) < int(first) or (step is not None and int(step) == 0):
        raise Refused(f"{show(text)}: the range {part} is empty", "count up, as in [01-04]")
    return (int(last) - int(first)) // int(step or 1) + 1
