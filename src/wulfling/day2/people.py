"""People of a cluster that runs: their jobs, what they store, and the home of one who leaves."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wulfling.day2.asking import Ask
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Cluster, Person
from wulfling.node.resources.account import NOBODY_GETS_IN, OURS
from wulfling.node.resources.quota import HOMES, REPORT, parse_report

ARCHIVE = f"{HOMES}/.archive"

# On the disk of the homes, which is the one with room. Nothing is deleted before all of it was
# read back and compared, and only the home of somebody whom wulfling has shut out.
ARCHIVE_SCRIPT = """\
set -eu
umask 077
name={name} home={homes}/{name} folder={archive} fresh=
trap '[ -z "$fresh" ] || rm -f "$fresh"' EXIT
entry=$(getent passwd "$name") || entry=
if [ ! -e {ours}/"$name" ] || [ "${{entry##*:}}" != {shell} ]; then
    echo "$name is no account that wulfling has closed: the home stays" >&2
    exit 1
fi
[ -d "$home" ] || exit 0
mkdir -p "$folder"
place=$folder/$name-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
fresh=$place.part
tar --create --gzip --one-file-system --numeric-owner --file="$fresh" -C {homes} "$name"
tar --compare --gzip --numeric-owner --file="$fresh" -C {homes} "$name"
sync "$fresh"
mv "$fresh" "$place"
fresh=
sync "$folder"
rm -rf --one-file-system "$home"
echo "$place"
"""


@dataclass(frozen=True)
class Standing:
    """A person now. Sizes are in MiB; ``used_mb`` and the jobs are None where nobody could be
    asked, ``used_mb`` also where nobody counts."""

    name: str
    uid: int
    account: str
    limits: Mapping[str, int]
    quota_mb: int | None
    keys: int
    used_mb: int | None = None
    running: int | None = None
    pending: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``: the same names as the fields."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        limits = ",".join(
            f"{name}={_size(value) if name == 'mem' else value}"
            for name, value in self.limits.items()
        )
        jobs = "?" if self.running is None else f"{self.running} run, {self.pending} wait"
        used = "-" if self.used_mb is None else _size(self.used_mb)
        quota = "-" if self.quota_mb is None else _size(self.quota_mb)
        keys = str(self.keys) if self.keys else "none"
        return (self.name, str(self.uid), self.account, limits or "-", quota, used, jobs, keys)


def _size(mebibytes: int) -> str:
    whole, rest = divmod(mebibytes, 1024)
    return f"{whole}G" if whole and not rest else f"{mebibytes}M"


async def standings(
    cluster: Cluster, ask: Ask
) -> tuple[tuple[Standing, ...], Mapping[str, WulflingError]]:
    """Everybody in the file's order, and why a node that knows more could not be asked."""
    errors: dict[str, WulflingError] = {}

    async def asked(node: str, text: str, about: str) -> str | None:
        try:
            return await ask.script(node, text, about=about)
        except (Unreachable, NodeFailed) as error:
            errors[node] = error
            return None

    stored, jobs = await asyncio.gather(
        asked(_home_server(cluster), _REPORT, "repquota") if _counts(cluster) else _nothing(),
        asked(cluster.head, _QUEUE, "squeue") if cluster.slurm else _nothing(),
    )
    used = _used(stored) if stored is not None else {}
    queue = _jobs(jobs) if jobs is not None else None
    found = tuple(_standing(person, used, queue) for person in cluster.people)
    return found, errors


_QUEUE = "squeue --noheader --format='%u %t'\n"
_REPORT = f'{shlex.join(REPORT)} "$(findmnt -no TARGET --target {HOMES})"\n'


async def _nothing() -> None:
    return None


def _counts(cluster: Cluster) -> bool:
    return any(person.quota_mb is not None for person in cluster.people)


def _home_server(cluster: Cluster) -> str:
    """Who has the homes; where each board has its own, the head stands for all."""
    servers = {share.path: share.server for share in cluster.storage}
    return servers.get(HOMES, cluster.head)


def _used(said: str) -> dict[str, int]:
    return {row["User"]: int(row["BlockUsed"]) >> 10 for row in parse_report(said)}


def _jobs(said: str) -> Counter[tuple[str, str]]:
    words = (line.split() for line in said.splitlines())
    return Counter((pair[0], pair[1]) for pair in words if len(pair) == 2)


def _standing(
    person: Person, used: Mapping[str, int], queue: Counter[tuple[str, str]] | None
) -> Standing:
    own = [(state, n) for (user, state), n in (queue or {}).items() if user == person.name]
    pending = sum(n for state, n in own if state == "PD")
    running = sum(n for state, n in own) - pending
    return Standing(
        name=person.name,
        uid=person.uid,
        account=person.account,
        limits=dict(person.limits),
        quota_mb=person.quota_mb,
        keys=len(person.keys),
        used_mb=used.get(person.name),
        running=None if queue is None else running,
        pending=None if queue is None else pending,
    )


async def unfinished(cluster: Cluster, name: str, ask: Ask) -> tuple[str, ...]:
    """The jobs of a person that run or wait."""
    if cluster.slurm is None:
        return ()
    text = f"squeue --noheader --user={shlex.quote(name)} --format=%A\n"
    try:
        said = await ask.script(cluster.head, text, about="squeue")
    except NodeFailed as error:
        if "Invalid user" in error.message:  # an account that no board has has no jobs
            return ()
        raise
    return tuple(dict.fromkeys(said.split()))


async def cancel(cluster: Cluster, name: str, ask: Ask) -> None:
    """End all jobs of a person, and return when none is left. Raises ``CommandFailed``."""
    user = shlex.quote(name)
    text = (
        f"scancel --user={user}\n"
        f"for _ in $(seq 60); do\n"
        f'    [ -n "$(squeue --noheader --user={user})" ] || exit 0\n    sleep 1\ndone\n'
        f'echo "still there: $(squeue --noheader --user={user} --format=%A | tr "\\n" " ")" >&2\n'
        "exit 1\n"
    )
    await ask.script(cluster.head, text, about="scancel", timeout=120)


async def archive(cluster: Cluster, name: str, ask: Ask) -> Mapping[str, str]:
    """Pack the home of somebody who was shut out and delete it; where it was, and where it is
    now. Raises ``CommandFailed`` when anything is left undone; the home is there then."""
    text = ARCHIVE_SCRIPT.format(
        name=shlex.quote(name), homes=HOMES, archive=ARCHIVE, ours=OURS, shell=NOBODY_GETS_IN
    )
    person = Person(name, 0, "")
    packed = {}
    for node in cluster.nodes:
        if cluster.holds_home(node, person):
            said = await ask.script(node.name, text, about="archive of a home", timeout=4 * 3600)
            packed[node.name] = said.strip()
    return packed
