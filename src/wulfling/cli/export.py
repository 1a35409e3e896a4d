"""``wulfling export``: what other tools need to know of the cluster, in their own formats."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from wulfling.cli.setting import setting
from wulfling.model.cluster import Role
from wulfling.transport import host_ca


@click.group()
def export() -> None:
    """Write the cluster down for other tools; the text goes to stdout."""


@export.command()
@click.option("--all", "everyone", is_flag=True, help="Storage and login nodes too.")
@click.option("--slots", type=click.IntRange(min=1), help="Ranks for each node, as host:slots.")
@click.pass_obj
def machinefile(file: Path, everyone: bool, slots: int | None) -> None:
    """For `mpiexec -f`: a node on each line."""
    cluster = setting(file).resolve()
    suffix = f":{slots}" if slots else ""
    for node in cluster.nodes if everyone else cluster.having(Role.COMPUTE):
        click.echo(f"{node.name}{suffix}")


@export.command()
@click.pass_obj
def hosts(file: Path) -> None:
    """Lines for your own PC's /etc/hosts."""
    cluster = setting(file).resolve()
    for node in cluster.nodes:
        click.echo(f"{node.address} {node.name} {node.name}.{cluster.domain}")


@export.command("known-hosts")
@click.pass_obj
def known_hosts(file: Path) -> None:
    """For people's ~/.ssh/known_hosts: one line that vouches for every board, also for one that
    was replaced. The next `wulfling apply` gives the boards their certificates.

    What vouches is a key on this machine alone; keep it (`host_ca` in the cluster's folder below
    ~/.local/state/wulfling), or people get another line.
    """
    click.echo(host_ca.line(setting(file).resolve(join=False)))


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
        files = [_quoted(place) for place in address.known_hosts]
        if not address.virtual:  # those are pinned by the lab, real ones also by your own ssh
            files += ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
        click.echo(f"    UserKnownHostsFile {' '.join(files)}")
        for identity in address.identities:
            click.echo(f"    IdentityFile {_quoted(identity)}")
            click.echo("    IdentitiesOnly yes")
        if address.proxy:
            click.echo(f"    ProxyCommand {_literal(shlex.join(address.proxy))}")


def _literal(text: str) -> str:
    """A percent sign that is none of the tokens of ssh_config(5)."""
    return text.replace("%", "%%")


def _quoted(file: Path) -> str:
    text = _literal(str(file))
    return f'"{text}"' if " " in text else text
