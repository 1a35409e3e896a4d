"""Copies of what cannot be made again, on another board: the queue, accounts, secrets and homes.

restic encrypts on the board that is saved and sends by SFTP. A head without any of this, as after
its disk has died, starts neither slurmctld nor slurmdbd: they would begin a new queue and new
accounts, and those could not be joined with the old ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from wulfling.model.cluster import BACKUP_ACCOUNT, Backup, BackupSecrets, Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.backup import BLANK, FOLDER, KEY, PASSWORD, PROGRAM, SETTINGS, Settings
from wulfling.node.install import PROGRAMS, starter
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.restored import Restored, StateKnown
from wulfling.node.resources.service import Service

ACCOUNT, ACCOUNT_ID = BACKUP_ACCOUNT, 971
# Root's, or whoever has the key could write another one there.
HOME = f"/var/local/{ACCOUNT}"
KEY_FILE = f"{HOME}/.ssh/authorized_keys"
SECRETS = "/var/lib/wulfling/secrets"
UNITS = "/etc/systemd/system"
SERVICE = f"{UNITS}/wulfling-backup@.service"
# Not in /etc/systemd/system, where these units have drop-ins that others write.
DROP_INS = "/usr/local/lib/systemd/system"

PROGRAM_TEXT = f"""#!/bin/sh
# wulfling-backup head|homes|drill|restic WORDS: what the timers run; `restic` with all it needs.
{starter("wulfling.node.backup.command")}\
echo "no program is in {PROGRAMS}: \\`wulfling apply\\` brings it" >&2
exit 1
"""

SERVICE_TEXT = f"""[Unit]
Description=Backup: %i
After=network-online.target mariadb.service
Wants=network-online.target
ConditionPathExists=!{BLANK}

[Service]
Type=oneshot
ExecStart={PROGRAM} %i
Environment=GOGC=20
Nice=19
IOSchedulingClass=idle
TimeoutStartSec=1day
"""

TIMER_TEXT = """[Unit]
Description=Backup: {what}, {when}

[Timer]
{lines}
Unit=wulfling-backup@{what}.service

[Install]
WantedBy=timers.target
"""

NOT_WHILE_BLANK = f"""# As long as the state is not there that this daemon goes on with.
[Unit]
ConditionPathExists=!{BLANK}
"""


def before(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The way in on the board that keeps the backup, which a blank head waits for; and what
    holds that head's daemons down."""
    opening = _opening(cluster)
    if opening is None:
        return
    backup, secrets = opening
    if node.name == backup.node:
        yield from _place(cluster, backup, secrets)
    if _has_state(cluster, node):
        yield Directory(path=FOLDER, mode=0o700)
        for unit in ("slurmdbd", "slurmctld"):
            yield Directory(path=f"{DROP_INS}/{unit}.service.d")
            yield File(
                path=f"{DROP_INS}/{unit}.service.d/wulfling-backup.conf",
                content=NOT_WHILE_BLANK,
                why="a head that lost its disk must not begin a new queue before the old one is"
                " back",
            )
        yield StateKnown(why="whether this board has a queue of its own")


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """restic, and what opens the backup; on a blank head what the backup has of it."""
    opening = _opening(cluster)
    if opening is None:
        return
    backup, secrets = opening
    settings = _settings(cluster, node, backup)
    if settings.saves or node.name == backup.node:
        yield Packages(names=("restic",), why="encrypted copies (BSD licence)")
    if not settings.saves:
        return
    yield from _opened(cluster, node, secrets)
    yield from _programs(settings)
    if settings.head:
        keeper = cluster.node(backup.node)
        # A board that was never reached has no step that could be waited for.
        waits = keeper.hardware is not None and keeper.name != node.name
        yield Restored(
            at=backup.restore,
            awaits=(f"{keeper.name}/file:{KEY_FILE}",) if waits else (),
            why="a blank head gets back what its backup has, by `wulfling restore head` alone",
        )


def timers(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The last of all, when there is something to save: a timer that is behind starts at once."""
    opening = _opening(cluster)
    if opening is None:
        return
    backup, _ = opening
    settings = _settings(cluster, node, backup)
    if settings.head:
        every = f"{backup.minutes}min"
        lines = f"OnBootSec=2min\nOnUnitInactiveSec={every}"
        yield from _timer("head", f"every {backup.minutes} minutes", lines)
    if settings.homes:
        yield from _daily("homes", backup.homes)
    if settings.saves:
        yield from _daily("drill", backup.drill)


def _opening(cluster: Cluster) -> tuple[Backup, BackupSecrets] | None:
    """Nothing is touched while the head, which keeps the secrets, cannot be reached."""
    if cluster.backup is None or cluster.secrets is None or cluster.secrets.backup is None:
        return None
    return cluster.backup, cluster.secrets.backup


def _has_state(cluster: Cluster, node: Node) -> bool:
    return cluster.slurm is not None and node.name == cluster.head


def _place(cluster: Cluster, backup: Backup, secrets: BackupSecrets) -> Iterator[Resource]:
    sources = [n for n in cluster.nodes if _has_state(cluster, n) or cluster.homes_on(n)]
    addresses = ",".join(str(n.address) for n in sources)
    folder = backup.repository(cluster.name)
    yield Group(group=ACCOUNT, gid=ACCOUNT_ID)
    yield User(
        user=ACCOUNT,
        uid=ACCOUNT_ID,
        gid=ACCOUNT_ID,
        home=HOME,
        shell="/usr/sbin/nologin",
        system=True,
        why="owns the backup and nothing else",
    )
    yield Directory(
        path=folder, owner=ACCOUNT, group=ACCOUNT, mode=0o700, why="the backup, encrypted"
    )
    yield Directory(path=HOME)
    yield Directory(path=f"{HOME}/.ssh")
    yield File(
        path=KEY_FILE,
        content=f'restrict,from="{addresses}",command="internal-sftp" {secrets.public}\n',
        why="authorized_keys(5): files by SFTP, from the boards that are saved, and no shell",
    )


def _settings(cluster: Cluster, node: Node, backup: Backup) -> Settings:
    head = _has_state(cluster, node)
    return Settings(
        cluster=cluster.name,
        node=node.name,
        host=backup.node,
        account=ACCOUNT,
        path=backup.repository(cluster.name),
        head=head,
        homes=cluster.homes_on(node),
        keep=backup.keep,
    )


def _opened(cluster: Cluster, node: Node, secrets: BackupSecrets) -> Iterator[Resource]:
    if not _has_state(cluster, node):  # there munge's key has made it
        yield Directory(path=SECRETS, mode=0o700)
        yield Directory(path=FOLDER, mode=0o700)
    why = "opens the backup; the operator has it too, for when the head is gone"
    texts = {
        PASSWORD: f"{secrets.password}\n",
        KEY: secrets.key,
        f"{KEY}.pub": f"{secrets.public}\n",
    }
    for path, text in texts.items():
        yield File(path=path, content=text, mode=0o600, secret=True, why=why)


def _programs(settings: Settings) -> Iterator[Resource]:
    text = json.dumps(settings.as_json(), indent=1, sort_keys=True)
    yield File(path=SETTINGS, content=f"{text}\n", mode=0o600, why="what is saved, and where to")
    yield File(
        path=PROGRAM,
        content=PROGRAM_TEXT,
        mode=0o755,
        why="saves, compares, and lets a person use restic",
    )
    yield File(
        path=SERVICE,
        content=SERVICE_TEXT,
        why="behind everything else that the board has to do",
    )


def _daily(what: str, time: str) -> Iterator[Resource]:
    lines = f"OnCalendar=*-*-* {time}:00\nPersistent=yes\nRandomizedDelaySec=60"
    return _timer(what, f"each day at {time}", lines)


def _timer(what: str, when: str, lines: str) -> Iterator[Resource]:
    unit = f"wulfling-backup-{what}.timer"
    file = File(
        path=f"{UNITS}/{unit}",
        content=TIMER_TEXT.format(what=what, when=when, lines=lines),
        why=f"{what}: {when}",
    )
    yield file
    yield Service(
        unit=unit,
        configured=digest(file.content, SERVICE_TEXT),
        watches=(file.key, f"file:{SERVICE}"),  # systemd keeps what a timer starts in memory
        why=f"{what}: {when}",
    )
