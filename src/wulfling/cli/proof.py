"""``wulfling verify`` and ``wulfling status``: is it a cluster, and how is it?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT, errand_of
from wulfling.cli.setting import setting
from wulfling.converge import verify as proof
from wulfling.converge.checks.backup import NAMES, in_words
from wulfling.converge.doctor import examine
from wulfling.converge.status import status as ask_status
from wulfling.errors import CommandFailed
from wulfling.model.finding import Finding, Verdict
from wulfling.transport.ssh import Ssh

STATUS_HEADER = ("NODE", "ADDRESS", "ROLES", "STATE", "LOAD", "MEMORY", "UP")


@click.command()
@OUTPUT
@click.pass_obj
def verify(file: Path, output: str) -> int:
    """Prove the cluster: clocks, mounts, idle nodes, and one MPI job across all of them. When that
    fails, what doctor finds is told with it.

    Exit code 0: proven; 3: a node is unreachable; 4: something is wrong, and the line says what.
    """
    prepared = setting(file)
    dial = Ssh()
    started = time.monotonic()

    async def ask(node: str, argv: tuple[str, ...]) -> str:
        done = await dial.run(prepared.addresses[node], argv, root=True, timeout=240)
        if done.code != 0:
            raise CommandFailed(argv, done.code, done.stderr or done.stdout, where=node)
        return done.stdout

    def tell(finding: Finding) -> None:
        if output == "text":
            click.echo(show.finding_line(finding))

    async def work() -> tuple[Finding, ...]:
        """The proofs; when one fails, doctor's causes as well."""
        found = await proof.verify(prepared.resolve(), ask, tell)
        if all(finding.verdict is not Verdict.BAD for finding in found):
            return found
        errand, cluster = errand_of(prepared)
        causes = (await examine(errand, cluster, dial)).findings
        told = {(finding.subject, finding.check) for finding in found}
        causes = tuple(f for f in causes if (f.subject, f.check) not in told)
        for cause in causes:
            tell(cause)
        return (*found, *causes)

    findings = asyncio.run(work())
    if output == "json":
        click.echo(show.as_json([show.finding_json(finding) for finding in findings]))
    bad = sum(finding.verdict is not Verdict.GOOD for finding in findings)
    if not bad:
        seconds = time.monotonic() - started
        click.echo(f"proven by {len(findings)} checks in {seconds:.1f} s", err=True)
        return 0
    click.echo(f"{bad} of {len(findings)} checks failed", err=True)
    click.echo(f"next: wulfling -f {file} doctor", err=True)
    return 3 if any(finding.verdict is Verdict.UNKNOWN for finding in findings) else 4


@click.command()
@OUTPUT
@click.pass_obj
def status(file: Path, output: str) -> int:
    """Every node at a glance: does it answer, what does Slurm say, load and memory; heat and
    throttling where a board tells them. Below that, what is wrong in words; `doctor` says more.

    Exit code 0: every node is well; 3: some are unreachable; 4: something is wrong.
    """
    prepared = setting(file)
    found, wrong = asyncio.run(ask_status(prepared.resolve(), prepared.addresses, Ssh()))
    if output == "json":
        click.echo(show.as_json([node.as_json() for node in found]))
    else:
        for line in show.table(STATUS_HEADER, [node.cells() for node in found]):
            click.echo(line)
        for node in found:
            if node.temperature is not None:
                slowed = ", has slowed itself down" if node.throttled else ""
                click.echo(f"{node.node}: {node.temperature:.0f} degrees{slowed}")
            for what, age in node.backups:
                click.echo(f"{node.node}: last {NAMES[what]} {in_words(age)} ago")
        for finding in wrong:
            if finding.check != "reach":  # the table says that
                click.echo(f"{finding.subject}: {finding.words} [{finding.check}]")
        if wrong:
            click.echo(f"next: wulfling -f {file} doctor", err=True)
    if any(not node.reachable for node in found):
        return 3
    return 4 if wrong or any(node.unwell for node in found) else 0
