"""Checks of what boards do for each other: munge, and the file server."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.converge.checks.board import ALONE, ill
from wulfling.converge.checks.check import Check, bad, drifted
from wulfling.converge.checks.ground import BOARD
from wulfling.converge.evidence import Evidence
from wulfling.model.finding import Finding, Mend

GROUND = (*BOARD, "names", "packages")
MUNGE = (
    "file:/etc/munge/",
    "file:/var/lib/wulfling/secrets/munge_key",
    "file:/etc/systemd/system/munge",
    "service:munge",
)
FSTAB = "block:/etc/fstab"
SERVER = ("file:/etc/exports.d/", "file:/etc/nfs.conf.d/", "service:nfs-server")
KEYS = (*MUNGE, *SERVER, FSTAB)
# Few boards have both daemons of Slurm; systemctl calls the one that is missing an error.
RESTART = (
    "systemctl restart munge && sleep 1 &&"
    " { systemctl --no-block try-restart slurmctld slurmd 2> /dev/null || true; }"
)


def _munge(evidence: Evidence) -> Iterator[Finding]:
    told = set()
    for finding in drifted(evidence, "munge", "munge", MUNGE):
        told.add(finding.subject)
        yield finding
    for node, health in evidence.examined():
        if health.munge != "ok" and node not in told:
            told.add(node)
            yield bad(
                node,
                "munge",
                f"munge on {node} makes no credential: {health.munge}",
                hint=f"wulfling node shell {node} -- sudo journalctl -u munge -n 20",
                mend=Mend("restart munge there", before=((node, RESTART),)),
            )
    if not told:
        yield from _strangers(evidence)


def _strangers(evidence: Evidence) -> Iterator[Finding]:
    """The head tries the credential of every board, and every board the head's."""
    head = evidence.of(evidence.head)
    refused: dict[str, str] = {}
    tried = 0
    for node, health in evidence.examined():
        there = dict(head.decoded).get(node, "ok") if head else "ok"
        here = dict(health.decoded).get(evidence.head, "ok")
        tried += bool(health.decoded) and node != evidence.head
        if there != "ok":
            refused[node] = f"{evidence.head} says of its credential: {there}"
        elif here != "ok":
            refused[node] = f"it says of {evidence.head}'s credential: {here}"
    if len(refused) == tried > 1:  # it is not all of them but the one they disagree with
        refused = {evidence.head: next(iter(refused.values()))}
    for node, words in refused.items():
        yield bad(
            node,
            "munge",
            f"munge on {node} and munge on the other boards do not know each other, although"
            " the key in its file is right",
            words,
            hint=f"wulfling node shell {node} -- sudo systemctl restart munge",
            mend=Mend("restart munge there: it runs with an older key", before=((node, RESTART),)),
        )


def _export(evidence: Evidence) -> Iterator[Finding]:
    told = set()
    for finding in drifted(evidence, "export", "the file server", SERVER):
        told.add(finding.subject)
        yield finding
    for share in evidence.cluster.storage:
        health = evidence.of(share.server)
        if health is None or share.server in told:
            continue
        clients = [n for n in evidence.cluster.nodes if n.name != share.server]
        missing = [n.name for n in clients if (share.path, str(n.address)) not in health.exports]
        if missing:
            told.add(share.server)
            yield bad(
                share.server,
                "export",
                f"{share.server} does not export {share.path} to {', '.join(missing)}, although"
                " its exports file is right",
                hint=f"wulfling node shell {share.server} -- sudo exportfs -ra",
                mend=Mend("read the exports again", before=((share.server, "exportfs -ra"),)),
            )


def _mount(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        for mount in health.mounts:
            if mount.well:
                continue
            server = next(s.server for s in evidence.cluster.storage if s.path == mount.path)
            if mount.state == "ESTALE":
                words = f"{mount.path} on {node} is stale: {server} has another folder there now"
            elif mount.state == "hangs":
                words = f"{mount.path} on {node} hangs, although {server} serves"
            elif mount.state != "ok":
                words = f"{mount.path} on {node} cannot be read ({mount.state})"
            else:
                words = f"{mount.path} on {node} is a local folder, and not {server}'s"
            yield bad(
                node,
                "mount",
                words,
                hint=f"wulfling node shell {node} -- sudo umount -l {mount.path}",
                mend=Mend(
                    "let go of the mount; the next look at it mounts it anew",
                    before=((node, mount_anew(mount.path)),),
                    applies=True,
                ),
            )
            break
    yield from drifted(
        evidence,
        "mount",
        "mounts",
        (FSTAB, *(f"service:{unit}" for unit in _automounts(evidence))),
    )


def _strain(evidence: Evidence) -> Iterator[Finding]:
    for node, _, ailment in ill(evidence, "strain"):
        hint = f"wulfling node shell {node} -- ps -eo stat,user,rss,args --sort=-rss | head"
        yield bad(
            node, "strain", ailment.words, hint=hint, cannot="whose work it is, only you know"
        )


def _automounts(evidence: Evidence) -> Iterator[str]:
    for step in evidence.steps:
        name = step.key.removeprefix("service:")
        if name.endswith(".automount"):
            yield name


def mount_anew(path: str) -> str:
    """A script that mounts a share again. The automount stays below; what lies on it, in any
    number, is let go."""
    return (
        f"while grep -q ' {path} nfs' /proc/self/mounts; do umount -l {path} || break; done;"
        f" timeout 20 stat -f {path}/. > /dev/null"
    )


CHECKS = (
    Check(
        "munge",
        "the key, the daemon, and a credential of each board tried on the head and the other way",
        "writes the key again, restarts the daemon",
        _munge,
        (*GROUND, "clock"),
        after_head=(*GROUND, "clock", "munge"),
    ),
    Check(
        "export",
        "the file server's daemon, its exports file, and what the kernel exports",
        "writes the file again, starts the daemon, reads the exports again",
        _export,
        GROUND,
    ),
    Check(
        "mount",
        "a look into every share, for five seconds",
        "lets go of a stale mount",
        _mount,
        (*GROUND, "link"),
        after_servers=(*ALONE, *GROUND, "export"),
    ),
    Check(
        "strain",
        "memory that is used up, processes that hang, what jobs have left behind",
        "no",
        _strain,
        (*GROUND, "mount"),
        after_servers=(*ALONE, *GROUND, "export"),
    ),
)
