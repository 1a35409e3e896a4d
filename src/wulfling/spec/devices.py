"""Puts devices into a cluster file and takes them out, by lines; nothing else in it moves."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from wulfling.errors import WulflingError
from wulfling.spec import validate
from wulfling.spec.document import Document
from wulfling.spec.entries import appended, dropped, reads_as
from wulfling.spec.problem import did_you_mean, show
from wulfling.spec.remote import free


def opened(document: Document, endpoint: str) -> Document:
    """``document`` with a way in from outside at ``endpoint``. Raises ``WulflingError``."""
    line = f"wireguard: {{endpoint: {show_plain(endpoint)}}}"
    found = appended(document, "remote", [line], {"wireguard": {"endpoint": endpoint}})
    return _checked(document, found, "remote", line)


def admitted(document: Document, name: str, key: str) -> Document:
    """``document`` with one more device. Raises ``WulflingError``, also where no address is
    left."""
    spec, _ = validate.check(document)
    address = free(spec)
    if address is None:
        raise WulflingError(
            "every address of the tunnel has a device",
            hint="take one out: wulfling remote remove-device NAME",
            where=document.where(("devices",), key=True),
        )
    line = f'{name}: {{address: {address}, key: "{key}"}}'
    data = {name: {"address": str(address), "key": key}}
    return _checked(document, appended(document, "devices", [line], data), "devices", line)


def revoked(document: Document, name: str) -> Document:
    """``document`` without this device. Raises ``WulflingError``."""
    if name not in _known(document):
        raise unknown(document, name)
    found = dropped(document, "devices", name)
    if found is None:
        raise WulflingError(
            f"{name} shares a line of {document.name} with others",
            hint=f"take {name} out by hand, then: wulfling apply",
            where=document.where(("devices", name), key=True),
        )
    validate.check(found)
    return found


def renewed(document: Document, name: str, key: str) -> Document:
    """``document`` with another public key for this device. Raises ``WulflingError``."""
    expected: Any = deepcopy(dict(document.data))
    old = expected["devices"][name]["key"]
    expected["devices"][name]["key"] = key
    found = reads_as(document, document.text.replace(old, key), expected)
    return _checked(document, found, "devices", f'{name}: {{..., key: "{key}"}}')


def unknown(document: Document, name: str) -> WulflingError:
    """The error for a device that is not in the file."""
    hint = did_you_mean(name, _known(document), "devices")
    return WulflingError(
        f"there is no device called {show(name)}",
        hint=hint or "wulfling remote list   # shows those that there are",
        where=document.name,
    )


def show_plain(endpoint: str) -> str:
    """An endpoint as YAML reads it within braces: with a port it needs quotes."""
    return f'"{endpoint}"' if ":" in endpoint else endpoint


def _known(document: Document) -> tuple[str, ...]:
    block = document.data.get("devices")
    return tuple(block) if isinstance(block, dict) else ()


def _checked(document: Document, found: Document | None, block: str, line: str) -> Document:
    if found is None:
        raise WulflingError(
            f"`{block}:` of {document.name} is written in a form that takes no further line",
            hint=f"add this by hand:\n{block}:\n  {line}",
            where=document.where((block,), key=True),
        )
    validate.check(found)
    return found
