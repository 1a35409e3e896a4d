"""``wulfling doctor job``: why a job waits, or how it ended."""

from __future__ import annotations

import asyncio

import click

from wulfling.cli import show
from wulfling.cli.setting import Setting
from wulfling.converge.job import NUMBER, QUESTION, explain, parse
from wulfling.errors import WulflingError
from wulfling.model.finding import Verdict
from wulfling.transport.ssh import Ssh


def tell_job(prepared: Setting, job: str, output: str) -> int:
    """Print one sentence about the job and the evidence. 0 when it runs or ended well, 4 when it
    waits or ended badly, 1 when Slurm does not know it."""
    cluster = prepared.resolve()
    if not NUMBER.fullmatch(job):
        raise WulflingError(f"{job} is no job number", hint="wulfling doctor job 42")
    if cluster.slurm is None:
        raise WulflingError(f"{cluster.name} has no Slurm, and so no jobs")
    argv = ("sh", "-c", QUESTION.format(job=job))
    head = prepared.addresses[cluster.head]
    done = asyncio.run(Ssh().run(head, argv, root=True, timeout=90))
    finding = explain(job, parse(done.stdout))
    if output == "json":
        click.echo(show.as_json(show.cause_json(finding)))
    else:
        for line in show.cause_lines(finding):
            click.echo(line)
    return {Verdict.GOOD: 0, Verdict.BAD: 4, Verdict.UNKNOWN: 1}[finding.verdict]
