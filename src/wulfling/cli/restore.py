"""``wulfling restore head``: a blank board becomes the head that was, from its backup."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import click

from wulfling.cli.backup import check_asked_for, opened
from wulfling.cli.lab import switch_on
from wulfling.cli.membership import ANSWERS, first_contact
from wulfling.cli.rack import YES, agreed, operator, rack
from wulfling.cli.river import bring
from wulfling.cli.setting import Setting, setting
from wulfling.day2 import backup as backups
from wulfling.day2 import keys as kept_keys
from wulfling.day2 import membership
from wulfling.day2.membership import Answer
from wulfling.day2.rack import Rack, turn
from wulfling.day2.rest import recovered
from wulfling.errors import Unreachable
from wulfling.transport import pins

SAID_NO = 2


@click.group()
def restore() -> None:
    """Bring back what a disk took with it."""


@restore.command()
@click.option(
    "--at",
    default="latest",
    show_default=True,
    metavar="MOMENT",
    help="A moment of `backup list`, or how it begins: 2026-11-27T09.",
)
@ANSWERS
@YES
@click.pass_obj
def head(file: Path, *, at: str, answers: Path | None, yes: bool) -> int:
    """Make a blank board the head that was: the queue, the accounts, people and their limits, the
    secrets, and the homes if they were on its disk.

    Put the board, or the new SD card, in the old one's place; a virtual board is switched on. You
    compare its host key, as for `node replace`. Nothing of Slurm starts on it before the state is
    back. Killed at any moment, run it again. A head that has its queue only gets an apply.

    Exit code 0: the head works; 1: there is no such backup, or nothing here opens it; 2: you said
    no; 3: a board does not answer; 4: a board failed.
    """
    prepared = setting(file)
    boards = rack(prepared)
    check_asked_for(boards.cluster, file)
    repository = opened(boards, file)
    name = boards.cluster.head
    with turn(boards.cluster.name, operator()):
        if boards.cluster.virtual:
            switch_on(prepared)
        if code := _arrive(prepared, boards, answers, file):
            return code
        if asyncio.run(backups.has_queue(boards)):
            click.echo(f"{name} has a queue and accounts of its own: nothing is brought back")
            return bring(file).exit_code
        moment, recalled = asyncio.run(repository.recall(at))
        homes = asyncio.run(repository.homes())
        if not homes and boards.cluster.homes_on(boards.cluster.node(name)):
            click.echo(f"{name}: its homes were never saved, and do not come back", err=True)
        if not agreed(f"Make {name} what it was at {moment} (UTC)?", yes=yes):
            return SAID_NO
        outcome = bring(file, moment=moment, recalled=recalled)
        if outcome.exit_code not in (0, Unreachable.exit_code):
            return outcome.exit_code
        asyncio.run(_settle(boards, outcome.plan.unreachable.keys()))
        queue, rows = asyncio.run(backups.counted(boards))
    with_homes = f", homes of {homes}" if homes else ""
    click.echo(
        f"{name}: the head of {moment} is back: {queue} jobs in the queue, {rows} in the accounts"
        + with_homes
    )
    click.echo("jobs that were submitted after that moment are not known to it", err=True)
    return outcome.exit_code


@restore.command()
@click.argument("keys_file", metavar="FILE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--identity",
    type=click.Path(path_type=Path, exists=True),
    help="The private key of a recipient: age's or SSH's. Without it age asks for the passphrase.",
)
@click.option("--head", "to_head", is_flag=True, help="Give the head its secrets back, too.")
@YES
@click.pass_obj
def keys(file: Path, keys_file: Path, identity: Path | None, *, to_head: bool, yes: bool) -> int:
    """Put back what `backup keys` has written: this machine's part, and with --head the head's.

    The head gets the munge key and the tunnel's key, and the next apply brings them to where they
    belong. Host keys of boards stay in FILE, for a person: age -d FILE shows all of it.

    Exit code 0: it is back; 2: you said no; 3: the head does not answer.
    """
    prepared = setting(file)
    name = prepared.resolve(join=False).name
    found = kept_keys.decrypt(keys_file, identity, name)
    others = kept_keys.differing(found, name)
    if others and not agreed(f"Replace {', '.join(others)} of this machine?", yes=yes):
        return SAID_NO
    with turn(name, operator()):
        for one in kept_keys.keep_here(found, name):
            click.echo(f"{pins.state_directory(name) / one}")
        if to_head:
            boards = rack(setting(file))
            for path in asyncio.run(kept_keys.give_back(boards, found)):
                click.echo(f"{boards.cluster.head}: {path}")
            click.echo(f"next: wulfling -f {file} apply", err=True)
    return 0


def _arrive(prepared: Setting, boards: Rack, answers: Path | None, file: Path) -> int:
    """Meet the board in the head's place; the exit code when it cannot be met."""
    name = boards.cluster.head
    answer = asyncio.run(membership.who_answers(boards, name))
    if answer is Answer.NOBODY:
        raise Unreachable(
            "no board answers there",
            hint=f"switch the new one on, then: wulfling -f {file} restore head",
            where=name,
        )
    return first_contact(prepared, name, answers) if answer is Answer.STRANGER else 0


async def _settle(boards: Rack, away: Collection[str]) -> None:
    """Have the boards find each other again, and wait until they are well."""
    names = [name for name in boards.addresses if name not in away]
    await backups.mount_again(boards, names)
    for name in names:
        await recovered(boards, name)
