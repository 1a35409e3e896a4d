"""``wulfling card``: SD cards and their images for the nodes of a cluster file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from wulfling.bringup import card as cards
from wulfling.bringup import debian_image, debian_recipe
from wulfling.bringup.card import Order, Progress, Ready, Written
from wulfling.bringup.device import Machine
from wulfling.bringup.mechanism import Mechanism
from wulfling.cli import show
from wulfling.cli.setting import setting
from wulfling.converge.outcome import CHANGES
from wulfling.errors import WulflingError

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

MACHINE = Machine()
PLACE = click.Path(path_type=Path, readable=False)  # we say ourselves why not, and what to do

_STAGES = {"read": "reading the image", "write": "writing", "verify": "reading it back"}


def _bytes(text: str) -> int:
    """A size such as 32G: powers of 1024, as everywhere in the cluster file."""
    from wulfling.spec import notation
    from wulfling.spec.problem import Refused

    try:
        return notation.size(text) << 20
    except Refused as refused:
        raise click.BadParameter(f"{refused.message}; {refused.hint}") from None


@click.group()
def card() -> None:
    """SD cards for the nodes of the cluster file."""


@card.command()
@click.argument("node")
@click.option(
    "--image",
    type=PLACE,
    help="The image of Raspberry Pi OS or Ubuntu as it was downloaded (.img, .img.xz, .img.gz or"
    " .zip), or that of `card build`.",
)
@click.option(
    "--to",
    "target",
    type=PLACE,
    required=True,
    help="A card (/dev/sdX), an image file to be made, or the mounted boot folder of a card that"
    " has the image already.",
)
@click.option(
    "--expect", type=_bytes, default="64G", show_default=True, help="Refuse a larger card."
)
@click.option(
    "--mechanism",
    type=click.Choice([way.value for way in Mechanism]),
    help="How the image is customised. Default: the one it has; firstrun where custom.toml would"
    " do as well.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def write(
    file: Path,
    *,
    node: str,
    image: Path | None,
    target: Path,
    expect: int,
    mechanism: str | None,
    yes: bool,
    output: str,
) -> int:
    """Prepare an SD card or an image file for NODE, without root.

    The board then boots with its name, its address, the admin account with your keys and no
    password, and a host key that is pinned here: the first connection is already verified.
    Nothing is written before the image was read to its end, and what was written is read back.
    Exit code 2: you said no.
    """
    cluster = setting(file).resolve()
    if node not in [known.name for known in cluster.nodes]:
        known = ", ".join(known.name for known in cluster.nodes)
        raise WulflingError(f"there is no node {node}", hint=f"the file has {known}")
    asked = Mechanism(mechanism) if mechanism else None
    order = Order(cluster, cluster.node(node), target, image, expect, asked)
    with Bar() as bar, cards.prepared(order, MACHINE, bar.take) as ready:
        if not yes and not _agreed(ready, bar, err=output == "json"):
            click.echo("nothing was written", err=True)
            return CHANGES
        written = cards.write(ready, MACHINE, bar.take)
    if output == "json":
        click.echo(show.as_json(as_json(order, written)))
    else:
        _tell(order, written)
    for step in written.remaining:
        click.echo(f"left to do: {step}", err=True)
    click.echo(f"next: wulfling -f {file} plan   # when the board has booted", err=True)
    return 0


@card.command()
@click.option("--to", "target", type=PLACE, required=True, help="The image file to be made.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def build(file: Path, *, target: Path, yes: bool, output: str) -> int:
    """Make a bootable arm64 image of Debian 12's packages alone, without root.

    One image serves the nodes of every role: `card write` makes copies of it theirs, and the
    first apply brings what each role needs. It takes minutes, most of them in an emulator of
    the board's processor. Exit code 2: you said no.
    """
    if target.is_file() and not yes:
        what = f"{target} is there already. Replace it?"
        if not sys.stdin.isatty():
            raise click.UsageError(f"nobody is here to be asked: {what} `-y` goes ahead")
        if not click.confirm(what, err=output == "json"):
            click.echo("nothing was written", err=True)
            return CHANGES
    click.echo("building Debian 12 for arm64, which takes minutes", err=True)
    built = debian_image.build(target)
    if output == "json":
        click.echo(show.as_json(built_as_json(built)))
    else:
        taken = f"{built.used / 1e6:.0f} MB of this disk"
        click.echo(f"{target}: Debian 12, {built.size} bytes, {taken}")
        click.echo(f"sha256: {built.sha256}")
    click.echo(f"next: wulfling -f {file} card write NODE --image {target} --to CARD", err=True)
    return 0


def built_as_json(built: debian_image.Built) -> dict[str, Any]:
    """One image for machines."""
    return {
        "target": str(built.path),
        "release": debian_recipe.SUITE,
        "architecture": "arm64",
        "bytes": built.size,
        "bytes_used": built.used,
        "sha256": built.sha256,
    }


def as_json(order: Order, written: Written) -> dict[str, Any]:
    """One card for machines."""
    return {
        "node": order.node.name,
        "address": str(order.node.address),
        "target": str(order.target),
        "mechanism": written.mechanism,
        "files": list(written.files),
        "bytes": written.size,
        "sha256": written.sha256,
        "host_key": written.host_key,
        "remaining": list(written.remaining),
    }


def _tell(order: Order, written: Written) -> None:
    node, target = order.node, order.target
    if written.size:
        click.echo(f"{target}: {written.size} bytes for {node.name}, read back and the same")
        click.echo(f"sha256: {written.sha256}")
    else:
        click.echo(f"{target}: the boot folder is {node.name}'s, read back and the same")
    click.echo(f"{written.mechanism}: {', '.join(written.files)}")
    click.echo(f"host key: {f'{written.host_key}, pinned' if written.host_key else 'its own'}")


def _agreed(ready: Ready, bar: Bar, *, err: bool) -> bool:
    """Whether the person wants what is there to be replaced."""
    name, target = ready.order.node.name, ready.order.target
    if ready.card:
        what = f"{target}: {ready.card.model or 'a disk'}, {ready.card.size / 1e9:.1f} GB."
        what += f" Erase all of it, and write {name} to it?"
    elif ready.image and target.exists():
        what = f"{target} is there already. Replace it?"
    else:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody is here to be asked: {what} `-y` goes ahead")
    bar.rest()
    return click.confirm(what, err=err)


class Bar:
    """A bar with bytes, rate and time left on a terminal, silence in a pipe."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.rest()

    def take(self, progress: Progress) -> None:
        """Show how far it is."""
        if not sys.stderr.isatty():
            return
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        if progress.stage not in self._tasks:
            words = _STAGES[progress.stage]
            self._tasks[progress.stage] = self._bars.add_task(words, total=progress.total)
        self._bars.update(self._tasks[progress.stage], completed=progress.done)

    def rest(self) -> None:
        """Leave the terminal to others; the next step takes it again."""
        if self._bars:
            self._bars.stop()
        self._bars, self._tasks = None, {}


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description:17}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
