"""``wulfling backup``: save now, show what is saved, try whether it can be restored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from wulfling.cli import show
from wulfling.cli.rack import operator, rack
from wulfling.cli.river import OUTPUT
from wulfling.cli.setting import setting
from wulfling.day2 import backup as backups
from wulfling.day2 import keys as kept_keys
from wulfling.day2.backup import Done, Opened
from wulfling.day2.rack import Rack, turn
from wulfling.errors import Unreachable, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.transport import backup_secrets

WORST = 4
LISTED_KEYS = {
    "id": "What restic calls it",
    "time": "The moment, in UTC; `head` and `accounts` of one moment belong together",
    "host": "The board whose it is",
    "tag": "`head` (Slurm's state, configuration, secrets), `accounts` or `homes`",
    "paths": "What is in it, as paths of that board",
}
DONE_KEYS = {
    "node": "The board",
    "what": "`head`, `homes` or `drill`",
    "seconds": "How long it took",
    "facts": "What was saved or compared: the moment, rows of tables, files, bytes",
}
HEADER = ("MOMENT", "BOARD", "WHAT", "SNAPSHOT")


@click.group()
def backup() -> None:
    """Save the queue, the accounts, the secrets and the homes, and see that it can be restored.

    The timers of the boards do it by themselves; these verbs are for a person who wants it now.
    """


@backup.command()
@OUTPUT
@click.pass_obj
def now(file: Path, output: str) -> int:
    """Save everything now. Jobs go on. Killed at any moment, the boards go on; run it again.

    Exit code 0: all is saved; 3: a board does not answer; 4: one could not save, the others did.
    """
    boards = _boards(file)
    return _all(boards, backups.saved_by(boards), output)


@backup.command()
@OUTPUT
@click.pass_obj
def drill(file: Path, output: str) -> int:
    """Restore the newest backup beside what is there, and compare: rows of the accounts, the
    queue, the secrets, every file of the homes. Nothing that is in use is touched.

    Exit code 0: all is as it was saved; 3: a board does not answer; 4: something is not.
    """
    boards = _boards(file)
    return _all(boards, backups.drilled_by(boards), output)


@backup.command(name="list")
@OUTPUT
@click.pass_obj
def list_(file: Path, output: str) -> None:
    """Every snapshot, the newest last, as the board that keeps them has it: the head may be gone.

    Moments are in UTC.
    """
    found = asyncio.run(opened(_boards(file), file).snapshots())
    if output == "json":
        click.echo(show.as_json([asdict(one) for one in found]))
        return
    cells = [(one.time, one.host, one.tag, one.id) for one in found]
    for line in show.table(HEADER, cells):
        click.echo(line)


@backup.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--to",
    "recipients",
    multiple=True,
    metavar="RECIPIENT",
    help="Who can open it: a public key of age or SSH, or a file of such. Without it age asks for"
    " a passphrase.",
)
@click.pass_obj
def keys(file: Path, out: Path, recipients: Sequence[str]) -> int:
    """Write all that cannot be made again into OUT, encrypted by age(1).

    The munge key, what opens the backup, the tunnel's key, the host keys of all boards, and what
    this machine keeps: pinned host keys, its own key, files of devices. You alone may read OUT,
    and only who has the other half of a RECIPIENT, or the passphrase, can.

    Exit code 0: all is in it; 3: a board does not answer, and its host keys are not in it.
    """
    boards = rack(setting(file))
    found, away = asyncio.run(kept_keys.gathered(boards))
    kept_keys.encrypt(found, boards.cluster.name, recipients, out)
    click.echo(f"{out}: {len(found)} files of {boards.cluster.name}")
    for name in away:
        click.echo(f"{name}: does not answer; its host keys are not in it", err=True)
    return Unreachable.exit_code if away else 0


def opened(boards: Rack, file: Path) -> Opened:
    """The repository with what opens it. Raises ``WulflingError`` when this machine does not
    have that."""
    declared = boards.cluster.backup
    assert declared is not None
    secrets = backup_secrets.kept(boards.cluster.name)
    if secrets is None:
        raise WulflingError(
            f"this machine does not have what opens the backup of {boards.cluster.name}",
            hint=f"while the head lives, `wulfling -f {file} apply` fetches it; else copy"
            f" {backup_secrets.place(boards.cluster.name).parent}/backup_* from the machine that"
            " has it",
        )
    return Opened(boards, declared, secrets)


def check_asked_for(cluster: Cluster, file: Path) -> None:
    """Raises ``WulflingError`` when the file asks for no backup."""
    if cluster.backup is None:
        raise WulflingError(
            f"{cluster.name} has no backup: the file does not say where to",
            hint="write `backup: {to: filenode01:/srv/backup}`, then wulfling apply",
            where=str(file),
        )


def _boards(file: Path) -> Rack:
    boards = rack(setting(file))
    check_asked_for(boards.cluster, file)
    return boards


def _all(boards: Rack, work: Iterable[tuple[str, str]], output: str) -> int:
    """Do all of it, whatever becomes of one; the exit code is the worst."""
    done: list[Done] = []
    code = 0
    with turn(boards.cluster.name, operator()):
        for node, what in work:
            try:
                done.append(asyncio.run(backups.do(boards, node, what)))
            except WulflingError as error:
                click.secho(f"{node}: {error.message}", fg="red", err=True)
                if error.hint:
                    click.echo(f"  hint: {error.hint}", err=True)
                code = max(code, min(error.exit_code, WORST))
                continue
            if output == "text":
                click.echo(_line(done[-1]))
    if output == "json":
        click.echo(show.as_json([asdict(one) for one in done]))
    return code


def _line(one: Done) -> str:
    facts = one.facts
    told = []
    if "rows" in facts:
        told.append(f"{facts['rows'].get('job_table', 0)} jobs in the accounts")
    if one.what == "homes":
        told.append(f"{facts.get('files', 0)} files, {facts.get('bytes', 0) >> 20} MiB")
    if facts.get("home_files"):
        told.append(f"{facts['home_compared']} of {facts['home_files']} files of homes compared")
    elif "homes" in facts:
        told.append("a part of the homes read, for want of room to restore them")
    verb = "restored and the same" if one.what == "drill" else f"{one.what} saved"
    of = facts.get("moment") or facts.get("homes", "")
    return f"{one.node}: {verb}: {', '.join(told)} ({of}, {one.seconds:.0f} s)"
