"""``wulfling status``: how is it? Once, again and again, or as a view to walk about in."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from wulfling.cli import screen, show
from wulfling.cli.rack import operator
from wulfling.cli.river import OUTPUT
from wulfling.cli.setting import setting
from wulfling.converge.checks.check import span
from wulfling.converge.status import Glance, Watch
from wulfling.day2.rack import Rack
from wulfling.errors import WulflingError
from wulfling.transport.ssh import Ssh

IN_A_PIPE = 200  # columns, unless COLUMNS says otherwise: nothing has to be left out
BEAT = 1.0  # seconds between two pictures on a terminal
SOON = 0.1
INTERRUPTED = 130
PLAIN = str.maketrans({screen.FULL: "#", screen.EMPTY: ".", "°": ""})


@click.command()
@click.option("-w", "--watch", "watching", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="How long to rest between two looks at a node.",
)
@click.option(
    "--tui", is_flag=True, help="A view with details, logs, and keys to drain and resume."
)
@OUTPUT
@click.pass_obj
def status(file: Path, watching: bool, every: float, tui: bool, output: str) -> int:
    """Everything on one screen: does each node answer, what does Slurm say and why, load, memory,
    disk, heat, link, pending updates; the queue, and storage. It is a table where there is room,
    and a few lines a node on a phone. Below each node stands what is wrong, in words; `doctor`
    says more.

    --watch goes on: a board that goes away is shown as away until it is back. With `-o json` it
    prints a line for each look.

    Exit code 0: every node is well; 3: some are unreachable; 4: something is wrong; 130: Ctrl-C
    has ended --watch.
    """
    prepared = setting(file)
    watch = Watch(prepared.resolve(), prepared.addresses, Ssh())
    if tui:
        if watching or output == "json":
            raise click.UsageError("--tui is a view of its own: without --watch and -o json")
        boards = Rack(prepared.resolve(join=False), prepared.addresses, Ssh(), operator())
        return _view(watch, boards, every)
    try:
        if watching:
            _go_on(watch, every, output)
            return INTERRUPTED
        glance = asyncio.run(watch.look())
    except KeyboardInterrupt:
        if watching:
            return INTERRUPTED
        raise
    if output == "json":
        click.echo(show.as_json([node.as_json() for node in glance.nodes]))
    else:
        _print(glance)
        if glance.findings:
            click.echo(f"next: wulfling -f {file} doctor", err=True)
    if not glance.all_answer:
        return 3
    return 0 if glance.well else 4


def _print(glance: Glance) -> None:
    for line in screen.lines(glance, _width()):
        click.echo(_writable(line))


def _width() -> int:
    return shutil.get_terminal_size((IN_A_PIPE if not sys.stdout.isatty() else 80, 24)).columns


def _writable(line: str) -> str:
    """The line in letters that this terminal can show."""
    known = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return line if known else line.translate(PLAIN)


def _go_on(watch: Watch, every: float, output: str) -> None:
    """Look and tell until Ctrl-C."""
    if output == "json":

        def tell() -> None:
            nodes = [node.as_json() for node in watch.glance().nodes]
            click.echo(json.dumps(nodes, ensure_ascii=False))

        asyncio.run(_told(watch, every, tell, every))
    elif sys.stdout.isatty():
        _live(watch, every)
    else:
        asyncio.run(_told(watch, every, lambda: _print(watch.glance()), every))


def _live(watch: Watch, every: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    began = time.monotonic()

    def picture() -> Text:
        glance = watch.glance()
        went = f"{span(int(time.monotonic() - began))}, a look every {every:g} s"
        asking = f"; asking {', '.join(watch.unheard)}" if watch.unheard else ""
        room = shutil.get_terminal_size().lines - 2
        told = screen.lines(glance, _width(), room)
        lines = [*told, "", f"{went}{asking}; Ctrl-C ends it"]
        return Text.from_ansi("\n".join(map(_writable, lines)), no_wrap=True)

    def draw() -> None:
        live.update(picture(), refresh=True)

    with Live(picture(), console=Console(highlight=False), auto_refresh=False) as live:
        asyncio.run(_told(watch, every, draw, BEAT, early=True))


async def _told(
    watch: Watch, every: float, tell: Callable[[], None], pause: float, *, early: bool = False
) -> None:
    """Tell again and again how it is, while boards are looked at; ``early`` before all of them
    were heard for the first time. Raises what ``Watch.look`` raises."""
    looking = asyncio.ensure_future(watch.go_on(every))
    while not looking.done():
        ready = early or not watch.unheard
        if ready:
            tell()
        await asyncio.wait({looking}, timeout=pause if ready else SOON)
    looking.result()


def _view(watch: Watch, boards: Rack, every: float) -> int:
    try:
        from wulfling.cli.tui import View
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "textual":
            raise
        raise WulflingError(
            "the view needs textual, which is not installed here",
            hint="pip install 'wulfling[tui]'; or `wulfling status --watch`, which needs nothing",
        ) from None
    ended_by = View(watch, boards, every).run()
    if ended_by is not None:
        raise ended_by
    return 0
