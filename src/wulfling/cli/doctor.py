"""``wulfling doctor``: what is wrong, why, and what to do about it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT, errand_of
from wulfling.cli.setting import Setting, setting
from wulfling.converge import doctor as physician
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.finding import Finding
from wulfling.transport.ssh import Ssh

ALONE = frozenset({"reach"})  # what gives the exit code 3 when it is all that was found


@click.command()
@click.argument("words", nargs=-1, metavar="[NODE]...")
@click.option("--fix", is_flag=True, help="Mend what can be mended, and say what cannot and why.")
@OUTPUT
@click.pass_obj
def doctor(file: Path, words: Sequence[str], fix: bool, output: str) -> int:
    """Say what is wrong, from cause to symptom: the first cause alone, with its evidence.

    All boards are asked at once, and nothing is changed there without --fix. With NODE only
    what concerns these nodes is told. `doctor job NUMBER` says why a job waits, or how it ended.

    Exit code 0: nothing is wrong, or all of it is mended; 3: a node does not answer, and that is
    all; 4: something is wrong.
    """
    prepared = setting(file)
    if words[:1] == ("job",) and len(words) == 2 and not fix:
        from wulfling.cli.job import tell_job

        return tell_job(prepared, words[1], output)
    _refuse_unknown(prepared, words, file)
    started = time.monotonic()
    findings, mended, failed = asyncio.run(_work(prepared, words, fix, output == "text"))
    if output == "json":
        click.echo(show.as_json(as_json(findings, mended, failed)))
    else:
        _tell(findings, mended, failed, fix)
    seconds = time.monotonic() - started
    if not findings:
        done = f", {len(mended)} mended" if mended else ""
        click.echo(f"nothing is wrong{done} ({seconds:.1f} s)", err=True)
    elif not fix and any(finding.mend for finding in findings):
        click.echo(f"next: wulfling -f {file} doctor --fix", err=True)
    return exit_code(findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when nothing is wrong, 3 when all that is wrong is that nodes do not answer, else 4."""
    if not findings:
        return 0
    away = all(finding.check in ALONE for finding in findings)
    return Unreachable.exit_code if away else NodeFailed.exit_code


def _refuse_unknown(prepared: Setting, words: Sequence[str], file: Path) -> None:
    for word in words:
        if word not in prepared.addresses:
            known = ", ".join(prepared.addresses)
            raise WulflingError(
                f"there is no node {word}",
                hint=f"the file has {known}; `doctor job NUMBER` looks at a job",
                where=str(file),
            )


async def _work(
    prepared: Setting, only: Sequence[str], fix: bool, aloud: bool
) -> tuple[tuple[Finding, ...], tuple[Finding, ...], tuple[tuple[str, str], ...]]:
    errand, cluster = errand_of(prepared)
    dial = Ssh()

    async def look() -> physician.Examined:
        return await physician.examine(errand, cluster, dial)

    def tell(what: str, finding: Finding) -> None:
        if aloud and sys.stderr.isatty():
            click.echo(f"{what} {finding.subject}: {finding.check}", err=True)

    first = await look()
    if not fix:
        cluster_name = first.evidence.cluster.name
        found = first.findings
        return tuple(f for f in found if not only or f.subject in (*only, cluster_name)), (), ()
    done = await physician.mend(first, errand, look, dial, tell=tell, only=only)
    return done.left, done.mended, done.failed


def as_json(
    findings: Sequence[Finding],
    mended: Sequence[Finding] = (),
    failed: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The diagnosis for machines. The field names are a promise (docs/reference/json.md)."""
    return {
        "findings": [show.cause_json(finding) for finding in findings],
        "mended": [show.cause_json(finding) for finding in mended],
        "failed": [{"subject": subject, "words": words} for subject, words in failed],
    }


def _tell(
    findings: Sequence[Finding],
    mended: Sequence[Finding],
    failed: Sequence[tuple[str, str]],
    fix: bool,
) -> None:
    for finding in mended:
        click.echo(click.style("mended ", fg="green") + f"{finding.subject}: {finding.words}")
        if finding.mend:
            click.echo(f"       {finding.mend.words}")
    for finding in findings:
        for line in show.cause_lines(finding, tried=fix):
            click.echo(line)
    for subject, words in failed:
        click.echo(click.style("failed ", fg="red") + f"{subject}: {words}")
