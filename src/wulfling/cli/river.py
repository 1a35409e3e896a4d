"""``wulfling plan`` and ``wulfling apply``: from the file to the boards."""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.progress import Progress
from wulfling.cli.setting import Setting, setting
from wulfling.converge.apply import apply as converge
from wulfling.converge.events import OnEvent
from wulfling.converge.observe import plan as observe
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Errand, Known, Recalled
from wulfling.errors import WulflingError
from wulfling.model.cluster import Backup, Cluster, Secrets
from wulfling.model.plan import Status
from wulfling.model.resource import Resource
from wulfling.transport.ssh import Ssh

OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
Verb = Callable[[Errand, Ssh, OnEvent], Awaitable[Outcome]]


@click.command()
@OUTPUT
@click.pass_obj
def plan(file: Path, output: str) -> int:
    """Show what would change on every board, and change nothing.

    Exit code 0: nothing to do; 2: changes; 3: some boards are unreachable; 4: a board failed.
    """
    prepared = setting(file)
    warn(prepared)
    outcome = talk(prepared, observe, show_progress=False)
    _warn_of_mpi(prepared, outcome)
    if output == "json":
        _tell_json(outcome)
    else:
        _tell_plan(outcome)
        if outcome.plan.changes:
            click.echo(f"next: wulfling -f {file} apply", err=True)
    return outcome.exit_code


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@OUTPUT
@click.pass_obj
def apply(file: Path, yes: bool, output: str) -> int:
    """Bring every board to what the file says. Killed at any moment, run it again.

    Exit code 0: done; 2: you said no; 3: some boards are unreachable, the others are done;
    4: a board failed.
    """
    prepared = setting(file)
    warn(prepared)
    as_json = output == "json"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is here to be asked; `apply -y` goes ahead")
        outcome = talk(prepared, observe, show_progress=False)
        _tell_plan(outcome, err=as_json)
        go_on = outcome.plan.changes and click.confirm("Apply?", err=as_json)
        if not go_on:
            if outcome.plan.changes:
                click.echo("nothing was changed", err=True)
            if as_json:
                click.echo(_json(outcome))
            return outcome.exit_code
    outcome = talk(prepared, converge, show_progress=not as_json)
    _warn_of_mpi(prepared, outcome)
    if as_json:
        _tell_json(outcome)
    else:
        _tell_apply(outcome, file)
    return outcome.exit_code


def bring(file: Path, *, moment: str = "", recalled: Recalled | None = None) -> Outcome:
    """Bring every board to what the file says now, as ``apply -y`` does, and tell of it."""
    prepared = setting(file)
    warn(prepared)
    outcome = talk(prepared, converge, show_progress=True, moment=moment, recalled=recalled)
    _warn_of_mpi(prepared, outcome)
    _tell_apply(outcome, file)
    return outcome


def warn(prepared: Setting) -> None:
    """Say what is worth a word and no refusal."""
    _tell_warnings(prepared.warnings)


def _warn_of_mpi(prepared: Setting, outcome: Outcome) -> None:
    """What can be said only of boards that were measured."""
    from wulfling.spec import mpi

    _tell_warnings(mpi.warnings(prepared.resolve(outcome.hardware, join=False)))


def _tell_warnings(warnings: Sequence[WulflingError]) -> None:
    for warning in warnings:
        click.echo(f"{warning.where}: warning: {warning.message}", err=True)
        if warning.hint:
            click.echo(f"  hint: {warning.hint}", err=True)


def talk(
    prepared: Setting,
    verb: Verb,
    *,
    show_progress: bool,
    scope: tuple[str, ...] = (),
    moment: str = "",
    recalled: Recalled | None = None,
) -> Outcome:
    """Hold one conversation with all boards and return what came of it. With a ``scope`` it is
    about the resources alone whose keys begin like that; the rest is as for ``errand_of``."""
    errand, _ = errand_of(prepared, scope, moment=moment, recalled=recalled)
    with Progress(list(prepared.addresses), shown=show_progress) as progress:

        async def converse() -> Outcome:
            return await verb(errand, Ssh(), progress.take)

        return asyncio.run(converse())


def errand_of(
    prepared: Setting,
    scope: tuple[str, ...] = (),
    *,
    moment: str = "",
    recalled: Recalled | None = None,
) -> tuple[Errand, Callable[[], Cluster]]:
    """What every conversation about this file is for, and the cluster as far as it is known: by
    the file alone at first, with all that was measured once the boards have said hello. A blank
    head is brought back to ``moment`` of its backup, and knows what is ``recalled``."""
    from wulfling.transport.blobs import blob

    cluster = prepared.resolve()

    def compile_known(known: Known) -> Mapping[str, tuple[Resource, ...]]:
        from wulfling.components import compile_cluster

        nonlocal cluster
        cluster = prepared.resolve(known.hardware, known.secrets)
        if cluster.backup and cluster.secrets:
            cluster = _opening(cluster, cluster.backup, cluster.secrets, moment)
        return compile_cluster(cluster)

    def bring(sha256: str) -> bytes:
        return _built(cluster, sha256) or blob(sha256)

    errand = Errand(
        addresses=tuple(prepared.addresses.values()),
        head=cluster.head,
        operator=f"{getpass.getuser()}@{socket.gethostname()}",
        compile=compile_known,
        blob=bring,
        meanwhile=_import_components,
        scope=scope,
        recalled=recalled,
    )
    return errand, lambda: cluster


def _opening(cluster: Cluster, backup: Backup, known: Secrets, moment: str) -> Cluster:
    """The same with what opens its backup, which is kept on this machine as well."""
    from wulfling.transport import backup_secrets

    opened = replace(known, backup=backup_secrets.settled(cluster.name, known.backup))
    return replace(cluster, secrets=opened, backup=replace(backup, restore=moment))


def _built(cluster: Cluster, sha256: str) -> bytes | None:
    """The package with this hash that `wulfling build` has left on this machine."""
    if cluster.slurm is None or cluster.slurm.build is None:
        return None
    from wulfling.bringup import slurm_repository

    return slurm_repository.blob(slurm_repository.wanted(cluster), sha256)


def _import_components() -> None:
    """Done while the boards are being reached, because it takes as long."""
    import wulfling.components  # noqa: F401


def _own_errors(outcome: Outcome) -> dict[str, str]:
    """What went wrong on nodes that answered; why others did not is in the plan."""
    unreachable = outcome.plan.unreachable
    return {n: error.message for n, error in outcome.errors.items() if n not in unreachable}


def _tell_errors(outcome: Outcome) -> None:
    for node, message in _own_errors(outcome).items():
        click.secho(f"{node}: {message}", fg="red", err=True)
    for hint in dict.fromkeys(error.hint for error in outcome.errors.values() if error.hint):
        click.echo(f"  hint: {hint}", err=True)


def _json(outcome: Outcome) -> str:
    return show.as_json(show.plan_json(outcome.plan, _own_errors(outcome)))


def _tell_json(outcome: Outcome) -> None:
    click.echo(_json(outcome))
    _tell_errors(outcome)


def _tell_plan(outcome: Outcome, *, err: bool = False) -> None:
    for line in show.plan_lines(outcome.plan):
        click.echo(line, err=err)
    _tell_notes(outcome)
    _tell_errors(outcome)
    changes = outcome.plan.changes
    nodes = len({step.node for step in outcome.plan.steps})
    if not changes:
        click.echo(f"0 changes on {nodes} nodes", err=err)
        return
    changed = len({step.node for step in changes})
    words = f"{len(changes)} change{'s' * (len(changes) != 1)} on {changed} of {nodes} nodes"
    click.echo(f"{words}, fingerprint {outcome.plan.fingerprint}", err=err)


def _tell_notes(outcome: Outcome) -> None:
    for line in show.note_lines(outcome.plan):
        click.echo(line, err=True)


def _tell_apply(outcome: Outcome, file: Path) -> None:
    for node, words in outcome.repaired.items():
        for word in words:
            click.echo(f"{node}: repaired: {word}")
    for node in dict.fromkeys(step.node for step in outcome.plan.steps):
        steps = [step for step in outcome.plan.steps if step.node == node]
        changed = sum(step.status is Status.CHANGED for step in steps)
        click.echo(f"{node}: {changed} changed, {len(steps)} resources")
    _tell_notes(outcome)
    tell_unwell(outcome)
    if outcome.exit_code == 0:
        click.echo(f"next: wulfling -f {file} verify", err=True)
    else:
        click.echo(f"next: wulfling -f {file} apply   # again, when that is mended", err=True)


def tell_unwell(outcome: Outcome) -> None:
    """Every step of an apply that is not done, and every node that took no part, and why."""
    for step in outcome.plan.of(Status.FAILED, Status.PENDING):
        for line in show.step_lines(step):
            click.echo(f"{step.node}:{line}")
    for node, reason in outcome.plan.unreachable.items():
        click.secho(f"{node}: unreachable: {reason}", fg="red")
    _tell_errors(outcome)
