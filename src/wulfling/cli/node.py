"""``wulfling node``: work on some nodes, or let them rest."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from wulfling.cli import membership, show
from wulfling.cli.rack import WAIT, YES, agreed, chosen, operator, rack, seconds
from wulfling.cli.river import OUTPUT
from wulfling.cli.setting import setting
from wulfling.day2.rack import in_order, turn
from wulfling.day2.rest import counted, drain_nodes, is_a_reason, resume_nodes
from wulfling.transport.ssh import arguments

SAID_NO = 2  # as of a plan with changes


@click.group()
def node() -> None:
    """Work on some nodes, let them rest, start them anew."""


@node.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shell(file: Path, name: str, command: tuple[str, ...]) -> None:
    """A shell on NAME as the admin account, or the end of one COMMAND given after `--`.

    The exit code is the shell's or the command's; 255 when the node does not answer.
    """
    prepared = setting(file)
    (name,) = chosen(prepared, [name], file)[:1]
    address = prepared.addresses[name]
    typing = not command and sys.stdin.isatty()
    argv = list(arguments(address, address.users[0], interactive=typing))
    if command:
        # One word is a line for the shell there, as with ssh; several words stay those words.
        argv.append(command[0] if len(command) == 1 else shlex.join(command))
    sys.stdout.flush()
    os.execvp(argv[0], argv)


@node.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why, in words: people see it in sinfo -R.")
@click.pass_obj
def drain(file: Path, names: Sequence[str], reason: str) -> None:
    """Give NAMES no more jobs. Those that run there go on to their end.

    Exit code 0: drained, or as soon as the jobs there end; 3: the head does not answer; 4: Slurm
    refuses.
    """
    prepared = setting(file)
    wanted, board_rack = chosen(prepared, names, file), rack(prepared)
    if not is_a_reason(reason):
        raise click.UsageError("--reason has to be a line of text")
    held = asyncio.run(drain_nodes(board_rack, wanted, reason))
    for name in wanted:
        until = f" once these are done, {counted('job', held[name])}" if held[name] else ""
        click.echo(f"{name}: drained{until}")
    click.echo(f"next: wulfling -f {file} node resume {' '.join(wanted)}", err=True)


@node.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def resume(file: Path, names: Sequence[str]) -> None:
    """Give NAMES jobs again, whoever has drained them and why ever they were down.

    A node that is still ill is drained again by its own health check, with the reason. Exit
    code 0: they take jobs; 3: the head does not answer; 4: Slurm refuses.
    """
    prepared = setting(file)
    wanted = chosen(prepared, names, file)
    for line in asyncio.run(resume_nodes(rack(prepared), wanted)):
        click.echo(line)


@node.command()
@click.argument("names", nargs=-1)
@WAIT
@YES
@OUTPUT
@click.pass_obj
def reboot(file: Path, names: Sequence[str], wait: float | None, yes: bool, output: str) -> int:
    """Start NAMES, or all boards, anew: one after the other, and no job is lost.

    Each one is drained, and its jobs end first. It starts, and gets jobs again when it is well:
    clock, mounts, its own health check and Slurm. File servers come behind the others and the
    head comes last; jobs elsewhere wait for them and go on. What others have drained stays
    drained. Killed at any moment, run it again: boards that have started are not started twice.

    Exit code 0: all are well; 2: you said no; 3: a board does not answer; 4: one was held by its
    jobs, or did not come back well, and those after it were left alone.
    """
    from wulfling.day2.reboot import reboot as start_anew

    prepared = setting(file)
    boards = rack(prepared)
    wanted = in_order(boards.cluster, chosen(prepared, names, file) or prepared.addresses)
    if not agreed(f"Start anew, one after the other: {', '.join(wanted)}?", yes=yes):
        return SAID_NO
    with turn(boards.cluster.name, operator()):
        found = asyncio.run(start_anew(boards, wanted, seconds(wait)))
    if output == "json":
        click.echo(show.as_json([asdict(one) for one in found]))
        return 0
    for one in found:
        earlier = "" if one.again else " by the run that was cut off"
        click.echo(f"{one.node}: started anew{earlier}, well after {one.seconds:.0f} s")
    return 0


for command in (membership.add, membership.remove, membership.replace):
    node.add_command(command)
