"""``wulfling lab``: the cluster file's boards as virtual machines on this PC."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.setting import Setting, setting
from wulfling.errors import WulflingError
from wulfling.lab.record import BoardSpec, LabSpec
from wulfling.model.cluster import Cluster, Role


@click.group()
def lab() -> None:
    """Virtual boards on this PC: real Debian machines with kernels of their own."""


@lab.command()
@click.argument("boards", nargs=-1)
@click.pass_obj
def up(file: Path, boards: Sequence[str]) -> None:
    """Switch on all boards of the cluster file, or only BOARDS."""
    started = time.monotonic()
    prepared = setting(file)
    name = switch_on(prepared, boards)
    click.echo(f"lab {name} is up after {time.monotonic() - started:.1f} s")
    click.echo(f"next: wulfling -f {file} apply", err=True)


def switch_on(prepared: Setting, boards: Sequence[str] = ()) -> str:
    """Switch on all virtual boards of a file, or only some, and pin their host keys; the name
    of the lab."""
    from wulfling.lab import lab as labs
    from wulfling.transport import pins

    cluster = _virtual(prepared)
    if boards:
        labs.start(cluster.name, boards, _say)
    else:
        labs.up(_asked_for(prepared, cluster), _say)
    for node in cluster.nodes:
        made_with = labs.host_key(cluster.name, node.name)
        if not pins.is_retired(cluster.name, made_with):  # `rotate ssh` has given it another
            pins.pin(cluster.name, str(node.address), [made_with])
    return cluster.name


def wait_until_off(name: str) -> None:
    """Return when the boards of a lab, which have been told to go off, are off: one that is not
    reached any more may still write its last blocks. Raises ``WulflingError`` after a while."""
    from wulfling.lab import lab as labs

    deadline = time.monotonic() + labs.POWER_OFF_PATIENCE
    while left := [board.name for board in labs.status(name).boards if board.running]:
        if time.monotonic() > deadline:
            raise WulflingError(
                f"still on: {', '.join(left)}", hint=f"wulfling lab console {left[0]}"
            )
        time.sleep(0.2)


@lab.command()
@click.pass_obj
def down(file: Path) -> None:
    """Shut all boards down in the right order; their disks stay."""
    from wulfling.lab import lab as labs

    cluster = _virtual(setting(file))
    compute = [n.name for n in cluster.nodes if n.roles == {Role.COMPUTE}]
    servers = [share.server for share in cluster.storage]
    others = [n.name for n in cluster.nodes if n.name not in {*compute, *servers}]
    labs.down(cluster.name, _say, [compute, others])
    click.echo(f"lab {cluster.name} is down; `wulfling lab up` brings the same cluster back")


@lab.command()
@click.argument("boards", nargs=-1, required=True)
@click.pass_obj
def cut(file: Path, boards: Sequence[str]) -> None:
    """Pull the power plug of BOARDS, as an accident would."""
    from wulfling.lab import lab as labs

    labs.cut(_virtual(setting(file)).name, boards)
    click.echo(f"no power: {' '.join(boards)}")


@lab.command()
@click.argument("boards", nargs=-1, required=True)
@click.pass_obj
def replace(file: Path, boards: Sequence[str]) -> None:
    """Put blank boards in the place of BOARDS, as when an SD card has died.

    What was on their disks is lost; `lab up` switches the new ones on.
    """
    from wulfling.lab import lab as labs

    labs.replace(_virtual(setting(file)).name, boards)
    click.echo(f"blank, and off: {' '.join(boards)}")
    click.echo(f"next: wulfling -f {file} lab up {' '.join(boards)}", err=True)


@lab.command(name="list")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def list_(output: str) -> None:
    """Every lab on this PC and the state of its boards."""
    from wulfling.lab import lab as labs

    rows = [
        {
            "lab": status.name,
            "board": board.name,
            "address": str(board.address),
            "state": "on" if board.answering else "starting" if board.running else "off",
            "memory_mb": board.memory_mb,
            "disk_mb": board.disk_bytes >> 20,
        }
        for status in labs.list_labs()
        for board in status.boards
    ]
    if output == "json":
        click.echo(show.as_json(rows))
        return
    header = ("LAB", "BOARD", "ADDRESS", "STATE", "MEMORY", "DISK")
    cells = [[str(value) for value in row.values()] for row in rows]
    for line in show.table(header, cells):
        click.echo(line)


@lab.command()
@click.argument("board")
@click.option("--follow", is_flag=True, help="Go on showing what the board prints.")
@click.pass_obj
def console(file: Path, board: str, follow: bool) -> None:
    """What BOARD has printed on its console since it was switched on."""
    from wulfling.lab import lab as labs

    place = labs.console_path(_virtual(setting(file)).name, board)
    if not place.exists():
        raise WulflingError(
            f"{board} has not been switched on yet", hint=f"wulfling -f {file} lab up"
        )
    with place.open(encoding="utf-8", errors="replace") as text:
        while True:
            if line := text.readline():
                click.echo(line, nl=False)
            elif follow:
                time.sleep(0.2)
            else:
                return


@lab.command()
@click.pass_obj
def destroy(file: Path) -> None:
    """Remove the lab: processes, namespaces and disks."""
    from wulfling.lab import lab as labs

    cluster = _virtual(setting(file))
    labs.destroy(cluster.name, _say)


def _say(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _virtual(prepared: Setting) -> Cluster:
    cluster = prepared.resolve()
    if not cluster.virtual:
        raise WulflingError(
            f"{cluster.name} has real boards, and a lab has virtual ones",
            hint="write `boards: virtual` into a copy of the cluster file",
        )
    return cluster


def _asked_for(prepared: Setting, cluster: Cluster) -> LabSpec:
    from wulfling.spec.members import members

    boards = tuple(
        BoardSpec(member.name, member.address, member.board_memory_mb, member.release)
        for member in members(prepared.spec)
    )
    return LabSpec(cluster.name, cluster.network, boards, cluster.admin, prepared.admin_keys)
