"""The rules about accounts: names, numbers, and the public keys that may log in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wulfling.spec.document import Loc
from wulfling.spec.draft import Draft
from wulfling.spec.problem import Problem, Refused
from wulfling.spec.publickeys import operator_keys, public_keys
from wulfling.spec.resolution import uid_of

# Accounts and groups of Debian's base-passwd, of the packages that a cluster gets, and of
# Raspberry Pi OS. A person has a group of the same name, so groups count as well.
RESERVED = frozenset(
    """
    _apt _chrony _rpc _ssh adm audio avahi backup bin cdrom chrony crontab daemon dialout
    dip disk dnsmasq fax floppy games gpio i2c input irc kmem kvm list lp mail man
    messagebus munge mysql netdev news nobody nogroup ntp operator plugdev polkitd proxy
    redis render root sasl sgx shadow slurm spi src ssh sshd ssl-cert staff statd sudo sync
    sys syslog systemd tape tcpdump tss tty users utmp uucp video voice wheel www-data
    """.split()
)


@dataclass
class KeyFiles:
    """The public keys that the entries of ``keys:`` stand for, read once."""

    read: dict[Loc, tuple[str, ...]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def of(self, loc: Loc, entries: tuple[str, ...]) -> tuple[str, ...]:
        """The keys of all entries of the list at ``loc``, each once."""
        found = [key for n, _ in enumerate(entries) for key in self.read.get((*loc, n), ())]
        return tuple(dict.fromkeys(found))


def read_keys(draft: Draft) -> KeyFiles:
    """Every key that the file names. Reads the files, and tells of those it cannot."""
    files = KeyFiles()
    folder = draft.document.path.parent
    lists: list[tuple[Loc, tuple[str, ...]]] = [(("admin", "keys"), draft.spec.admin.keys)]
    lists += [(("people", name, "keys"), p.keys) for name, p in draft.spec.people.items()]
    for loc, entries in lists:
        for number, entry in enumerate(entries):
            place = (*loc, number)
            try:
                files.read[place] = public_keys(entry, folder)
            except Refused as refused:
                if draft.sound(*loc):
                    files.problems.append(draft.problem(place, refused.message, refused.hint))
    return files


def refused_name(name: str, admin: str) -> Refused | None:
    """Why no person can be called that: it is a system account, or the tool's own."""
    if name in RESERVED or name.startswith(("systemd-", "wulfling-")):
        return Refused(_system(name), "choose another name")
    if name == admin:
        return Refused(
            f"{name} is the account that wulfling itself uses",
            "choose another name, or another `admin: {name: ...}`",
        )
    return None


def names(draft: Draft) -> Iterator[Problem]:
    """Nobody has the name of a system account, and the tool's account is its own."""
    admin = draft.spec.admin.name
    for name in draft.spec.people:
        if refused := refused_name(name, admin):
            yield draft.problem(("people", name), refused.message, refused.hint, key=True)
    if admin in RESERVED or admin.startswith("systemd-"):
        yield draft.problem(("admin", "name"), _system(admin), "choose another name")
    elif admin == draft.spec.login and draft.sound("login"):
        yield draft.problem(
            ("admin", "name"),
            f"{admin} is the account of new boards (login), and wulfling needs one of its own",
            "leave `admin:` out: the account is called wulfling then",
        )


def _system(name: str) -> str:
    return f"{name} is an account or a group of the system itself"


def uids(draft: Draft) -> Iterator[Problem]:
    """Numbers differ, declared or made from a name."""
    owner: dict[int, str] = {}
    for name, person in draft.spec.people.items():
        if not draft.sound("people", name, "uid"):
            continue
        uid = uid_of(name, person)
        if uid not in owner:
            owner[uid] = name
            continue
        declared = person.uid is not None
        yield draft.problem(
            ("people", name, "uid") if declared else ("people", name),
            f"{name} and {owner[uid]} would both have the uid {uid}",
            f"{'change it' if declared else f'give {name} a `uid:` of its own'}, for example"
            f" {_free(draft)}",
            key=not declared,
        )


def _free(draft: Draft) -> int:
    taken = {uid_of(name, person) for name, person in draft.spec.people.items()}
    return next(uid for uid in range(2001, 60_000) if uid not in taken)


def way_in(draft: Draft) -> Iterator[Problem]:
    """Somebody can log in to real boards afterwards."""
    virtual = draft.spec.boards == "virtual" or not draft.sound("boards")
    if virtual or draft.spec.admin.keys or not draft.sound("admin") or operator_keys():
        return
    yield draft.problem(
        ("admin", "keys"),
        f"nobody can log in as {draft.spec.admin.name}: no key here, and none in ~/.ssh/id_*.pub",
        "`ssh-keygen -t ed25519` makes one",
        key=True,
        warning=True,
    )


RULES = (names, uids, way_in)
