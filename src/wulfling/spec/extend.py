"""Adds boards to a cluster file as a person would: by inserting lines, and nothing else moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from wulfling.errors import WulflingError
from wulfling.model.cluster import Role
from wulfling.spec import document as documents
from wulfling.spec import notation, validate
from wulfling.spec.document import Document
from wulfling.spec.entries import appended, reads_as
from wulfling.spec.nodeset import expand
from wulfling.spec.problem import Refused

_ROLES = (Role.HEAD, Role.STORAGE, Role.LOGIN, Role.COMPUTE)  # as people write them


@dataclass(frozen=True)
class Newcomer:
    """A board for the file. Without ``roles`` the defaults hold; ``note`` becomes a comment."""

    name: str
    address: IPv4Address
    mac: str = ""
    roles: tuple[Role, ...] = ()
    note: str = ""

    @property
    def line(self) -> str:
        """Its line below ``nodes:``, without the indent."""
        values = [f"address: {self.address}"]
        if self.mac:
            values.append(f"mac: {self.mac}")
        if self.roles:
            words = ", ".join(role.value for role in _ROLES if role in self.roles)
            values.append(f"roles: [{words}]")
        note = " ".join(self.note.split())
        return f"{self.name}: {{{', '.join(values)}}}{f'  # {note}' if note else ''}"

    @property
    def data(self) -> dict[str, Any]:
        """The same as the reader has it."""
        values: dict[str, Any] = {"address": str(self.address)}
        if self.mac:
            values["mac"] = self.mac
        if self.roles:
            values["roles"] = [role.value for role in _ROLES if role in self.roles]
        return values


def starter(
    cluster: str,
    newcomers: Sequence[Newcomer],
    *,
    virtual: bool = False,
    login: str = "",
    network: IPv4Network | None = None,
) -> str:
    """The text of a new cluster file with these boards.

    ``login`` is the account of new boards where it is not the default, ``network`` is written
    where it is not the /24 of the first board. Raises ``WulflingError`` for a name that no
    cluster can have and for boards that do not go together.
    """
    try:
        notation.cluster_name(cluster)
    except Refused as refused:
        raise WulflingError(refused.message, hint=refused.hint) from None
    lines = ["# Written by `wulfling discover`.", "wulfling: 1", f"cluster: {cluster}"]
    if virtual:
        lines.append("boards: virtual")
    if network is not None and network != IPv4Network((newcomers[0].address, 24), strict=False):
        lines.append(f"network: {network}")
    if login:
        lines.append(f"login: {login}  # the account that answers on a new board")
    lines += ["nodes:", *(f"  {newcomer.line}" for newcomer in newcomers)]
    text = "\n".join(lines) + "\n"
    _check(text, None)
    return text


def extended(
    document: Document, newcomers: Sequence[Newcomer], macs: Mapping[str, str] | None = None
) -> str:
    """The text of ``document`` with these boards at the end of its nodes, and with ``macs`` by
    node for boards that are there and do not tell theirs.

    A mac is left out where the file has no line of the node's own. Raises ``WulflingError``
    with the lines to paste when the nodes are written in a form that takes no line, and
    ``BadFile`` when the result would be refused, a board outside of the network for example.
    """
    for name, mac in (macs or {}).items():
        document = _with_mac(document, name, mac)
    if newcomers:
        document = _with_nodes(document, newcomers)
    _check(document.text, document)
    return document.text


def _check(text: str, document: Document | None) -> None:
    from pathlib import Path

    path = document.path if document else Path("cluster.yaml")
    validate.check(documents.parse(text.encode(), path))


def _with_nodes(document: Document, newcomers: Sequence[Newcomer]) -> Document:
    lines = [board.line for board in newcomers]
    found = appended(document, "nodes", lines, {board.name: board.data for board in newcomers})
    if found is None:
        paste = "\n".join(f"  {line}" for line in lines)
        raise WulflingError(
            f"`nodes:` of {document.name} is written in a form that takes no further line",
            hint=f"write each node on a line of its own, or add these by hand:\n{paste}",
            where=document.where(("nodes",), key=True),
        )
    return found


def _with_mac(document: Document, name: str, mac: str) -> Document:
    """The same with a mac for one node, or as it is."""
    nodes = document.data.get("nodes")
    values = nodes.get(name) if isinstance(nodes, dict) and expand(name) == (name,) else None
    loc = ("nodes", name, "address")
    if not isinstance(values, dict) or "mac" in values or loc not in document.values:
        return document
    expected: Any = deepcopy(dict(document.data))
    expected["nodes"][name]["mac"] = mac
    for text in _mac_beside(document, loc, str(values["address"]), mac):
        if found := reads_as(document, text, expected):
            return found
    return document


def _mac_beside(document: Document, loc: documents.Loc, address: str, mac: str) -> Iterator[str]:
    """The two ways to write it: behind the address, or in a line of its own below it."""
    lines = document.text.split("\n")
    place, key = document.values[loc], document.keys[loc]
    line = lines[place.line - 1]
    start = place.column - 1
    quotes = 2 if line[start : start + 1] in ("'", '"') else 0
    end = start + len(address) + quotes
    flow = f"{line[:end]}, mac: {mac}{line[end:]}"
    yield "\n".join([*lines[: place.line - 1], flow, *lines[place.line :]])
    ending = "\r" if line.endswith("\r") else ""
    block = f"{' ' * (key.column - 1)}mac: {mac}{ending}"
    yield "\n".join([*lines[: place.line], block, *(lines[place.line :] or [""])])
