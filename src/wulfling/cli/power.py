"""``wulfling power``: the whole cluster off, and on again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from wulfling.cli.lab import switch_on, wait_until_off
from wulfling.cli.rack import WAIT, YES, agreed, operator, rack, seconds
from wulfling.cli.setting import setting
from wulfling.day2 import power as rack_power
from wulfling.day2.rack import turn

SAID_NO = 2


@click.group()
def power() -> None:
    """Switch the whole cluster off, and on again, in the right order."""


@power.command()
@WAIT
@YES
@click.pass_obj
def off(file: Path, wait: float | None, yes: bool) -> int:
    """Switch all boards off, once every running job has ended. Waiting jobs stay in the queue.

    Who computes goes first, then the head, and file servers last. Power that comes back, by
    `power on` or by hand, brings the cluster back: no command is needed. Killed at any moment,
    run it again.

    Exit code 0: all are off; 2: you said no; 3: the head does not answer; 4: a job held it up,
    or a board stays on.
    """
    boards = rack(setting(file))
    if not agreed(f"Switch {boards.cluster.name} off when its jobs have ended?", yes=yes):
        return SAID_NO
    with turn(boards.cluster.name, operator()):
        names = asyncio.run(rack_power.off(boards, seconds(wait)))
        if boards.cluster.virtual:
            wait_until_off(boards.cluster.name)
    click.echo(f"off: {' '.join(names) or 'nothing was on'}")
    if silent := [name for name in boards.addresses if name not in names]:
        click.echo(f"did not answer, so off already or cut off: {' '.join(silent)}")
    click.echo(f"next: wulfling -f {file} power on", err=True)
    return 0


@power.command()
@click.pass_obj
def on(file: Path) -> int:
    """Wait until all boards are on and well, and tell which are to be switched on by hand.

    Virtual boards are switched on. Real ones get a Wake-on-LAN packet where the file has their
    `mac:`; most boards, and every Raspberry Pi, need a hand at the plug.

    Exit code 0: all are well; 3: some do not answer; 4: one is not well, and the line says why.
    """
    prepared = setting(file)
    boards = rack(prepared)
    if boards.cluster.virtual:
        switch_on(prepared)
    with turn(boards.cluster.name, operator()):
        names = asyncio.run(rack_power.on(boards))
    click.echo(f"on, and well: {' '.join(names)}")
    return 0
