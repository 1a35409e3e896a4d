"""``wulfling build``: packages of the Slurm that the file asks for, for each kind of board."""

from __future__ import annotations

import asyncio
import getpass
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import click

from wulfling.cli.progress import Progress
from wulfling.cli.setting import Setting, setting
from wulfling.converge.observe import plan as observe
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Errand
from wulfling.errors import WulflingError
from wulfling.transport.blobs import blob
from wulfling.transport.ssh import Ssh


@click.command()
@click.pass_obj
def build(file: Path) -> int:
    """Build the Slurm of `slurm: {build: ...}` for every board whose own release has another.

    Asks the boards what they are, and changes nothing on them. What is built is kept on this
    machine; `apply` brings it to the boards.
    """
    from wulfling.bringup.slurm_build import build as build_one
    from wulfling.bringup.slurm_repository import wanted
    from wulfling.lab import packages

    prepared = setting(file)
    if prepared.spec.slurm is None or prepared.spec.slurm.build is None:
        raise WulflingError(
            "the file asks for no build", hint="write `slurm: {build: {version: 24.11.5}}`"
        )
    outcome = _ask(prepared)
    for node, reason in outcome.plan.unreachable.items():
        click.secho(f"{node}: unreachable: {reason}", fg="red", err=True)
    for kind in wanted(prepared.resolve(outcome.hardware, join=False)):
        started = time.monotonic()
        words = f"Slurm {kind.version} for Debian {kind.os_version} {kind.arch}"
        if kind.is_built:
            click.echo(f"{words} is built already")
            continue
        with packages.used() as proxy:
            build_one(kind, proxy, lambda word: click.echo(word, err=True))
        packages.release()
        click.echo(f"{words}: built in {time.monotonic() - started:.0f} s")
    click.echo(f"next: wulfling -f {file} apply", err=True)
    return 3 if outcome.plan.unreachable else 0


def _ask(prepared: Setting) -> Outcome:
    """What every board is."""
    cluster = prepared.resolve()
    nothing: Mapping[str, tuple[()]] = {}
    errand = Errand(
        addresses=tuple(prepared.addresses.values()),
        head=cluster.head,
        operator=f"{getpass.getuser()}@{socket.gethostname()}",
        compile=lambda known: nothing,
        blob=blob,
    )
    with Progress([node.name for node in cluster.nodes], shown=False) as progress:
        return asyncio.run(observe(errand, Ssh(), progress.take))
