"""``wulfling usage``: who used how much of the cluster."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT
from wulfling.cli.setting import setting

HEADER = ("ACCOUNT", "PERSON", "JOBS", "FAILED", "RUNNING", "CPU HOURS", "GIB HOURS")
DAYS = 30
KEYS = {
    "since": "Begin of the time, in UTC",
    "until": "Its end",
    "people": "A list, everybody who used anything in an account",
    "accounts": "A list, the same for each account as a whole",
}
ROW_KEYS = {
    "account": "The account in Slurm",
    "user": "The person; empty for the whole account",
    "jobs": "Jobs that ran in that time",
    "failed": "Those that ended in another way than COMPLETED",
    "running": "Those that still run",
    "cpu_hours": "CPUs times hours, within that time",
    "gib_hours": "Memory in GiB that jobs were given, times hours",
}
_TIME = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option("--since", type=_TIME, help=f"Begin, such as 2026-03-01. Without it {DAYS} days ago.")
@click.option("--until", type=_TIME, help="End. Without it now.")
@OUTPUT
@click.pass_obj
def usage(file: Path, since: datetime | None, until: datetime | None, output: str) -> int:
    """Show who used how much, by person and by account, from what Slurm has recorded.

    Jobs that run count as far as they are. Dates are those of this machine's time zone.
    """
    from wulfling.day2.asking import Ask
    from wulfling.day2.usage import usage as added_up
    from wulfling.transport.ssh import Ssh

    prepared = setting(file)
    end = (until or datetime.now()).astimezone()
    begin = since.astimezone() if since else end - timedelta(days=DAYS)
    if begin >= end:
        raise click.UsageError(f"--since {begin:%Y-%m-%dT%H:%M} is not before the end")
    ask = Ask(prepared.addresses, Ssh())
    report = asyncio.run(added_up(prepared.resolve(), begin, end, ask))
    if output == "json":
        click.echo(show.as_json(report.as_json()))
        return 0
    rows = sorted([*report.people, *report.accounts], key=lambda one: (one.account, one.user == ""))
    for line in show.table(HEADER, [one.cells() for one in rows]):
        click.echo(line)
    click.echo(f"from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}", err=True)
    return 0
