"""``wulfling adopt``: first contact with boards that have nothing but a password."""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wulfling.cli import show
from wulfling.cli.progress import Progress
from wulfling.cli.river import OUTPUT
from wulfling.cli.setting import Setting, setting
from wulfling.errors import WulflingError

if TYPE_CHECKING:
    from wulfling.bringup.adopt import Adopted, Stranger
    from wulfling.bringup.adopt_answers import Answer

HEADER = ("NODE", "ADDRESS", "FINGERPRINT")


@click.command()
@click.argument("nodes", nargs=-1)
@click.option("--user", help="The account that answers now; the file's `login:` without it.")
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help="A file with passwords and fingerprints by node (mode 0600); nothing it has is asked.",
)
@OUTPUT
@click.pass_obj
def adopt(
    file: Path, nodes: Sequence[str], user: str | None, answers: Path | None, output: str
) -> int:
    """Make nodes of boards that have nothing but a password: all of the file, or NODES.

    You compare each board's fingerprint and type its password once. The board gets the admin
    account with your keys, Python where it is missing, the right time, and an identity of its
    own if its card is a copy. Passwords are switched off for SSH once a key has opened it.
    Killed at any moment, run it again.

    Exit code 0: adopted; 3: a board is unreachable or not trusted; 4: one refused, or a step
    failed; 5: somebody else is changing one; 8: one has another host key than it should. The
    others are adopted, but for 8: then nothing was sent to any.
    """
    from wulfling.bringup import adopt_answers
    from wulfling.bringup.adopt import exit_code

    if user and not adopt_answers.is_account(user):
        raise click.UsageError(f"--user: {user!r} is no name of an account")
    prepared = setting(file)
    chosen = _chosen(prepared, nodes, file)
    told = adopt_answers.read(answers, prepared.addresses) if answers else {}
    told = {node: _as_user(told.get(node), user) for node in chosen}
    results = make_nodes(prepared, chosen, told, show_progress=output == "text")
    if output == "json":
        click.echo(show.as_json([result.as_json() for result in results]))
    else:
        for result in results:
            tell_adopted(result)
    errors = [result.error for result in results if result.error]
    for hint in dict.fromkeys(error.hint for error in errors if error.hint):
        click.echo(f"  hint: {hint}", err=True)
    again = "adopt   # again, when that is mended" if errors else "apply"
    click.echo(f"next: wulfling -f {file} {again}", err=True)
    return exit_code(results)


def _chosen(prepared: Setting, nodes: Sequence[str], file: Path) -> tuple[str, ...]:
    for name in nodes:
        if name not in prepared.addresses:
            known = ", ".join(prepared.addresses)
            raise WulflingError(
                f"there is no node {name}", hint=f"the file has {known}", where=str(file)
            )
    return tuple(name for name in prepared.addresses if not nodes or name in nodes)


def _as_user(answer: Answer | None, user: str | None) -> Answer:
    from wulfling.bringup.adopt_answers import Answer

    answer = answer or Answer()
    return replace(answer, user=answer.user or user or "")


def make_nodes(
    prepared: Setting, chosen: Sequence[str], told: Mapping[str, Answer], *, show_progress: bool
) -> tuple[Adopted, ...]:
    """Adopt these boards: what the answers do not have, a person is asked."""
    return asyncio.run(_adopt(prepared, chosen, told, show_progress=show_progress))


async def _adopt(
    prepared: Setting, chosen: Sequence[str], answers: Mapping[str, Answer], *, show_progress: bool
) -> tuple[Adopted, ...]:
    from wulfling.bringup.adopt import Adoption

    addresses = [prepared.addresses[node] for node in chosen]
    operator = f"{getpass.getuser()}@{socket.gethostname()}"
    adoption = Adoption(prepared.resolve(), addresses, answers, operator)
    try:
        await adoption.meet(_Person())
        with Progress(chosen, shown=show_progress) as progress:
            return await adoption.work(progress.take)
    finally:
        await adoption.close()


class _Person:
    """Asks at the terminal; without one, nobody answers and every question is an error."""

    def say(self, words: str) -> None:
        """On stderr."""
        click.echo(words, err=True)

    def trust(self, strangers: Sequence[Stranger]) -> bool:
        """One table, one answer."""
        rows = [
            (s.node, s.address, s.fingerprint + (f"  a copy of {s.twin}'s card" if s.twin else ""))
            for s in strangers
        ]
        for line in show.table(HEADER, rows):
            click.echo(line, err=True)
        if not sys.stdin.isatty():
            return False
        click.echo(
            "Compare each with what the board's own screen shows for"
            " `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`.",
            err=True,
        )
        said = click.prompt("Are all of them the same? (yes/no)", err=True)
        return str(said).strip().lower() == "yes"

    def passwords(self, users: Mapping[str, str]) -> Mapping[str, str]:
        """One password for all boards with the same account."""
        found: dict[str, str] = {}
        for user in dict.fromkeys(users.values()) if sys.stdin.isatty() else ():
            nodes = [node for node, account in users.items() if account == user]
            password = _hidden(f"Password of {user} on {', '.join(nodes)}")
            found.update(dict.fromkeys(nodes, password))
        return found

    def new_passwords(self, accounts: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
        """One new password for all boards whose old one everybody knows or has expired."""
        from wulfling.bringup.adopt_board import objection

        if not sys.stdin.isatty():
            return {}
        for node, names in accounts.items():
            click.echo(f"{node}: {' and '.join(names)}: a new password is needed", err=True)
        while True:
            new = _hidden("New password")
            against = objection(new, "")
            if not against and new == _hidden("The same again"):
                return dict.fromkeys(accounts, new)
            click.echo(against or "the two are not the same", err=True)


def _hidden(question: str) -> str:
    return str(click.prompt(question, hide_input=True, err=True))


def tell_adopted(result: Adopted) -> None:
    """One line about one board."""
    if result.error:
        click.secho(f"{result.node}: {result.error.message}", fg="red", err=True)
        return
    done = ", ".join(step.key for step in result.steps)
    words = f"adopted ({done})" if done else "is adopted"
    click.echo(f"{result.node}: {words}")
