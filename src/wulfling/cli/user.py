"""``wulfling user``: people come into the cluster file and go out of it, and the boards follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT, talk, tell_unwell, warn
from wulfling.cli.setting import Setting, setting
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.finding import Verdict

if TYPE_CHECKING:
    from wulfling.day2.asking import Ask
    from wulfling.spec.document import Document
    from wulfling.spec.enrol import Entrant
    from wulfling.spec.schema import Spec

HEADER = ("PERSON", "UID", "ACCOUNT", "LIMITS", "QUOTA", "USED", "JOBS", "KEYS")
KEYS = {
    "name": "The account's name",
    "uid": "Its number, the same on every board",
    "account": "The account in Slurm",
    "limits": "What all running jobs may use together; memory in MiB",
    "quota_mb": "What the files may take, in MiB; null is no limit",
    "keys": "How many public keys may log in",
    "used_mb": "What the files take; null where nobody counts, or nobody could be asked",
    "running": "Jobs that run; null when the head could not be asked",
    "pending": "Jobs that wait",
}
Value = TypeVar("Value")

ACCOUNT = click.option("--account", default="", help="Account in Slurm. Without it `compute`.")
LIMIT = click.option("--limit", default="", help="Of all running jobs together: cpu=4,mem=1G.")
QUOTA = click.option("--quota", default="", help="What the person's files may take: 10G.")
NO_JOB = click.option("--no-job", is_flag=True, help="Do not prove it by a first job.")


@click.group()
def user() -> None:
    """People: who uses the cluster, and how much of it."""


@user.command()
@click.argument("name")
@ACCOUNT
@LIMIT
@QUOTA
@click.option(
    "--key", "keys", multiple=True, help="A public key, or the path of a .pub file. Several do."
)
@click.option("--uid", default="", help="The account's number. Without it made from the name.")
@NO_JOB
@click.pass_obj
def add(
    file: Path,
    *,
    name: str,
    account: str,
    limit: str,
    quota: str,
    keys: Sequence[str],
    uid: str,
    no_job: bool,
) -> int:
    """Write NAME into the cluster file, and make the account on every board.

    The same number everywhere, a home that nobody else can read, the key, the association and
    limits in Slurm, the disk quota; then a job of that person proves it. Nothing else on the
    boards is touched, unless this is the first quota of the cluster. Run it again and it goes on.

    Exit code 0: done and proven; 3: some boards are unreachable; 4: a board failed, or the job.
    """
    from wulfling import spec
    from wulfling.spec import enrol

    document = spec.read(file)
    read, _ = spec.check(document)
    entrant = _entrant(account, limit, quota)
    folder = Path.cwd()
    entrant = replace(
        entrant,
        name=_said("NAME", lambda: enrol.name_of(name, read.admin.name)),
        keys=tuple(line for key in keys for line in _said("--key", enrol.keys_of, key, folder)),
        uid=_said("--uid", enrol.uid_text, uid) if uid else "",
    )
    person = read.people.get(name)
    if person is not None and not entrant.same_as(person):
        raise WulflingError(
            f"{name} is in the file already, with other values",
            hint=f"change that line, then: wulfling -f {file} apply",
            where=document.where(("people", name), key=True),
        )
    _enrol(file, document, [entrant] if person is None else [])
    if not entrant.keys:
        click.echo(f"{name} has no key and cannot log in from outside; --key gives one", err=True)
    return _bring_in(file, read, [name], prove=not no_job)


@user.command("import")
@click.argument("class_list", metavar="LIST", type=click.Path(path_type=Path))
@ACCOUNT
@LIMIT
@QUOTA
@NO_JOB
@click.pass_obj
def import_(
    file: Path, *, class_list: Path, account: str, limit: str, quota: str, no_job: bool
) -> int:
    """Write everybody of a class list into the cluster file, and make their accounts.

    LIST is a CSV file. Its first line names the columns: name, and of key, account, limits,
    quota and uid those that there are. The options stand for empty cells. When anything in it
    is wrong, all of that is told with line and column, and nothing is written. Who is in the
    file already with the same values is left as is: run it again and it goes on.
    """
    from wulfling import spec
    from wulfling.spec import roster

    document = spec.read(file)
    read, _ = spec.check(document)
    entrants = roster.read(class_list, document, read, _entrant(account, limit, quota))
    people = [one.name for one in entrants]
    _enrol(file, document, [one for one in entrants if one.name not in read.people])
    return _bring_in(file, read, people, prove=not no_job)


@user.command()
@click.argument("name")
@click.option("--archive", is_flag=True, help="Pack the home, and delete it.")
@click.option("--cancel-jobs", is_flag=True, help="End the person's jobs first.")
@click.pass_obj
def remove(file: Path, *, name: str, archive: bool, cancel_jobs: bool) -> int:
    """Take NAME out of the cluster file, and shut the account on every board.

    The home stays where it is, and with --archive it becomes a file in /home/.archive, which
    root alone can read. The account stays, too, so that files keep their owner; nobody gets in.
    Refused while jobs of that person run or wait.

    Exit code 0: done; 3: some boards are unreachable; 4: a board failed, or jobs are there.
    """
    from wulfling import spec
    from wulfling.day2 import people
    from wulfling.spec.enrol import expelled, nobody
    from wulfling.spec.rewrite import rewrite

    document = spec.read(file)
    before = setting(file)
    cluster, ask = before.resolve(), _ask(before)
    there = name in before.spec.people
    if not there and not archive:
        raise nobody(document, name)
    if there:
        _settle_jobs(file, name, before, cancel_jobs=cancel_jobs)
        rewrite(file, expelled(document, name), document)
        click.echo(f"{name} is out of {file}", err=True)
    code = _apply(setting(file), whole=False)
    if code == 0 and archive:
        packed = asyncio.run(people.archive(cluster, name, ask))
        for node, place in packed.items():
            told = f"the home is packed: {place}" if place else "there is no home any more"
            click.echo(f"{node}: {told}")
    elif code == 0:
        homes = [
            n.name
            for n in cluster.nodes
            if any(cluster.holds_home(n, p) for p in cluster.people if p.name == name)
        ]
        click.echo(f"the home stays: /home/{name} on {', '.join(homes)}")
    else:
        more = " --archive" if archive else ""
        click.echo(f"next: wulfling -f {file} user remove {name}{more}   # again", err=True)
    return code


@user.command("list")
@OUTPUT
@click.pass_obj
def list_(file: Path, output: str) -> int:
    """Show everybody of the cluster file: account, limits, what is stored, jobs.

    Exit code 3: some of it is not known, because a board is unreachable; 4: one failed.
    """
    from wulfling.day2.people import standings

    prepared = setting(file)
    found, errors = asyncio.run(standings(prepared.resolve(), _ask(prepared)))
    if output == "json":
        click.echo(show.as_json([person.as_json() for person in found]))
    else:
        for line in show.table(HEADER, [person.cells() for person in found]):
            click.echo(line)
    for node, error in errors.items():
        click.echo(f"{node}: {error.message.splitlines()[0]}", err=True)
    return max((error.exit_code for error in errors.values()), default=0)


def _entrant(account: str, limit: str, quota: str) -> Entrant:
    """What the options say of somebody without a name."""
    from wulfling.spec import enrol

    return enrol.Entrant(
        name="",
        account=_said("--account", enrol.account_of, account) if account else "",
        limits=_said("--limit", enrol.limits_of, limit),
        quota=_said("--quota", enrol.quota_of, quota) if quota else "",
    )


def _said(word: str, read: Callable[..., Value], *words: object) -> Value:
    """What a word of the command line means. Raises ``UsageError`` when it means nothing."""
    from wulfling.spec.problem import Refused

    try:
        return read(*words)
    except Refused as refused:
        hint = f": {refused.hint}" if refused.hint else ""
        raise click.UsageError(f"{word}: {refused.message}{hint}") from None


def _enrol(file: Path, document: Document, entrants: Sequence[Entrant]) -> None:
    from wulfling.spec.enrol import enrolled
    from wulfling.spec.rewrite import rewrite

    if not entrants:
        click.echo(f"{file} has everybody already", err=True)
        return
    rewrite(file, enrolled(document, entrants), document)
    count = len(entrants)
    names = entrants[0].name if count == 1 else f"{count} people"
    click.echo(f"{names} written into {file}", err=True)


def _ask(prepared: Setting) -> Ask:
    from wulfling.day2.asking import Ask
    from wulfling.transport.ssh import Ssh

    return Ask(prepared.addresses, Ssh())


def _bring_in(file: Path, before: Spec, names: Sequence[str], *, prove: bool) -> int:
    """Have the boards follow the file, and each of ``names`` prove it."""
    began = time.monotonic()
    prepared = setting(file)
    first = _counts(prepared.spec) and not _counts(before)
    if first:
        click.echo("the first quota of this cluster: everything is applied", err=True)
    code = _apply(prepared, whole=first)
    if code not in (0, Unreachable.exit_code):
        click.echo(f"next: wulfling -f {file} apply   # when that is mended", err=True)
        return code
    if prove:
        code = _prove(prepared, names) or code
    click.echo(f"{len(names)} in {time.monotonic() - began:.1f} s", err=True)
    click.echo(
        f"a line by which they know the boards: wulfling -f {file} export known-hosts", err=True
    )
    return code


def _counts(read: Spec) -> bool:
    return any(person.quota is not None for person in read.people.values())


def _apply(prepared: Setting, *, whole: bool) -> int:
    from wulfling.components import PEOPLE
    from wulfling.converge.apply import apply

    warn(prepared)
    outcome = talk(prepared, apply, show_progress=True, scope=() if whole else PEOPLE)
    tell_unwell(outcome)
    return outcome.exit_code


def _prove(prepared: Setting, names: Sequence[str]) -> int:
    from wulfling.day2.first_job import first_jobs

    cluster = prepared.resolve()
    people = [person for person in cluster.people if person.name in names]
    findings = asyncio.run(first_jobs(cluster, people, _ask(prepared)))
    for finding in findings:
        click.echo(show.finding_line(finding))
    bad = any(finding.verdict is Verdict.BAD for finding in findings)
    return NodeFailed.exit_code if bad else 0


def _settle_jobs(file: Path, name: str, prepared: Setting, *, cancel_jobs: bool) -> None:
    """Nobody with jobs is removed, unless that was said."""
    from wulfling.day2 import people

    cluster, ask = prepared.resolve(), _ask(prepared)
    jobs = asyncio.run(people.unfinished(cluster, name, ask))
    if jobs and not cancel_jobs:
        count = f"{len(jobs)} job{'s' * (len(jobs) != 1)}"
        raise NodeFailed(
            f"{name} has {count} that run or wait: {', '.join(jobs[:10])}",
            hint=f"wait, or: wulfling -f {file} user remove {name} --cancel-jobs",
            where=cluster.head,
        )
    if jobs:
        asyncio.run(people.cancel(cluster, name, ask))
        click.echo(f"{len(jobs)} of {name}'s jobs are cancelled", err=True)
