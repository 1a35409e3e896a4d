"""Makes plain data of YAML with the place of every piece; the one module that knows ruamel.yaml.

It works on the parser's events, so that depth, number of values and the expansion of aliases
are bounded before anything is built, and so that no tag can ever construct anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from wulfling.spec.problem import TOP, Place, Problem, show

if TYPE_CHECKING:
    from ruamel.yaml.events import Event

    from wulfling.spec.document import Loc

DEEPEST = 16  # levels; the format itself has 5
MOST_VALUES = 20_000  # a cluster of 1000 boards, each with all its keys, has half of that

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
# What an escape in double quotes can make and no name, path or message can hold.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_FLAT = "a cluster file has nodes, slurm, people and little below them"
_LOOK = "compare this line with the ones around it"

# What the parser says, as a remedy. The first that matches is shown.
_REMEDIES = (
    (r"'\\t'", "indent with spaces: YAML takes no tabs there"),
    (r"character '[@`%*&!|>]'", "put the value in quotes"),
    ("mapping values are not allowed", "quote a value with a colon in it, and check the indent"),
    (r"expected ',' or '[}\]]'", "close the bracket that was opened at {opened}"),
    ("expected the node content", "write a value here, and close the brackets before it"),
    ("unexpected end of stream", "close the quote that was opened at {opened}"),
    ("document separator", "close the quote that was opened at {opened}"),
    ("expected ':'", "a key ends with a colon and a space"),
    ("expected <block end>", "indent all keys of one block alike"),
    ("unknown escape|escape sequence", "in double quotes a backslash escapes; use single ones"),
    ("undefined tag handle", "write a plain value"),
)


@dataclass
class Composed:
    """What became of a text. Not ``complete``: the parser had to give up at the last problem."""

    data: object = None
    complete: bool = False
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    replaced: set[Loc] = field(default_factory=set)


class _StopError(Exception):
    """Nothing after this problem can be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def compose(text: str) -> Composed:
    """The first document of ``text``. Never raises; what is wrong is in ``problems``."""
    composed = Composed()
    try:
        _Composer(_events(text), composed).document()
        composed.complete = True
    except _StopError as stop:
        composed.problems.append(stop.problem)
    return composed


def _events(text: str) -> Iterator[Event]:
    after = TOP
    try:
        # No plug-ins: looking for them costs a directory listing and finds none of ours.
        for event in YAML(typ="safe", pure=True, plug_ins=[]).parse(text):
            after = _place(event.end_mark)
            yield event
    except MarkedYAMLError as error:
        raise _StopError(_syntax_problem(error)) from None
    except (YAMLError, OverflowError, ValueError, AssertionError) as error:
        # The parser lets through what chr() says to "\UFFFFFFFF" and its own doubts about
        # a %YAML directive; the fuzz test is how we know of these.
        raise _StopError(Problem(after, f"this is not YAML: {error}", _LOOK)) from None


def _syntax_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = _place(mark) if mark is not None else TOP
    said = error.problem or error.context or "it cannot be read"
    opened = _place(error.context_mark) if error.context_mark is not None else place
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, said):
            if "{opened}" in remedy:
                # The parser complains where it noticed, often the end of the file.
                place = opened
            hint = remedy.format(opened=f"line {opened.line}, column {opened.column}")
            return Problem(place, f"this is not YAML: {said}", hint)
    return Problem(place, f"this is not YAML: {said}", _LOOK)


def _too_many(place: Place, subject: str) -> Problem:
    return Problem(place, f"{subject} more than {MOST_VALUES} values", "make several clusters")


def _place(mark: object) -> Place:
    return Place(getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1)


class _Composer:
    """One pass over the events of one text."""

    def __init__(self, events: Iterator[Event], composed: Composed) -> None:
        self._events = events
        self._out = composed
        self._count = 0
        self._depth = 0
        self._anchors: dict[str, object] = {}
        self._open: set[str] = set()

    def document(self) -> None:
        """Compose the first document and refuse further ones."""
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._directives(event)
                break
        else:
            return
        self._out.data = self._node(next(self._events), ())
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                message = "a second YAML document begins here; a cluster file is one"
                self._problem(event, message, "delete the line `---` and what follows")
                return

    def _directives(self, event: DocumentStartEvent) -> None:
        if event.version not in (None, (1, 2)):
            version = ".".join(str(part) for part in event.version)
            self._problem(event, f"YAML {version} is not read here", "delete the %YAML line")

    def _node(self, event: Event, loc: Loc | None) -> object:
        """The value that starts with ``event``. Without ``loc`` its place is not kept."""
        self._count += 1
        if self._count > MOST_VALUES:
            raise _StopError(_too_many(_place(event.start_mark), "the file has"))
        if isinstance(event, AliasEvent):
            return self._alias(event, loc)
        assert isinstance(event, NodeEvent)
        if self._refused_tag(event) and loc is not None:
            self._out.replaced.add(loc)
        if event.anchor is not None:
            self._open.add(event.anchor)
        value = self._value(event, loc)
        if event.anchor is not None:
            self._open.discard(event.anchor)
            self._anchors[event.anchor] = value
        return value

    def _value(self, event: NodeEvent, loc: Loc | None) -> object:
        place = _place(event.start_mark)
        if isinstance(event, ScalarEvent):
            text, plain = _scalar(event)
            if _CONTROL.search(text):
                self._problem(event, f"{show(text)} has a control character in it", "delete it")
                if loc is not None:
                    self._out.replaced.add(loc)
                text = _CONTROL.sub("", text)
            if loc is not None and (text or not plain):
                self._out.values[loc] = place
            return None if plain and text in _NULL else text
        if loc is not None:
            self._out.values[loc] = place
        if self._depth == DEEPEST:
            raise _StopError(Problem(place, f"nested more than {DEEPEST} levels deep", _FLAT))
        self._depth += 1
        try:
            if isinstance(event, SequenceStartEvent):
                return self._sequence(loc)
            return self._mapping(loc)
        finally:
            self._depth -= 1

    def _sequence(self, loc: Loc | None) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, None if loc is None else (*loc, len(items))))
        return items

    def _mapping(self, loc: Loc | None) -> dict[str, object]:
        entries: dict[str, object] = {}
        first: dict[str, Place] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            place = _place(event.start_mark)
            key = self._key(event)
            if key is not None and key in entries:
                line = first[key].line
                self._problem(
                    event, f"{show(key)} is said twice, first in line {line}", "keep one of them"
                )
                key = None
            inside = None if key is None or loc is None else (*loc, key)
            if inside is not None:
                self._out.keys[inside] = place
            value = self._node(next(self._events), inside)
            if key is not None:
                entries[key] = value
                first[key] = place
        return entries

    def _key(self, event: Event) -> str | None:
        """The text of a key, or None, said, for what cannot be one."""
        if not isinstance(event, ScalarEvent):
            self._problem(event, "a key is one word here", "write `key: value`")
            self._node(event, None)
            return None
        self._count += 1
        self._refused_tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = event.value
        if event.value == "<<" and _scalar(event)[1]:
            self._problem(event, "merge keys (<<) are not part of YAML 1.2", "write the values out")
            return None
        if _CONTROL.search(event.value):
            self._problem(event, f"{show(event.value)} has a control character in it", "delete it")
            return None
        return str(event.value)

    def _alias(self, event: AliasEvent, loc: Loc | None) -> object:
        name = event.anchor
        if name in self._anchors and name not in self._open:
            return self._copied(self._anchors[name], _place(event.start_mark))
        if name in self._open:
            message = f"*{name} stands for something that it is itself a part of"
        else:
            message = f"*{name} stands for nothing: there is no &{name} before it"
        self._problem(event, message, "write the value out, or put it in quotes")
        if loc is not None:
            self._out.replaced.add(loc)
        return None

    def _copied(self, value: object, place: Place) -> object:
        """A copy that counts, so that aliases of aliases end at MOST_VALUES."""
        self._count += 1
        if self._count > MOST_VALUES:
            raise _StopError(_too_many(place, "the aliases expand to"))
        if isinstance(value, dict):
            return {key: self._copied(item, place) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copied(item, place) for item in value]
        return value

    def _refused_tag(self, event: NodeEvent) -> bool:
        tag = getattr(event, "tag", None)
        if tag is not None:
            short = str(tag).replace("tag:yaml.org,2002:", "!!")
            self._problem(event, f"the tag {show(short)} is not taken", "write a plain value")
        return tag is not None

    def _problem(self, event: Event, message: str, hint: str) -> None:
        self._out.problems.append(Problem(_place(event.start_mark), message, hint))


def _scalar(event: ScalarEvent) -> tuple[str, bool]:
    """The text, and whether it stands there without quotes."""
    return str(event.value), event.style is None and bool(event.implicit[0])
