"""``wulfling export``: what other tools need to know of the cluster, in their own formats."""

from __future__ import annotations

from pathlib import Path

import click

from wulfling.cli.setting import setting
from wulfling.model.cluster import Role


@click.group()
def export() -> None:
    """Write the cluster down for other tools; the text goes to stdout."""


@export.command()
@click.option("--all", "everyone", is_flag=True, help="Storage and login nodes too.")
@click.option("--slots", type=int, help="Ranks for each node, as host:slots.")
@click.pass_obj
def machinefile(file: Path, everyone: bool, slots: int | None) -> None:
    """For `mpiexec -f`: a node on each line (1-21)."""
    cluster = setting(file).resolve()
    suffix = f":{slots}" if slots else ""
    for node in cluster.nodes if everyone else cluster.having(Role.COMPUTE):
        click.echo(f"{node.name}{suffix}")


@export.command()
@click.pass_obj
def hosts(file: Path) -> None:
    """Lines for your own PC's /etc/hosts (2-11)."""
    cluster = setting(file).resolve()
    for node in cluster.nodes:
        click.echo(f"{node.address} {node.name} {node.name}.{cluster.domain}")


@export.command("ssh-config")
@click.pass_obj
def ssh_config(file: Path) -> None:
    """For ~/.ssh/config, so that `ssh NODE`, scp and editors work (ssh_config(5))."""
    prepared = setting(file)
    for name, address in prepared.addresses.items():
        click.echo(f"Host {name}")
        click.echo(f"    HostName {address.host}")
        click.echo(f"    User {address.users[0]}")
        click.echo("    StrictHostKeyChecking yes")
        pinned = " ".join(str(place) for place in address.known_hosts)
        click.echo(f"    UserKnownHostsFile {pinned}")
        for identity in address.identities:
            click.echo(f"    IdentityFile {identity}")
            click.echo("    IdentitiesOnly yes")
        if address.proxy:
            click.echo(f"    ProxyCommand {' '.join(address.proxy)}")
