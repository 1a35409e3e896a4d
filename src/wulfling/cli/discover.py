"""``wulfling discover``: find the boards of a network and write them into the cluster file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT
from wulfling.cli.setting import setting, way_to
from wulfling.errors import WulflingError

if TYPE_CHECKING:
    from wulfling.bringup.discover import Found
    from wulfling.bringup.roles import Measured, Suggestion
    from wulfling.spec.document import Document
    from wulfling.spec.extend import Newcomer
    from wulfling.spec.members import Member
    from wulfling.transport.link import Address

HEADER = ("ADDRESS", "MAC", "NODE", "SEEMS TO BE")
NOT_WRITTEN = 2  # as of a plan with changes
KEYS = {
    "address": "Its address",
    "mac": "Of its network card; empty where that is not known",
    "announced": "The name that it announces by multicast DNS",
    "ssh": "Port 22: `open`, `shut` (nobody listens), `silent`",
    "banner": "The first line that is said there",
    "maker": "Who makes such network cards, as far as boards go",
    "system": "`debian`, `raspbian`, `ubuntu`, from the banner; empty for all else",
    "release": "Its release, `12`",
    "node": "The node of the cluster file that it is; empty when it is none",
    "new": "Whether it could become a node",
    "name": "The name that a new one gets",
    "remark": "What a person should look at",
    "measured": "What it told of itself, where your key opens it: cores, memory, disks, links ...",
    "suggested": "Roles and the reason, where it was measured",
    "error": "Why it was not measured, where that was tried",
}


@dataclass(frozen=True)
class _Ground:
    """What is known before anybody is looked for. ``document`` is None for a file to be
    written; ``network`` None where the file does not say one."""

    cluster: str
    virtual: bool
    document: Document | None
    nodes: tuple[Member, ...]
    network: IPv4Network | None
    login: str
    way: Callable[[str, str], Address]


@click.command()
@click.argument("where", nargs=-1)
@click.option("--name", default="my-cluster", show_default=True, help="Of a new file's cluster.")
@click.option(
    "--names",
    default="node[01-99]",
    show_default=True,
    help="For boards that do not announce one, in the order of their addresses.",
)
@click.option("--user", help="The account that answers on new boards; without it that of `login:`.")
@click.option("--lab", help="Look among the virtual boards of this lab, and write a file for them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@OUTPUT
@click.pass_obj
def discover(
    file: Path,
    *,
    where: Sequence[str],
    name: str,
    names: str,
    user: str | None,
    lab: str | None,
    yes: bool,
    output: str,
) -> int:
    """Find boards on the network, and write them into the cluster file: a new one, or at the
    end of the nodes of the one that is there, whose other lines stay as they are.

    WHERE are networks or addresses. Without any it is the network of the file, or the one that
    this machine is in. Each address gets fewer than four packets, and no password is tried.
    Boards that your key opens already are measured, and what each is good for is said.

    Exit code 0: written, or nothing to write; 2: not written, because you said no or nobody
    was there to be asked.
    """
    from wulfling.spec.nodeset import expand
    from wulfling.spec.problem import Refused

    ground = _ground(file, lab or "", name, user or "")
    try:
        pool = expand(names)
    except Refused as refused:
        raise click.UsageError(f"--names: {refused.message}") from None
    found = _found(ground, where, pool)
    measured, errors = asyncio.run(_measure(ground, found))
    suggestions = _suggested(found, measured)
    newcomers = _newcomers(ground, found, suggestions)
    text = _text(ground, found, newcomers)
    if output == "text":
        _tell(found, suggestions, errors)
    written = bool(text) and _agreed(file, newcomers, yes, output) and _write(file, ground, text)
    if output == "json":
        told = [row(one, measured, suggestions, errors) for one in found]
        click.echo(show.as_json(told))
    strangers = any(one.name not in measured for one in newcomers)
    _tell_next(file, ground, found, newcomers, strangers=strangers, written=written)
    return NOT_WRITTEN if text and not written else 0


def _ground(file: Path, lab: str, name: str, user: str) -> _Ground:
    from wulfling import spec
    from wulfling.spec.members import members

    if file.exists():
        if lab:
            raise click.UsageError(f"{file} is there already and says where its boards are")
        prepared = setting(file)
        cluster = prepared.resolve()
        login = user or cluster.login
        return _Ground(
            cluster=cluster.name,
            virtual=cluster.virtual,
            document=spec.read(file),
            nodes=members(prepared.spec),
            network=cluster.network,
            login=login,
            way=way_to(cluster.name, (cluster.admin, login), virtual=cluster.virtual),
        )
    login = user or "pi"
    way = way_to(lab or name, ("wulfling", login), virtual=bool(lab))
    return _Ground(lab or name, bool(lab), None, (), None, login, way)


def _found(ground: _Ground, where: Sequence[str], names: Sequence[str]) -> tuple[Found, ...]:
    from wulfling.bringup import discover as bringup

    door: tuple[str, ...] = ()
    if ground.virtual:
        from wulfling.lab import lab as labs

        door = labs.inside(ground.cluster)
    own = bringup.own_addresses(door)
    network = ground.network
    if not where and network is None:
        network = bringup.attached(own, door)
        where = (str(network),)
    addresses = bringup.targets(where or (str(network),), own)
    click.echo(f"looking at {len(addresses)} addresses", err=True)
    machines = bringup.look(addresses, own, door)
    judged = bringup.judged(machines, ground.nodes, ground.network)
    return bringup.named(judged, names, (node.name for node in ground.nodes))


async def _measure(
    ground: _Ground, found: Sequence[Found]
) -> tuple[Mapping[str, Measured], Mapping[str, WulflingError]]:
    """Those that our key opens, by their name in the file or the one they would get."""
    from wulfling.bringup.measure import measure
    from wulfling.transport.ssh import Ssh

    names = {str(f.machine.address): f.node or f.name for f in found if f.machine.door == "open"}
    ways = [ground.way(name, host) for host, name in names.items() if name]
    return await measure(ways, Ssh())


def _suggested(found: Sequence[Found], measured: Mapping[str, Measured]) -> Sequence[Suggestion]:
    from wulfling.bringup.roles import suggest

    order = [f.node or f.name for f in found]
    return suggest([measured[name] for name in order if name in measured])


def _newcomers(
    ground: _Ground, found: Sequence[Found], suggestions: Sequence[Suggestion]
) -> tuple[Newcomer, ...]:
    """The new boards, with roles where all were measured: half a suggestion has no head."""
    from wulfling.spec.extend import Newcomer

    new = [one for one in found if one.new]
    roles = {one.name: one.roles for one in suggestions}
    whole = ground.document is None and all(one.name in roles for one in new)
    newcomers = (
        Newcomer(
            one.name,
            one.machine.address,
            one.machine.mac,
            roles[one.name] if whole else (),
            one.seems,
        )
        for one in new
    )
    return tuple(n for n in newcomers if n.roles or not whole)


def _text(ground: _Ground, found: Sequence[Found], newcomers: Sequence[Newcomer]) -> str:
    """The file as it is to be, "" when there is nothing to write."""
    from wulfling.bringup.discover import missing_macs
    from wulfling.spec.extend import extended, starter

    if ground.document is not None:
        text = extended(ground.document, newcomers, missing_macs(found, ground.nodes))
        return "" if text == ground.document.text else text
    if not newcomers:
        return ""
    login = "" if ground.virtual else ground.login
    return starter(ground.cluster, newcomers, virtual=ground.virtual, login=login)


def _agreed(file: Path, newcomers: Sequence[Newcomer], yes: bool, output: str) -> bool:
    if yes:
        return True
    if output == "json" or not sys.stdin.isatty():
        return False
    count = len(newcomers)
    what = f"{count} new board{'s' * (count != 1)}" if count else "the network cards"
    return click.confirm(f"Write {what} into {file}?", err=True)


def _write(file: Path, ground: _Ground, text: str) -> bool:
    from wulfling.spec.rewrite import rewrite

    rewrite(file, text, ground.document)
    return True


def _tell(
    found: Sequence[Found],
    suggestions: Sequence[Suggestion],
    errors: Mapping[str, WulflingError],
) -> None:
    rows = [
        (
            str(one.machine.address),
            one.machine.mac or "-",
            one.node or (f"+ {one.name}" if one.new else "-"),
            one.seems or "?",
        )
        for one in found
    ]
    for line in show.table(HEADER, rows):
        click.echo(line)
    for one in suggestions:
        roles = ", ".join(role.value for role in one.roles) or "leave it out"
        click.echo(f"{one.name}: {roles}: {one.why}")
    for node, error in errors.items():
        click.echo(f"{node}: not measured: {error.message.splitlines()[0]}", err=True)


def row(
    found: Found,
    measured: Mapping[str, Measured],
    suggestions: Sequence[Suggestion],
    errors: Mapping[str, WulflingError],
) -> dict[str, Any]:
    """One machine for ``-o json``; the names are those of ``KEYS``."""
    from wulfling.node import devices, facts

    name = found.node or found.name
    board = measured.get(name)
    facts_of = board and facts.as_json(board.hardware) | devices.as_json(board.devices)
    suggested = [
        {"roles": [role.value for role in one.roles], "why": one.why}
        for one in suggestions
        if one.name == name
    ]
    return found.as_json() | {
        "measured": facts_of,
        "suggested": suggested[0] if suggested else None,
        "error": errors[name].message if name in errors else "",
    }


def _tell_next(
    file: Path,
    ground: _Ground,
    found: Sequence[Found],
    newcomers: Sequence[Newcomer],
    *,
    strangers: bool,
    written: bool,
) -> None:
    """``strangers``: one of the newcomers does not let our key in."""
    if written:
        click.echo(f"{file} is written: {len(newcomers)} new boards", err=True)
        verb = "adopt" if strangers else "plan"
        click.echo(f"next: wulfling -f {file} {verb}", err=True)
    elif newcomers:
        click.echo(f"nothing was written; next: wulfling -f {file} discover --yes", err=True)
    elif not found:
        click.echo("nobody answered: are the boards on, and in this network?", err=True)
    elif not any(one.node for one in found):
        click.echo("no board that wulfling could make a node of; SSH has to be on", err=True)
    elif ground.document is not None:
        click.echo(f"next: wulfling -f {file} plan", err=True)
