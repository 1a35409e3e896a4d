"""Checks of what all boards have to agree on: names, clock, identity, packages, people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wulfling.converge.checks.board import ALONE
from wulfling.converge.checks.check import Check, apply_of, bad, drifted
from wulfling.converge.evidence import Evidence
from wulfling.model.finding import Finding, Mend
from wulfling.model.plan import Status, Step
from wulfling.model.slurm_releases import SLURM, release_of, understands
from wulfling.node.health.ailments import LARGEST_OFFSET

APART = 5.0
"""Seconds by which the clocks of two boards may seem apart: the answers come over ssh, from
boards that are busy starting Python."""

FAR_OFF = 60.0  # seconds between the head and this machine: nobody else is asked for the time
SETTLING = 600  # seconds in which chrony may still look for its source: it asks ever more rarely
CHRONY = ("file:/etc/chrony/", "service:chrony")
# The daemon is little more than a door to libslurmfull, which another package brings.
REINSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --reinstall --allow-downgrades"
    " $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' 'slurm*' 'libslurm*'"
    " | sed -n 's/^ii *//p')"
)
STEP = (
    "systemctl restart chrony && chronyc -a waitsync 20 1.0 0 1 > /dev/null;"
    " chronyc -a makestep > /dev/null"
)
NAMES = ("block:/etc/hosts", "hostname:")
PACKAGES = ("packages:", "wheel:", "libraries:", "blob:")
PEOPLE = ("user:", "group:")
ACCESS = (
    "file:/etc/ssh/",
    "sshd:",
    "pam:",
    "service:ssh",
    "file:/etc/sudoers.d/",
    "file:/var/local/",
    "directory:/var/local/",
)
KEYS = (*NAMES, *CHRONY, *PACKAGES, *PEOPLE, *ACCESS)
BOARD = (*ALONE, "disk", "space", "new")


def _new(evidence: Evidence) -> Iterator[Finding]:
    """A board that no apply has seen: all else would be the same in many words."""
    for step in evidence.drift("packages:apt"):
        if step.node not in evidence.remembered:
            yield bad(
                step.node,
                "new",
                f"{step.node} is no part of the cluster yet",
                hint="wulfling plan shows what an apply would do there",
                mend=Mend("apply what the cluster file declares, all of it", applies=True),
            )


def _names(evidence: Evidence) -> Iterator[Finding]:
    told = set()
    for finding in drifted(evidence, "names", "names go wrong", NAMES):
        health = evidence.of(finding.subject)
        wrong = _wrong_names(evidence, finding.subject) if health else ()
        told.add(finding.subject)
        words = wrong[0] if wrong else finding.words
        yield bad(
            finding.subject,
            "names",
            words,
            *finding.evidence,
            hint=finding.hint,
            mend=finding.mend,
            cannot=finding.cannot,
        )
    for node, _ in evidence.examined():
        wrong = () if node in told else _wrong_names(evidence, node)
        if wrong:
            yield bad(
                node,
                "names",
                wrong[0],
                *wrong[1:],
                hint=f"wulfling node shell {node} -- getent hosts {evidence.head}",
                cannot="the lines of the cluster file are there, and something else comes first",
            )


def _wrong_names(evidence: Evidence, node: str) -> tuple[str, ...]:
    health = evidence.health[node]
    found = []
    for name, address in health.names:
        right = str(evidence.cluster.address(name))
        if address != right:
            told = f"is {address}" if address else "has no address"
            found.append(f"on {node} the name {name} {told}, and the cluster file says {right}")
    return tuple(found)


def _dns(evidence: Evidence) -> Iterator[Finding]:
    good = {
        server for _, health in evidence.examined() for server, answers in health.dns if answers
    }
    for node, health in evidence.examined():
        if health.dns and not any(answers for _, answers in health.dns):
            servers = " and ".join(server for server, _ in health.dns)
            other = f"other boards ask {', '.join(sorted(good))}, which answers" if good else ""
            yield bad(
                node,
                "dns",
                f"no name server answers {node}: {servers}",
                other,
                "the cluster's own names do not need one; apt does",
                hint="the network's router, or `nameserver` in /etc/resolv.conf of that board",
                cannot="the cluster file does not say which name server is right",
            )


def _clock(evidence: Evidence) -> Iterator[Finding]:
    head = evidence.ahead.get(evidence.head)
    told: set[str] = set()
    if head is not None and abs(head) > FAR_OFF and evidence.head in evidence.health:
        told.update(evidence.ahead)
        yield bad(
            evidence.head,
            "clock",
            f"the clock of {evidence.head} is {_seconds(head)} this machine's",
            "every other board follows the head",
            hint="`date` here and there: which of the two is right?",
            mend=Mend(
                "ask the head's own time servers, and step",
                before=((evidence.head, STEP),),
                applies=True,
            ),
        )
    drift = {f.subject: f for f in drifted(evidence, "clock", "the time", CHRONY)}
    for node, health in evidence.examined():
        if node in told:
            continue
        apart = evidence.ahead[node] - head if head is not None and node != evidence.head else 0.0
        far = APART if node == evidence.head else LARGEST_OFFSET  # the head asks the internet
        late = health.clock is not None and health.clock >= far
        if abs(apart) <= APART and not late:
            if node in drift:
                yield drift[node]
            elif health.clock is None and health.asking_seconds > SETTLING:
                yield _follows_nobody(node)
            continue
        off = _seconds(apart) if abs(apart) > APART else f"{health.clock:.3g} s off"
        yield bad(
            node,
            "clock",
            f"the clock of {node} is {off} the head's, and munge calls what is more than 300 s"
            " apart expired",
            *(drift[node].evidence if node in drift else ()),
            hint=f"wulfling node shell {node} -- chronyc sources",
            mend=Mend(
                "have chrony ask the head now, and step the clock",
                before=((node, STEP),),
                applies=node in drift,
            ),
        )


def _follows_nobody(node: str) -> Finding:
    return bad(
        node,
        "clock",
        f"the clock of {node} follows nobody",
        hint=f"wulfling node shell {node} -- chronyc sources",
        mend=Mend("have chrony ask the head now", before=((node, STEP),)),
    )


def _seconds(ahead: float) -> str:
    return f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"


def _machine_id(evidence: Evidence) -> Iterator[Finding]:
    """Of two boards with one id, the one that had another before is the copy."""
    now = {node: evidence.hardware[node].machine_id for node in evidence.health}
    several = {number for number, count in Counter(now.values()).items() if count > 1 and number}
    for number in several:
        sharing = [node for node in now if now[node] == number]
        before = {node: evidence.remembered.get(node) for node in sharing}
        changed = [n for n, was in before.items() if was is not None and was.machine_id != number]
        for node in changed or sharing[1:]:
            was = before[node]
            others = [other for other in sharing if other != node]
            taken = [*now.values(), *(h.machine_id for h in evidence.remembered.values())]
            kept = was.machine_id if was is not None and taken.count(was.machine_id) == 1 else ""
            yield bad(
                node,
                "machine-id",
                f"{node} has the machine-id of {others[0]}: one card was copied from the other",
                f"/etc/machine-id on both is {number}",
                f"at the last apply that of {node} was {kept}" if kept else "",
                hint="DHCP servers and systemd take two such boards for one",
                mend=Mend(
                    "give it back its own" if kept else "give it one of its own",
                    before=((node, _new_id(kept)),),
                    applies=True,
                ),
            )


def _new_id(kept: str) -> str:
    fresh = f"echo {kept}" if kept else "tr -d - < /proc/sys/kernel/random/uuid"
    return (
        f"{fresh} > /etc/machine-id.new && chmod 0444 /etc/machine-id.new"
        " && mv /etc/machine-id.new /etc/machine-id"
    )


def _packages(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        if health.half_done:
            yield bad(
                node,
                "packages",
                f"an installation on {node} was cut off: {', '.join(health.half_done[:4])}",
                "dpkg has these between out and in, and refuses everything else until then",
                hint=f"wulfling node shell {node} -- sudo dpkg --configure -a",
                mend=Mend("bring it to its end (dpkg --configure -a), then apply", applies=True),
            )
    yield from drifted(evidence, "packages", "packages", PACKAGES)


def _versions(evidence: Evidence) -> Iterator[Finding]:
    head = evidence.of(evidence.head)
    controller = head.version("slurmctld") if head else ""
    if not controller:
        return
    for node, health in evidence.computing():
        version = health.version("slurmd")
        if not version or _go_together(controller, version):
            continue
        one, other = evidence.hardware[node], evidence.hardware[evidence.head]
        same = (one.os_codename, one.arch) == (other.os_codename, other.arch)
        yield bad(
            node,
            "versions",
            f"slurmd on {node} is {version}, and the controller {controller} does not understand"
            " it",
            f"a controller understands its own release and the two before, never a newer one"
            f" (here: {release_of(controller)})",
            hint="one release of Debian for all boards, or `slurm: {version: ...}` in the file",
            mend=Mend(
                "install that board's Slurm anew from its distribution",
                before=((node, REINSTALL),),
                after=((node, "systemctl restart slurmd"),),
            )
            if same
            else None,
            cannot="" if same else "its distribution has no other version; see the hint",
        )


def _go_together(controller: str, slurmd: str) -> bool:
    one, other = release_of(controller), release_of(slurmd)
    return one == other or (one in SLURM and other in SLURM and understands(one, other))


def _people(evidence: Evidence) -> Iterator[Finding]:
    steps: dict[str, list[Step]] = {}
    for step in evidence.drift(*PEOPLE):
        steps.setdefault(step.node, []).append(step)
    for node, found in steps.items():
        failed = [step for step in found if step.status is Status.FAILED]
        if not failed:
            continue
        name = failed[0].key.partition(":")[2]
        lines = failed[0].message.splitlines()
        yield bad(
            node,
            "people",
            f"on {node}: {lines[0]}",
            *(f"also {step.key}" for step in failed[1:]),
            hint=lines[1] if len(lines) > 1 else f"wulfling node shell {node} -- id {name}",
            cannot="another number would orphan the files that this account owns on that board",
        )
    told = {node for node, found in steps.items() if apply_of(found) is None}
    for finding in drifted(evidence, "people", "accounts", PEOPLE):
        if finding.subject not in told:
            yield finding


def _access(evidence: Evidence) -> Iterator[Finding]:
    yield from drifted(evidence, "access", "ssh", ACCESS)


CHECKS = (
    Check("new", "whether the board was ever applied", "applies", _new, (*ALONE, "disk", "space")),
    Check(
        "names",
        "/etc/hosts, the board's own name, and what every name resolves to there",
        "writes the block in /etc/hosts, takes a line for 127.0.1.1 out",
        _names,
        BOARD,
    ),
    Check("dns", "whether a name server answers", "no: the file does not name any", _dns, ALONE),
    Check(
        "clock",
        "the time against the head's, the head's against this machine's, chrony",
        "has chrony ask now, and steps the clock",
        _clock,
        (*BOARD, "names"),
    ),
    Check(
        "machine-id",
        "whether two boards have one",
        "gives the copy its former one, or a new one",
        _machine_id,
        BOARD,
    ),
    Check(
        "packages",
        "installations that were cut off, packages that are missing",
        "brings them to their end, installs",
        _packages,
        BOARD,
    ),
    Check(
        "versions",
        "whether the controller understands each slurmd",
        "installs Slurm anew where the board's distribution has the right one",
        _versions,
        (*BOARD, "packages"),
    ),
    Check(
        "people",
        "the number of every account, which NFS and Slurm know it by",
        "adds what is missing; never changes the number of an account that is there",
        _people,
        BOARD,
    ),
    Check("access", "keys, sudo and sshd's settings", "writes the files again", _access, BOARD),
)
