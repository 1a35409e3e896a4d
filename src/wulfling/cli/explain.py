"""``wulfling explain``: each step on a node as the commands a person would type."""

from __future__ import annotations

from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT, talk
from wulfling.cli.setting import Setting, setting
from wulfling.components import compile_cluster
from wulfling.converge.observe import plan
from wulfling.converge.session import NOT_MADE_YET
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster
from wulfling.model.resource import Resource
from wulfling.model.zones import logins, zones


@click.command()
@click.argument("node")
@click.argument("thing", required=False)
@OUTPUT
@click.pass_obj
def explain(file: Path, node: str, thing: str | None, output: str) -> None:
    """What makes NODE what it is: the plain commands, why, and how to undo them.

    THING narrows it down, for example `slurmd` or `/etc/hosts`.
    """
    cluster, declared = _declared(setting(file), node)
    resources = [r for r in declared if thing is None or thing in r.key]
    if not resources:
        raise WulflingError(f"nothing on {node} is called {thing}", hint=f"wulfling explain {node}")
    if output == "json":
        click.echo(show.as_json([_as_json(resource) for resource in resources]))
        return
    if thing is None:
        board = cluster.node(node)
        click.echo(f"# zones: {', '.join(zone.value for zone in zones(cluster, board))}")
        click.echo(f"# people who may log in: {logins(cluster, board).value}\n")
    for resource in resources:
        click.secho(f"# {resource.key}", bold=True)
        if resource.why:
            click.echo(f"# why: {resource.why}")
        for command in resource.commands():
            click.echo(command)
        for command in resource.undo():
            click.echo(f"# undo: {command}")
        click.echo()


def _declared(prepared: Setting, node: str) -> tuple[Cluster, tuple[Resource, ...]]:
    """What the node is to be; what it is made of has to be measured first."""
    if node not in prepared.addresses:
        raise WulflingError(
            f"there is no node {node}", hint=f"the file has {', '.join(prepared.addresses)}"
        )
    outcome = talk(prepared, plan, show_progress=False)
    cluster = prepared.resolve(outcome.hardware, NOT_MADE_YET)
    declared = compile_cluster(cluster)
    if node not in declared:
        raise outcome.errors[node]
    return cluster, declared[node]


def _as_json(resource: Resource) -> dict[str, object]:
    return {
        "key": resource.key,
        "why": resource.why,
        "commands": list(resource.commands()),
        "undo": list(resource.undo()),
    }
