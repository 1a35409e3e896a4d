"""Adds boards to a cluster file, and takes them out, as a person would: nothing else moves."""

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
from wulfling.spec.entries import appended, dropped, reads_as
from wulfling.spec.nodeset import expand, fold
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


def enlarged(document: Document, newcomer: Newcomer, partitions: Sequence[str] = ()) -> str:
    """The text of ``document`` with one board more, which joins these partitions; a partition
    that does not name its nodes has all of them anyway. Raises what ``extended`` raises."""
    document = _with_nodes(document, [newcomer])
    for partition in partitions:
        if (names := _nodes_of(document, partition)) is not None:
            document = _with_partition(document, partition, (*names, newcomer.name))
    _check(document.text, document)
    return document.text


def reduced(document: Document, name: str) -> str:
    """The text of ``document`` without the node ``name``, in its partitions neither.

    Raises ``WulflingError`` when it is written in a form from which nothing can be cut, or is
    the only node of a partition, and ``BadFile`` when the rest would be refused.
    """
    for partition in _partitions(document):
        names = _nodes_of(document, partition)
        if names is not None and name in names:
            left = tuple(other for other in names if other != name)
            document = _with_partition(document, partition, left)
    document = _without_node(document, name)
    _check(document.text, document)
    return document.text


def with_mac(document: Document, name: str, mac: str) -> str:
    """The text of ``document`` in which this node has this mac; as it is where the file has no
    place for one."""
    loc = ("nodes", name, "mac")
    found = _with_value(document, loc, mac) if loc in document.values else None
    found = found or _with_mac(document, name, mac)
    _check(found.text, found)
    return found.text


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


def _partitions(document: Document) -> tuple[str, ...]:
    slurm = document.data.get("slurm")
    declared = slurm.get("partitions") if isinstance(slurm, dict) else None
    return tuple(declared) if isinstance(declared, dict) else ()


def _nodes_of(document: Document, partition: str) -> tuple[str, ...] | None:
    """The nodes that a partition names; None when it has all compute nodes."""
    data: Any = document.data
    if partition not in _partitions(document):
        return None
    values = data["slurm"]["partitions"][partition]
    text = values.get("nodes") if isinstance(values, dict) else None
    return None if text is None else expand(text)


def _with_partition(document: Document, partition: str, names: Sequence[str]) -> Document:
    loc = ("slurm", "partitions", partition, "nodes")
    if not names:
        raise WulflingError(
            f"the partition {partition} has no other node",
            hint="delete it in the file, or give it another node",
            where=document.where(loc[:3], key=True),
        )
    found = _with_value(document, loc, fold(names))
    if found is None:
        raise WulflingError(
            f"`nodes:` of the partition {partition} is written in a form that takes no change",
            hint=f'write it as nodes: "{fold(names)}"',
            where=document.where(loc),
        )
    return found


def _with_value(document: Document, loc: documents.Loc, value: str) -> Document | None:
    """The same with another text at ``loc``, None where it cannot be put on that line."""
    expected: Any = deepcopy(dict(document.data))
    inner = expected
    for key in loc[:-1]:
        inner = inner[key]
    old, inner[loc[-1]] = inner[loc[-1]], value
    place, lines = document.values[loc], document.text.split("\n")
    line, start = lines[place.line - 1], place.column - 1
    quote = line[start : start + 1]
    quoted = quote in ("'", '"')
    end = line.find(quote, start + 1) + 1 if quoted else start + len(str(old))
    for new in (f'"{value}"',) if quoted else (value, f'"{value}"'):
        changed = f"{line[:start]}{new}{line[end:]}"
        text = "\n".join([*lines[: place.line - 1], changed, *lines[place.line :]])
        if end > start and (found := reads_as(document, text, expected)):
            return found
    return None


def _without_node(document: Document, name: str) -> Document:
    data: Any = document.data
    key = next((key for key in data["nodes"] if name in expand(key)), None)
    if key is None:
        raise WulflingError(f"there is no node {name}", where=document.name)
    expected: Any = deepcopy(dict(data))
    values = expected["nodes"].pop(key)
    names = expand(key)
    if names == (name,):
        found = dropped(document, "nodes", key)
    elif names[-1] == name:  # addresses count up from the first
        left = fold(names[:-1])
        expected["nodes"] = {
            left if old == key else old: values if old == key else data["nodes"][old]
            for old in data["nodes"]
        }
        found = reads_as(document, _with_key(document, key, left), expected)
    else:
        raise WulflingError(
            f"{name} is written within {key}, whose addresses count up from its first",
            hint="write those that stay on lines of their own, with their addresses",
            where=document.where(("nodes", key), key=True),
        )
    if found is None:
        raise WulflingError(
            f"`nodes:` of {document.name} is written in a form from which no line can be cut",
            hint=f"delete {name} by hand, then: wulfling apply",
            where=document.where(("nodes", key), key=True),
        )
    return found


def _with_key(document: Document, key: str, left: str) -> str:
    lines = document.text.split("\n")
    place = document.keys[("nodes", key)]
    line, start = lines[place.line - 1], place.column - 1
    start += line[start : start + 1] in ("'", '"')
    lines[place.line - 1] = f"{line[:start]}{left}{line[start + len(key) :]}"
    return "\n".join(lines)


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
