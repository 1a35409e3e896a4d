"""What this machine remembers of a cluster: pinned host keys and its own key pair.

All of it can be made again: the keys of virtual boards by the lab, those of real boards by
comparing once more, and a key pair by putting the new public half on the boards.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from wulfling import proc
from wulfling.errors import WulflingError

RETIRED = "retired_host_keys"
NEXT, FORMER = "id_ed25519.next", "id_ed25519.former.pub"


def state_directory(cluster: str) -> Path:
    """The cluster's own folder, made with mode 0700 when it is missing."""
    value = os.environ.get("XDG_STATE_HOME", "")
    base = Path(value) if value.startswith("/") else Path.home() / ".local" / "state"
    folder = base / "wulfling" / "clusters" / cluster
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def known_hosts(cluster: str) -> Path:
    """The file with the cluster's pinned host keys, in sshd(8)'s format; it may not exist."""
    return state_directory(cluster) / "known_hosts"


def identity(cluster: str) -> Path:
    """The private key that wulfling itself uses for this cluster, made when it is missing.

    The public half is beside it with ``.pub``. Raises ``CommandFailed``.
    """
    key = state_directory(cluster) / "id_ed25519"
    if not key.exists():
        with held(key.parent):
            if not key.exists():
                new_key(key, f"wulfling-{cluster}")
    return key


def public_key(cluster: str) -> str:
    """The public half of ``identity``, a whole line."""
    return Path(f"{identity(cluster)}.pub").read_text(encoding="utf-8").strip()


def pin(cluster: str, address: str, keys: Iterable[str]) -> None:
    """Make ``keys`` ("ssh-ed25519 AAAA...") the only ones that ``address`` may answer with.

    ``address`` is written as in ``Address.pinned_as``. Raises ``WulflingError`` when one of
    the keys is no public key.
    """
    lines = [f"{address} {' '.join(_parts(key))}" for key in keys]
    file = known_hosts(cluster)
    with held(file.parent):
        before = _lines(file)
        after = [line for line in before if line.split()[:1] != [address]] + lines
        if after != before:
            write_beside(file, "".join(f"{line}\n" for line in after))


def pinned(cluster: str, address: str) -> tuple[str, ...]:
    """The keys that ``address`` may answer with, without the address."""
    words = (line.split(maxsplit=1) for line in _lines(known_hosts(cluster)))
    return tuple(line[1] for line in words if len(line) == 2 and line[0] == address)


def retire(cluster: str, keys: Iterable[str]) -> None:
    """Remember host keys that were in use and are no more: nobody is to pin them again."""
    file = state_directory(cluster) / RETIRED
    lines = [" ".join(_parts(key)) for key in keys]
    with held(file.parent):
        before = _lines(file)
        write_beside(file, "".join(f"{line}\n" for line in dict.fromkeys((*before, *lines))))


def is_retired(cluster: str, key: str) -> bool:
    """Whether a host key was in use before a rotation."""
    return " ".join(_parts(key)) in _lines(state_directory(cluster) / RETIRED)


def next_identity(cluster: str) -> Path:
    """The private key that will be ``identity`` after ``use_next``, made when it is missing."""
    key = state_directory(cluster) / NEXT
    with held(key.parent):
        if not key.exists():
            new_key(key, f"wulfling-{cluster}")
    return key


def use_next(cluster: str) -> None:
    """Make the next key ``identity``, and the one that was so far ``former``. Cut off anywhere,
    it is to be done again."""
    folder = state_directory(cluster)
    with held(folder):
        if (folder / NEXT).exists():
            if not (folder / FORMER).exists():
                write_beside(folder / FORMER, (folder / "id_ed25519.pub").read_text())
            # The private half last: the boards take both keys meanwhile.
            write_beside(folder / "id_ed25519.pub", (folder / f"{NEXT}.pub").read_text())
            (folder / NEXT).replace(folder / "id_ed25519")
        (folder / f"{NEXT}.pub").unlink(missing_ok=True)


def former(cluster: str) -> str:
    """The public key that boards may still take, until ``forget_former``; "" when none is."""
    return "".join(_lines(state_directory(cluster) / FORMER))


def forget_former(cluster: str) -> None:
    """No board takes it any more."""
    (state_directory(cluster) / FORMER).unlink(missing_ok=True)


def has_next(cluster: str) -> bool:
    """Whether there is a key that is to become ``identity``."""
    return (state_directory(cluster) / NEXT).exists()


def fingerprint(key: str) -> str:
    """What ``ssh-keygen -l`` shows of a public key: ``SHA256:...``.

    Raises ``WulflingError`` when it is none.
    """
    digest = hashlib.sha256(base64.b64decode(_parts(key)[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _parts(key: str) -> tuple[str, str]:
    """Kind and data of a public key, after RFC 4253, section 6.6: the data names its kind."""
    kind, _, rest = key.strip().partition(" ")
    data = rest.strip().partition(" ")[0]
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if raw[4 : 4 + int.from_bytes(raw[:4], "big")] != kind.encode() or not kind:
        raise WulflingError(
            f"{key.strip()[:40]!r} is no SSH public key",
            hint="a public key reads like: ssh-ed25519 AAAA...",
        )
    return kind, data


def new_key(key: Path, comment: str) -> None:
    """A key pair at ``key``, and ``.pub`` beside it. Raises ``CommandFailed``."""
    fresh = key.with_name(f".{key.name}.new")
    for leftover in (fresh, Path(f"{fresh}.pub")):
        leftover.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(fresh)]
    proc.run(argv, timeout=30, hint="sudo apt-get install openssh-client")
    # The private half last: where it is, both are.
    Path(f"{fresh}.pub").replace(f"{key}.pub")
    fresh.replace(key)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []


def write_beside(file: Path, text: str) -> None:
    """The file is either the old or the new one, also after a crash."""
    fresh = file.with_name(f".{file.name}.new")
    with open(fresh, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.replace(file)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """One writer at a time; the system drops the lock of a process that dies."""
    with open(folder / ".lock", "w") as handle:
        flock(handle, LOCK_EX)
        yield
