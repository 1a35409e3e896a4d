"""All that is wrong with a cluster file, at once and in the order of the file.

First every value by itself (``schema``), then what they have to do with each other
(``rules``, ``people``). What the first part refuses is left out for the second, so that an
unknown key does not hide a duplicate address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from wulfling.errors import BadFile, WulflingError
from wulfling.spec import backup, gateway, people, remote, rules
from wulfling.spec.document import Document, Loc
from wulfling.spec.draft import Draft
from wulfling.spec.people import KeyFiles, read_keys
from wulfling.spec.problem import TOP, Problem, Refused, WrongKind, nearest, show
from wulfling.spec.schema import Spec
from wulfling.spec.values import VERSION

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_TOLD = 100

# What stands in for a required value that is missing or bad, so that the rest can be read.
# Rules do not see these: their places are among the broken ones.
_STAND_INS: Mapping[Loc, object] = {
    ("wulfling",): str(VERSION),
    ("cluster",): "cluster",
    ("nodes",): {},
    ("nodes", "*", "address"): "192.0.2.1",
    ("backup", "to"): "board:/srv/backup",
    ("remote", "*", "endpoint"): "192.0.2.1",
    ("remote", "*", "host"): "192.0.2.1",
    ("remote", "*", "host_key"): "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43,
    ("devices", "*", "address"): "192.0.2.1",
    ("devices", "*", "key"): "A" * 43 + "=",
}

# Words of neighbours' formats that no likeness of letters would lead to.
_SYNONYMS = {"hosts": "nodes", "ip": "address", "ram": "memory", "users": "people"}

_MISSING = {
    "wulfling": f"begin the file with `wulfling: {VERSION}`",
    "cluster": "name it: `cluster: raspi-hpc`",
    "nodes": "add `nodes:` and under it `rpnode01: {address: 10.0.0.1}`",
    "address": "add `address: 10.0.0.1`",
    "to": "say where it goes: `to: filenode01:/srv/backup`",
    "endpoint": "add `endpoint: home.example.org`, where devices find the head from outside",
    "host": "add `host: vps.example.org`, a machine with a public address",
    "host_key": "add what `ssh-keyscan -t ed25519 HOST` prints after the name, compared there",
    "key": "take the device out, then: wulfling remote add-device",
}


def check(document: Document) -> tuple[Spec, tuple[WulflingError, ...]]:
    """The content of ``document`` with all public keys read, and its warnings.

    Raises ``BadFile`` with every problem, sorted by place.
    """
    draft, problems = _read(document)
    problems += document.problems
    newer = _newer_format(document)
    if newer is not None:
        # A newer format may have any key: what else we could say would mislead.
        raise BadFile([newer.error(document.name)])
    keys = read_keys(draft)
    problems += keys.problems
    every = (*rules.RULES, *gateway.RULES, *people.RULES, *backup.RULES, *remote.RULES)
    for rule in every:
        problems += rule(draft)
    problems = sorted(dict.fromkeys(problems), key=lambda problem: problem.place)
    errors = [problem.error(document.name) for problem in problems if not problem.warning]
    if errors:
        raise BadFile(_told(errors))
    warnings = tuple(problem.error(document.name) for problem in problems if problem.warning)
    return _with_keys(draft.spec, keys), warnings


def _newer_format(document: Document) -> Problem | None:
    said = document.data.get("wulfling")
    if not isinstance(said, str) or not said.isdecimal() or int(said[:9]) <= VERSION:
        return None
    return Problem(
        document.place(("wulfling",)),
        f"this file has format {show(said)}, and this wulfling reads format {VERSION}",
        "upgrade wulfling",
    )


def _read(document: Document) -> tuple[Draft, list[Problem]]:
    """What can be read of the file, and a problem for everything that cannot."""
    data: dict[str, Any] = deepcopy(dict(document.data))
    problems: list[Problem] = []
    broken: set[Loc] = set()
    while True:
        try:
            spec = Spec.model_validate(data)
        except ValidationError as error:
            before = len(broken)
            # Unknown keys first: a misspelt key explains why the right one is missing.
            details = sorted(error.errors(include_url=False), key=_is_missing)
            for detail in details:
                if not _reported(document, detail):
                    problems += _problems(document, detail, broken)
                _leave_out(data, _place_in_data(detail), broken)
            assert len(broken) > before, "each round leaves out something more"
        else:
            return Draft(document, spec, frozenset(broken)), problems


def _reported(document: Document, detail: ErrorDetails) -> bool:
    """Whether this value is not the one in the file, which was refused when it was read."""
    loc = _place_in_data(detail)
    return any(loc[:length] in document.replaced for length in range(1, len(loc) + 1))


def _is_missing(detail: ErrorDetails) -> bool:
    return detail["type"] == "missing"


def _is_key(detail: ErrorDetails) -> bool:
    return detail["loc"][-1] == "[key]" and len(detail["loc"]) > 1


def _place_in_data(detail: ErrorDetails) -> Loc:
    return detail["loc"][:-1] if _is_key(detail) else detail["loc"]


def _leave_out(data: dict[str, Any], loc: Loc, broken: set[Loc]) -> None:
    """Take the value at ``loc`` away, or give it its stand-in. Of a list all is left out,
    because what is left would be another list than the one that was meant."""
    numbers = [n for n, part in enumerate(loc) if isinstance(part, int)]
    loc = loc[: numbers[0]] if numbers else loc
    broken.add(loc)
    around: Any = data
    for part in loc[:-1]:
        around = around.get(part) if isinstance(around, dict) else None
    if not isinstance(around, dict):
        return
    required = (loc[0], "*", loc[2]) if len(loc) == 3 else loc  # "*": a name of the user's
    if required in _STAND_INS:
        around[str(loc[-1])] = deepcopy(_STAND_INS[required])
    else:
        around.pop(loc[-1], None)


def _problems(document: Document, detail: ErrorDetails, broken: set[Loc]) -> Iterator[Problem]:
    loc = _place_in_data(detail)
    kind = detail["type"]
    if kind == "missing":
        if loc not in broken:
            yield _missing(document, loc)
    elif kind == "extra_forbidden":
        yield _unknown_key(document, loc, broken)
    else:
        message, hint = _words(detail, loc)
        yield Problem(document.place(loc, key=_is_key(detail)), message, hint)


def _missing(document: Document, loc: Loc) -> Problem:
    key = str(loc[-1])
    subject = str(loc[-2]) if len(loc) > 1 else "the file"
    place = document.place(loc[:-1], key=True) if len(loc) > 1 else TOP
    return Problem(place, f"{subject} has no `{key}`", _MISSING.get(key, ""))


def _unknown_key(document: Document, loc: Loc, broken: set[Loc]) -> Problem:
    key, place = str(loc[-1]), document.place(loc, key=True)
    known = list(_model_at(loc[:-1]).model_fields)
    meant = _SYNONYMS.get(key, "")
    meant = meant if meant in known else nearest(key, known)
    right = (*loc[:-1], meant)
    if not meant or (right in document.keys and not nearest(key, [meant], 0.8)):
        hint = f"keys here: {', '.join(known)}"
    elif right in document.keys:
        hint = f"`{meant}` is here already; delete this"
    else:
        hint = f"did you mean `{meant}`?"
        # Do not complain as well about what would be there if the key were right.
        broken.add(right)
    return Problem(place, f"unknown key {show(key)}", hint)


def _words(detail: ErrorDetails, loc: Loc) -> tuple[str, str]:
    """The message and the hint of a value that is not what it should be."""
    refused: object = detail.get("ctx", {}).get("error")
    value = detail["input"]
    if detail["type"] == "tuple_type":
        refused = WrongKind("a list", value, f"write [{value}]" if _is_word(value) else "")
    elif detail["type"] in ("model_type", "dict_type", "mapping_type"):
        refused = WrongKind("a mapping", value)
    if isinstance(refused, WrongKind):
        item = isinstance(loc[-1], int)
        subject = f"an item of `{loc[-2]}`" if item else f"`{loc[-1]}`"
        message = f"{subject} has to be {refused.expected}, not {show(refused.value)}"
        return message, refused.hint
    if isinstance(refused, Refused):
        return refused.message, refused.hint
    return detail["msg"], "correct it"


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value) < 80 and value.isprintable()


def _model_at(loc: Loc) -> type[BaseModel]:
    """The model that describes the mapping at ``loc``."""
    model: type[BaseModel] = Spec
    chosen_by_user = False
    for part in loc:
        if chosen_by_user:
            chosen_by_user = False
            continue
        parts = list(_flat(model.model_fields[str(part)].annotation))
        chosen_by_user = Mapping in parts
        model = next(p for p in parts if isinstance(p, type) and issubclass(p, BaseModel))
    return model


def _flat(annotation: object) -> Iterator[object]:
    yield annotation
    yield get_origin(annotation)
    for argument in get_args(annotation):
        yield from _flat(argument)


def _with_keys(spec: Spec, keys: KeyFiles) -> Spec:
    """The same with whole public keys in the place of paths."""
    admin = spec.admin.model_copy(update={"keys": keys.of(("admin", "keys"), spec.admin.keys)})
    persons = {
        name: person.model_copy(update={"keys": keys.of(("people", name, "keys"), person.keys)})
        for name, person in spec.people.items()
    }
    return spec.model_copy(update={"admin": admin, "people": persons})


def _told(errors: list[WulflingError]) -> list[WulflingError]:
    more = len(errors) - MOST_TOLD
    if more <= 0:
        return errors
    return [
        *errors[:MOST_TOLD],
        WulflingError(f"and {more} problems more", hint="correct these first"),
    ]
