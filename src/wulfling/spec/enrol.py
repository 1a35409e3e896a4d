"""Puts people into a cluster file and takes them out, by lines; nothing else in it moves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wulfling.errors import WulflingError
from wulfling.spec import notation, validate
from wulfling.spec.document import Document
from wulfling.spec.entries import appended, dropped
from wulfling.spec.people import refused_name
from wulfling.spec.problem import Refused, did_you_mean, show
from wulfling.spec.publickeys import public_keys
from wulfling.spec.resolution import FIRST_UID, LAST_UID, uid_of
from wulfling.spec.schema import LimitSpec, PersonSpec, Spec
from wulfling.spec.values import slurm_account

# What YAML would not read as the text that it is.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NULL = frozenset(("null", "Null", "NULL"))


@dataclass(frozen=True)
class Entrant:
    """Somebody for the file; every value as it is written there. "" and () are left out."""

    name: str
    account: str = ""
    limits: tuple[tuple[str, str], ...] = ()
    quota: str = ""
    keys: tuple[str, ...] = ()  # whole lines
    uid: str = ""

    @property
    def data(self) -> dict[str, Any]:
        """The same as the reader has it."""
        values: dict[str, Any] = {
            "uid": self.uid,
            "account": self.account,
            "limits": dict(self.limits),
            "quota": self.quota,
            "keys": list(self.keys),
        }
        return {name: value for name, value in values.items() if value}

    @property
    def line(self) -> str:
        """Its line below ``people:``, without the indent."""
        return f"{self.name}: {_flow(self.data)}"

    def same_as(self, person: PersonSpec) -> bool:
        """Whether the file says the same already; a number that it says besides is no matter."""
        mine = PersonSpec.model_validate(self.data)
        number = mine.uid if mine.uid is not None else person.uid
        return mine.model_copy(update={"uid": number}) == person


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text not in _NULL
    return text if plain else json.dumps(text, ensure_ascii=False)


def enrolled(document: Document, entrants: Sequence[Entrant]) -> str:
    """The text of ``document`` with these people at the end of its people.

    Whoever would get the number of somebody else gets one of their own. Raises ``WulflingError``
    with the lines to paste when the people are written in a form that takes no line, and
    ``BadFile`` when the result would be refused.
    """
    spec, _ = validate.check(document)
    numbered = tuple(_numbered(spec, entrants))
    lines = [entrant.line for entrant in numbered]
    found = appended(document, "people", lines, {one.name: one.data for one in numbered})
    if found is None:
        paste = "\n".join(f"  {line}" for line in lines)
        raise WulflingError(
            f"`people:` of {document.name} is written in a form that takes no further line",
            hint=f"write each person on a line of its own, or add these by hand:\n{paste}",
            where=document.where(("people",), key=True),
        )
    validate.check(found)
    return found.text


def expelled(document: Document, name: str) -> str:
    """The text of ``document`` without this person. Raises ``WulflingError`` when there is
    nobody of that name, and when other things stand in the same line."""
    people = document.data.get("people")
    if not isinstance(people, dict) or name not in people:
        raise nobody(document, name)
    found = dropped(document, "people", name)
    if found is None:
        raise WulflingError(
            f"{name} shares a line of {document.name} with others",
            hint=f"take {name} out by hand, then: wulfling user remove {name}",
            where=document.where(("people", name), key=True),
        )
    validate.check(found)
    return found.text


def nobody(document: Document, name: str) -> WulflingError:
    """The error for somebody who is not in the file."""
    people = document.data.get("people")
    known = tuple(people) if isinstance(people, dict) else ()
    hint = did_you_mean(name, known, "people") or "wulfling user list   # shows who is"
    return WulflingError(f"there is nobody called {show(name)}", hint=hint, where=document.name)


def _numbered(spec: Spec, entrants: Sequence[Entrant]) -> Iterator[Entrant]:
    taken = {uid_of(name, person) for name, person in spec.people.items()}
    taken |= {int(entrant.uid) for entrant in entrants if entrant.uid}
    for entrant in entrants:
        number = uid_of(entrant.name, PersonSpec.model_validate(entrant.data))
        if not entrant.uid and number in taken:
            number = next(n for n in range(FIRST_UID + 1, LAST_UID) if n not in taken)
            entrant = replace(entrant, uid=str(number))  # noqa: PLW2901
        taken.add(number)
        yield entrant


# -- what a person types, or a line of a class list says --------------------------------------


def name_of(text: str, admin: str) -> str:
    """The name of an account that a person can have. Raises ``Refused``, as all of these do."""
    if text != text.lower():
        notation.account_name(text.lower())
        raise Refused(f"{show(text)} has capital letters in it", f"write {text.lower()}")
    notation.account_name(text)
    if refused := refused_name(text, admin):
        raise refused
    return text


def account_of(text: str) -> str:
    """An account of Slurm."""
    return slurm_account(text)


def limits_of(text: str) -> tuple[tuple[str, str], ...]:
    """``cpu=4,mem=1G`` in the order of the text; spaces and semicolons part them as well."""
    found: dict[str, str] = {}
    for item in filter(None, re.split(r"[,;\s]+", text)):
        name, equals, value = item.partition("=")
        known = tuple(LimitSpec.model_fields)
        if name not in known:
            raise Refused(f"{show(name)} is no limit", did_you_mean(name, known, "limits"))
        if not equals or not value:
            raise Refused(f"the limit {name} has no value", "write such as cpu=4,mem=1G")
        if name in found:
            raise Refused(f"the limit {name} is said twice", "keep one of them")
        notation.size(value) if name == "mem" else notation.whole_number(value, 0, 999_999)
        found[name] = value
    return tuple(found.items())


def quota_of(text: str) -> str:
    """A size."""
    notation.size(text)
    return text


def uid_text(text: str) -> str:
    """A number for a person."""
    return str(notation.whole_number(text, 1000, 59_999))


def keys_of(text: str, folder: Path) -> tuple[str, ...]:
    """The whole lines of public keys that ``text`` is, or that the file of that name holds, so
    that the cluster file stands for itself."""
    return public_keys(text, folder)


COLUMNS: Mapping[str, str] = {
    "name": "the account's name",
    "key": "a public key, or the path of a .pub file from the list's own folder",
    "account": "the account in Slurm",
    "limits": "such as cpu=4 mem=1G",
    "quota": "such as 10G",
    "uid": "the number of the account",
}
"""What a class list may say of a person."""
