"""``wulfling upgrade``: newer packages for all boards, and no job is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.rack import WAIT, YES, agreed, operator, rack, seconds
from wulfling.cli.setting import setting
from wulfling.day2 import upgrade as upgrades
from wulfling.day2.rack import turn
from wulfling.day2.upgrade import Look, Upgraded
from wulfling.errors import NodeFailed, Unreachable

CHANGES = 2


@click.command()
@click.option("--check", is_flag=True, help="Only say what there is; exit 2 when there is some.")
@WAIT
@YES
@click.pass_obj
def upgrade(file: Path, *, check: bool, wait: float | None, yes: bool) -> int:
    """Install the newer versions of what is installed, on one board after the other.

    Each board is drained and its jobs end first; it starts anew when its kernel or its C library
    is new, and works again when it is well. The first one is the canary: if it does not come
    through, the others are left alone. Slurm's packages come last, slurmdbd before slurmctld
    before slurmd, after a dump of the database; running jobs stay. What has no way back is said
    before you are asked. Killed at any moment, run it again.

    Exit code 0: all is new; 2: you said no, or with --check there is something; 3: a board does
    not answer, the others are done; 4: a board did not come through, those after it were left.
    """
    boards = rack(setting(file))
    with turn(boards.cluster.name, operator()):
        seen = asyncio.run(upgrades.look(boards))
        _tell(seen)
        if not seen.nothing:
            if check or not agreed("Upgrade?", yes=yes):
                return CHANGES
            asyncio.run(upgrades.upgrade(boards, seen, _done, seconds(wait)))
    for name, error in seen.errors.items():
        click.secho(f"{name}: {error.message}", fg="red", err=True)
    if not seen.errors:
        return 0
    away = all(isinstance(error, Unreachable) for error in seen.errors.values())
    return Unreachable.exit_code if away else NodeFailed.exit_code


def _tell(seen: Look) -> None:
    for line in show.plan_lines(seen.outcome.plan):
        click.echo(line)
    for name, why in seen.starts.items():
        click.echo(f"{name}: has to start anew: {why}")
    for name in seen.drained:
        click.echo(f"{name}: was left drained by an upgrade that was cut off")
    for remark in upgrades.remarks(seen):
        click.echo(remark)
    if seen.nothing:
        click.echo("nothing is newer than what is installed")


def _done(one: Upgraded) -> None:
    started = ", started anew" if one.started else ""
    packages = f"{one.packages} package{'s' * (one.packages != 1)}"
    click.echo(f"{one.node}: {packages} ({one.what}){started}, well after {one.seconds:.0f} s")
