"""What a stranger is asked before anything on it is changed, and what it answers."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wulfling.errors import NodeFailed
from wulfling.model.resource import Resource
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File

DEFAULTS = (
    ("alarm", "alarm"),
    ("armbian", "1234"),
    ("debian", "temppwd"),
    ("dietpi", "dietpi"),
    ("khadas", "khadas"),
    ("nvidia", "nvidia"),
    ("odroid", "odroid"),
    ("orangepi", "orangepi"),
    ("pi", "pi"),
    ("pi", "raspberry"),
    ("radxa", "radxa"),
    ("rock", "rock"),
    ("root", "1234"),
    ("root", "dietpi"),
    ("root", "khadas"),
    ("root", "odroid"),
    ("root", "orangepi"),
    ("root", "root"),
    ("root", "toor"),
    ("ubuntu", "ubuntu"),
)
"""Accounts and passwords that boards come with, and that every scanner tries first."""

# The board compares by itself: a login for each would fill its log and shut us out.
# perl-base is on every Debian, and crypt(3) there knows what the board's hashes are made with.
_KNOWN_PASSWORDS = r"""
if command -v perl >/dev/null; then
perl -e 'while (<STDIN>) { chomp; ($name, $word) = split /:/, $_, 2;
    $hash = (getpwnam $name)[1]; next if !$hash || length $hash < 13;
    $made = crypt $word, $hash; print "\@default $name\n" if $made && $made eq $hash }' <<'EOF'
@DEFAULTS@
EOF
fi
"""

_QUESTION = """\
tell hostname "$(hostname)"
tell machine_id "$(cat /etc/machine-id 2>/dev/null || :)"
tell host_key "$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || :)"
[ ! -x /usr/bin/python3 ] || tell has python3
! command -v sudo >/dev/null || tell has sudo
"""


HOSTNAME, MACHINE_ID, HOST_KEY = "hostname", "machine-id", "host key"
"""What no two boards may share; copies of one SD card share all three."""


@dataclass(frozen=True)
class Facts:
    """A board as it was found. ``seconds`` is its clock, ``there`` are lines that say how much
    of the admin account it has (see ``lines_of``), ``defaults`` the accounts that a password
    from the maker still opens."""

    hostname: str
    machine_id: str
    host_key: str
    seconds: int
    has: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset()
    defaults: tuple[str, ...] = ()


def question(account: Iterable[Resource]) -> str:
    """The script that asks; it changes nothing."""
    resources = tuple(account)
    probes = "".join(f"{_probe(resource)}\n" for resource in resources)
    table = "\n".join(f"{name}:{password}" for name, password in DEFAULTS)
    return (
        _QUESTION
        + probes
        + _KNOWN_PASSWORDS.replace("@DEFAULTS@", table)
        + 'tell seconds "$(date +%s)"'
    )


def parsed(node: str, told: Iterable[tuple[str, str]]) -> Facts:
    """The facts that a board told, word by word.

    Raises ``NodeFailed`` when it did not tell the time, which comes last.
    """
    words: dict[str, list[str]] = {}
    for word, text in told:
        words.setdefault(word, []).append(text.strip())
    seconds = _only(words, "seconds")
    if not seconds.isdecimal():
        raise NodeFailed(f"it says it is {seconds!r} o'clock", where=node)
    return Facts(
        hostname=_only(words, "hostname"),
        machine_id=_only(words, "machine_id"),
        host_key=_only(words, "host_key"),
        seconds=int(seconds),
        has=frozenset(words.get("has", ())),
        there=frozenset(words.get("there", ())),
        defaults=tuple(sorted(set(words.get("default", ())))),
    )


def shared(
    facts: Mapping[str, Facts], others: Mapping[str, tuple[str, ...]]
) -> Mapping[str, frozenset[str]]:
    """What each board has to get anew, because another one has the same: copied SD cards.

    ``facts`` are in the file's order, and the first board keeps what it has, so that a run
    that is cut off and taken up again ends like one that was not. ``others`` are the pinned
    host keys of nodes that were not asked: who has one of theirs is a copy altogether.
    """
    taken: set[tuple[str, str]] = set()
    anew: dict[str, frozenset[str]] = {}
    strange = {key for keys in others.values() for key in keys}
    for node, found in facts.items():
        told = (
            (HOSTNAME, found.hostname),
            (MACHINE_ID, found.machine_id),
            (HOST_KEY, found.host_key),
        )
        copied = found.host_key in strange
        anew[node] = frozenset(what for what, value in told if copied or (what, value) in taken)
        taken |= {(what, value) for what, value in told if value not in ("", "uninitialized")}
    return anew


def lines_of(resource: Resource) -> tuple[str, ...]:
    """What a board says that has ``resource`` as it is declared."""
    match resource:
        case Group():
            return (f"{resource.group}:{resource.gid}",)
        case User():
            told = (resource.user, resource.uid, resource.gid, resource.home, resource.shell)
            return (":".join(map(str, told)),)
        case Directory():
            owner = f"{resource.owner} {resource.group}"
            return (f"{resource.path} {owner} {resource.mode:o}",)
        case File():
            import hashlib

            owner = f"{resource.owner} {resource.group}"
            content = hashlib.sha256(resource.content.encode()).hexdigest()
            return (
                f"{resource.path} {owner} {resource.mode:o}",
                f"{content}  {resource.path}",
            )
    raise TypeError(f"adopt does not know how to ask for {resource.key}")


def _probe(resource: Resource) -> str:
    """The lines that tell what ``lines_of`` gives, or nothing. Of an account also who has its
    number."""
    match resource:
        case Group():
            ask = f"getent group {resource.group} {resource.gid} | cut -d: -f1,3"
        case User():
            ask = f"getent passwd {resource.user} {resource.uid} | cut -d: -f1,3,4,6,7"
        case Directory():
            ask = f"stat -c '%n %U %G %a' {shlex.quote(resource.path)} 2>/dev/null"
        case File():
            path = shlex.quote(resource.path)
            ask = f"{{ stat -c '%n %U %G %a' {path}; sha256sum {path}; }} 2>/dev/null"
        case _:
            raise TypeError(f"adopt does not know how to ask for {resource.key}")
    return f'{{ {ask} || :; }} | while read -r line; do tell there "$line"; done'


def _only(words: Mapping[str, list[str]], word: str) -> str:
    return next(iter(words.get(word, ())), "")
