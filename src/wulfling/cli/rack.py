"""What the verbs of a cluster's life share: the boards they mean, and somebody to ask."""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from wulfling.cli.setting import Setting
from wulfling.day2.rack import Rack
from wulfling.errors import WulflingError
from wulfling.spec.nodeset import expand
from wulfling.spec.problem import Refused
from wulfling.transport.ssh import Ssh

YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="MINUTES",
    help="Give up a node whose jobs need longer than this. Without it they take their time.",
)


def operator() -> str:
    """Who is at work, for whoever meets what is not finished."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def rack(prepared: Setting) -> Rack:
    """The cluster's boards; what they are at is told on a terminal, and not in a pipe."""

    def tell(node: str, words: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"{node}: {words}", err=True)

    cluster = prepared.resolve(join=False)
    return Rack(cluster, prepared.addresses, Ssh(), operator(), tell)


def chosen(prepared: Setting, words: Sequence[str], file: Path) -> tuple[str, ...]:
    """The nodes that ``words`` name, folded or not. Raises ``WulflingError`` with all that are
    not there."""
    try:
        names = tuple(dict.fromkeys(name for word in words for name in expand(word)))
    except Refused as refused:
        raise click.UsageError(f"{refused.message}; {refused.hint}") from None
    strange = [name for name in names if name not in prepared.addresses]
    if strange:
        raise WulflingError(
            f"there is no node {' and no node '.join(strange)}",
            hint=f"the file has {', '.join(prepared.addresses)}",
            where=str(file),
        )
    return names


def agreed(question: str, *, yes: bool) -> bool:
    """Whether a person says yes. Raises ``click.UsageError`` when nobody is here to be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to be asked; with -y it goes ahead")
    return click.confirm(question, err=True)


def seconds(minutes: float | None) -> float | None:
    """What ``--wait`` says."""
    return None if minutes is None else minutes * 60
