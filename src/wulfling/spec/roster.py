"""Reads a class list, a CSV file as spreadsheets write it: people, or all that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wulfling.errors import BadFile, WulflingError
from wulfling.spec import enrol
from wulfling.spec.document import Document, printable, reason, regular_file
from wulfling.spec.enrol import COLUMNS, Entrant
from wulfling.spec.problem import TOP, Place, Problem, Refused, did_you_mean, show
from wulfling.spec.schema import Spec

LARGEST_LIST = 1 << 20  # bytes
DELIMITERS = (",", ";", "\t")
_CELL = r'[ ]*(?:"(?P<quoted>(?:[^"]|"")*)"[ ]*(?={0}|$)|(?P<plain>[^{0}]*))'


@dataclass(frozen=True)
class Cell:
    """One value and where it stands."""

    text: str
    place: Place


@dataclass
class _Reading:
    """What was made of a list so far."""

    admin: str
    folder: Path
    defaults: Entrant
    problems: list[Problem] = field(default_factory=list)
    entrants: list[tuple[Entrant, Place]] = field(default_factory=list)


def read(path: Path, document: Document, spec: Spec, defaults: Entrant) -> tuple[Entrant, ...]:
    """The people of the class list at ``path``, in its order.

    ``defaults`` are what an empty cell stands for. Whom the cluster file has already, it has to
    have with the same values: an import can be run again. Raises ``BadFile`` with everything
    that is wrong, each at its line and column.
    """
    name = printable(path)
    try:
        content = regular_file(path, LARGEST_LIST)
    except OSError as error:
        message = f"{name} cannot be read: {reason(error)}"
        hint = "name a CSV file with a column `name`"
        raise BadFile([WulflingError(message, hint=hint, where=name)]) from None
    reading = _Reading(spec.admin.name, path.parent, defaults)
    try:
        _rows(reading, _text(content))
    except _UselessError as useless:
        reading.problems = [useless.problem]
    _compare(reading, document, spec)
    if reading.problems:
        problems = sorted(dict.fromkeys(reading.problems), key=lambda one: one.place)
        raise BadFile([problem.error(name) for problem in problems])
    return tuple(entrant for entrant, _ in reading.entrants)


class _UselessError(Exception):
    """Nothing of the list can be read."""

    def __init__(self, place: Place, message: str, hint: str) -> None:
        super().__init__()
        self.problem = Problem(place, message, hint)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(errors="replace")
        place = Place(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        hint = "save it as `CSV UTF-8`"
        raise _UselessError(place, "this is not UTF-8", hint) from None


def _rows(reading: _Reading, text: str) -> None:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip(" \t,;")]
    if not filled:
        raise _UselessError(TOP, "the list is empty", "begin it with the line: name,key")
    first, header = filled[0]
    delimiter = max(DELIMITERS, key=header.count)
    columns = _columns(reading, _cells(reading, header, first, delimiter))
    for number, line in filled[1:]:
        if line.lstrip().startswith("#"):
            continue
        cells = _cells(reading, line, number, delimiter)
        if cells is not None:
            _person(reading, columns, cells, number)
    if not reading.entrants and not reading.problems:
        raise _UselessError(Place(first, 1), "there is nobody in the list", "add a line for each")


def _cells(reading: _Reading, line: str, number: int, delimiter: str) -> Sequence[Cell] | None:
    """The values of a line, None, said, when its quotes do not close."""
    pattern = re.compile(_CELL.format(re.escape(delimiter)))
    cells: list[Cell] = []
    at = 0
    while True:
        match = pattern.match(line, at)
        assert match is not None  # plain text may be empty
        quoted, plain = match["quoted"], match["plain"]
        kind = "quoted" if quoted is not None else "plain"
        text = quoted.replace('""', '"') if quoted is not None else plain
        place = Place(number, match.start(kind) + 1)
        if plain is not None and '"' in plain[:1]:
            hint = 'write "..." around the whole value, and "" for a quote inside'
            reading.problems.append(Problem(place, "this quote is not closed well", hint))
            return None
        cells.append(Cell(text.strip(), place))
        at = match.end()
        if at >= len(line):
            return cells
        at += 1


def _columns(reading: _Reading, header: Sequence[Cell] | None) -> Sequence[str]:
    names = [cell.text.lower() for cell in header or ()]
    for position, (name, cell) in enumerate(zip(names, header or (), strict=True)):
        if name and name not in COLUMNS:
            hint = did_you_mean(name, tuple(COLUMNS), "columns")
            told = Problem(cell.place, f"there is no column {show(cell.text)}", hint)
            reading.problems.append(told)
        elif name in names[:position]:
            told = Problem(cell.place, f"the column {name} is there twice", "delete one of them")
            reading.problems.append(told)
    if "name" not in names:
        message = "the first line does not name the columns: there is no `name`"
        raise _UselessError(
            header[0].place if header else TOP, message, f"columns: {', '.join(COLUMNS)}"
        )
    return names


_READERS: Mapping[str, tuple[str, Callable[[str, _Reading], Any]]] = {
    "name": ("name", lambda text, reading: enrol.name_of(text, reading.admin)),
    "key": ("keys", lambda text, reading: enrol.keys_of(text, reading.folder)),
    "account": ("account", lambda text, reading: enrol.account_of(text)),
    "limits": ("limits", lambda text, reading: enrol.limits_of(text)),
    "quota": ("quota", lambda text, reading: enrol.quota_of(text)),
    "uid": ("uid", lambda text, reading: enrol.uid_text(text)),
}


def _person(reading: _Reading, columns: Sequence[str], cells: Sequence[Cell], number: int) -> None:
    for cell in cells[len(columns) :]:
        if cell.text:
            message = f"{show(cell.text)} is in no column"
            hint = "a value with a comma in it needs quotes around it"
            reading.problems.append(Problem(cell.place, message, hint))
    values: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=False):
        if not cell.text or column not in _READERS:
            continue
        key, read_cell = _READERS[column]
        try:
            values[key] = read_cell(cell.text, reading)
        except Refused as refused:
            reading.problems.append(Problem(cell.place, refused.message, refused.hint))
            values[key] = None
    if "name" not in values:
        hint = "write one, or delete the line"
        reading.problems.append(Problem(Place(number, 1), "this line has no name", hint))
    elif values["name"] is not None:
        place = cells[list(columns).index("name")].place
        known = {key: value for key, value in values.items() if value is not None}
        reading.entrants.append((replace(reading.defaults, **known), place))


def _compare(reading: _Reading, document: Document, spec: Spec) -> None:
    """Nobody is there twice, and nobody is said to be otherwise than the cluster file has it."""
    first: dict[str, int] = {}
    numbers: dict[str, str] = {}
    for entrant, place in reading.entrants:
        reading.problems += _twice(first, numbers, entrant, place)
        person = spec.people.get(entrant.name)
        if person is not None and not entrant.same_as(person):
            where = document.where(("people", entrant.name), key=True)
            message = f"{entrant.name} is in {where} already, with other values"
            hint = "correct them there, and delete the line here"
            reading.problems.append(Problem(place, message, hint))


def _twice(
    first: dict[str, int], numbers: dict[str, str], entrant: Entrant, place: Place
) -> Iterator[Problem]:
    if entrant.name in first:
        message = f"{entrant.name} is here twice, first in line {first[entrant.name]}"
        yield Problem(place, message, "delete one of them")
    first.setdefault(entrant.name, place.line)
    if entrant.uid and numbers.setdefault(entrant.uid, entrant.name) != entrant.name:
        message = f"{entrant.name} and {numbers[entrant.uid]} would both have the uid {entrant.uid}"
        yield Problem(place, message, "give one of them another")
