"""Checks of a board by itself: does it answer, power, disks, link."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.converge.checks.check import Check, bad
from wulfling.converge.evidence import Evidence
from wulfling.errors import IdentityMismatch, Unreachable
from wulfling.model.finding import Finding, Mend
from wulfling.node.health.disk import is_full, lacks_inodes
from wulfling.transport.link import Refused, Unpinned

# The bits of `vcgencmd get_throttled` (Raspberry Pi's documentation of it).
UNDER_VOLTAGE = 1 << 0 | 1 << 16
TOO_HOT = 1 << 2 | 1 << 3 | 1 << 18 | 1 << 19
NOW = 0xF

SLOW_LINK = 10  # Mbit/s: what is left when a cable has a broken pair

# Nobody's files: what apt downloads again, journals beyond 16 MB, and those core dumps that systemd
# has kept for longer than its own rule says (tmpfiles.d(5)). Core dumps elsewhere are a person's.
CLEAN = (
    "apt-get clean; systemd-tmpfiles --clean --prefix=/var/lib/systemd/coredump;"
    " journalctl --quiet --vacuum-size=16M; journalctl --quiet --rotate --vacuum-size=16M"
)

CHECK_IT = (
    "save what you need, then wulfling node shell {} -- sudo reboot: the disk is checked at boot;"
    " when it comes again, the card needs replacing"
)
IN_USE = "a file system that is in use cannot be repaired, and the card may be dying"

ALONE = ("reach", "identity", "login", "program")
"""Nothing else is known of a node with one of these."""


def _reach(evidence: Evidence) -> Iterator[Finding]:
    for node, error in evidence.errors.items():
        if not isinstance(error, Unreachable):
            continue
        seen = [dict(health.reached).get(node) for _, health in evidence.examined()]
        if True in seen:
            told = f"from another board its port 22 answers: look at the way from here to {node}"
        elif False in seen:
            told = "no other board reaches it either"
        else:
            told = ""
        yield bad(
            node,
            "reach",
            f"{node} does not answer: {error.message.splitlines()[0]}",
            told,
            hint=error.hint,
            cannot="only a person can say whose key it is"
            if isinstance(error, Unpinned)
            else "somebody has to see whether it has power and a cable",
        )


def _identity(evidence: Evidence) -> Iterator[Finding]:
    for node, error in evidence.errors.items():
        if isinstance(error, IdentityMismatch):
            yield bad(
                node,
                "identity",
                error.message,
                hint=error.hint,
                cannot="only a person can tell a board that was made anew from a stranger",
            )


def _login(evidence: Evidence) -> Iterator[Finding]:
    for node, error in evidence.errors.items():
        if not isinstance(error, Refused):
            continue
        wrong = [line for line in evidence.modes.get(node, ()) if _too_open(evidence, line)]
        paths = [line.split(None, 2)[2] for line in wrong]
        words = error.message
        if wrong:
            words = f"sshd of {node} ignores our key, because others may write to {paths[0]}"
        mend = Mend(
            f"take that right from others, by way of {evidence.head}",
            before=((node, f"chmod go-w {' '.join(paths)}"),),
        )
        yield bad(
            node,
            "login",
            words,
            *wrong,
            hint=error.hint,
            mend=mend if wrong else None,
            cannot="" if wrong else "no other board gets in to look at it",
        )


def _too_open(evidence: Evidence, line: str) -> bool:
    """StrictModes of sshd_config(5): a file or folder on the way to the keys that others than
    its owner may write to."""
    mode = line.split(maxsplit=1)[0]
    return mode.isdigit() and bool(int(mode, 8) & 0o22) and not int(mode, 8) & 0o1000


def _program(evidence: Evidence) -> Iterator[Finding]:
    for node, error in evidence.errors.items():
        if not isinstance(error, Unreachable | IdentityMismatch | Refused):
            yield bad(node, "program", error.message, hint=error.hint, cannot="see the hint")


def _power(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        bits = health.throttled or 0
        when = "now" if bits & NOW else "since it was switched on"
        evidence_of_it = f"get_throttled says 0x{bits:x}"
        if bits & UNDER_VOLTAGE:
            yield bad(
                node,
                "power",
                f"{node} gets too little voltage ({when}): its power supply or cable is too weak",
                evidence_of_it,
                hint="a supply of its own with 3 A, and a short cable",
                cannot="that is a cable",
            )
        elif bits & TOO_HOT:
            heat = f", {health.temperature:.0f} degrees" if health.temperature else ""
            yield bad(
                node,
                "power",
                f"{node} is slowed down because it is too hot ({when}{heat})",
                evidence_of_it,
                hint="a heat sink, a fan, or room between the boards",
                cannot="that is a fan",
            )


def _disk(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        dead = [space for space in health.spaces if space.state not in ("ok", "ENOSPC")]
        told = [f"{device}: {count} errors" for device, count in health.disk_errors]
        if dead:
            words = f"{node} cannot write to {dead[0].path} ({dead[0].state})"
            words += ": its card or disk has failed" if told else ""
            yield bad(node, "disk", words, *told, hint=CHECK_IT.format(node), cannot=IN_USE)


def _card(evidence: Evidence) -> Iterator[Finding]:
    """What still works is not a cause of anything else yet."""
    for node, health in evidence.examined():
        told = [f"{device}: {count} errors" for device, count in health.disk_errors]
        if told:
            words = f"ext4 has met errors on a disk of {node}: its card is dying, or lost power"
            yield bad(node, "card", words, *told, hint=CHECK_IT.format(node), cannot=IN_USE)


def _space(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        for space in health.spaces:
            full = is_full(space)
            if not full and not lacks_inodes(space):
                continue
            left = (
                f"{space.free_mb} of {space.mb} MB are left"
                if full
                else f"{space.free_inodes} of {space.inodes} inodes are left, so no new file can"
                " be made"
            )
            yield bad(
                node,
                "space",
                f"{space.path} of {node} is full: {left}",
                *(f"{what}" for what in space.largest),
                hint="delete or move what takes the most, which is listed above",
                mend=Mend(
                    "drop apt's downloads, old journals and core dumps past their time",
                    before=((node, CLEAN),),
                ),
                cannot="whether the largest files are wanted, only you know",
            )
            break


def _link(evidence: Evidence) -> Iterator[Finding]:
    for node, health in evidence.examined():
        for interface, mbit in health.links:
            if 0 < mbit <= SLOW_LINK:
                yield bad(
                    node,
                    "link",
                    f"{interface} of {node} runs at {mbit} Mbit/s",
                    hint="another cable, another port of the switch",
                    cannot="that is a cable",
                )


CHECKS = (
    Check("reach", "whether the board answers", "no: power and cables", _reach),
    Check(
        "identity",
        "its host key against the pinned one",
        "no: a person has to compare fingerprints",
        _identity,
    ),
    Check(
        "login",
        "whether it takes our key; if not, the modes of the files that sshd looks at",
        "takes the right to write there from others, by way of the head",
        _login,
    ),
    Check("program", "whether Python and sudo work there", "no", _program),
    Check("power", "voltage and heat, where the board tells them", "no", _power, ALONE),
    Check(
        "disk",
        "whether a file can be begun, whatever the mount table says",
        "no: the disk has to be checked at boot, or replaced",
        _disk,
        ALONE,
    ),
    Check(
        "card",
        "errors that ext4 has met and e2fsck(8) has not repaired since",
        "no: the disk has to be checked at boot, or replaced",
        _card,
        (*ALONE, "disk"),
    ),
    Check(
        "space",
        "free space and free inodes",
        "drops apt's downloads, old journals, and core dumps past their time; all else is yours",
        _space,
        (*ALONE, "disk"),
    ),
    Check("link", "the speed of wired interfaces", "no", _link, ALONE),
)
