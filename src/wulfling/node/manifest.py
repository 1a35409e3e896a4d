"""What wulfling owns on this board, so that what is no longer declared can be taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.model.resource import Resource
from wulfling.node.board import STATE, Board
from wulfling.node.resources import account
from wulfling.node.resources.blob import Blob
from wulfling.node.resources.block import Block
from wulfling.node.resources.file import File, sync_directory, write_atomically
from wulfling.node.resources.firewall import NO_FIREWALL
from wulfling.node.resources.libraries import Libraries
from wulfling.node.resources.quota import Quota
from wulfling.node.resources.service import Service, is_ours
from wulfling.node.resources.slurm import Association

MANIFEST = f"{STATE}/manifest.json"


@dataclass(frozen=True, kw_only=True)
class Retired(Resource):
    """A file or link that was ours and is declared no more. Nothing else is ever deleted: a
    file that somebody has written to since (its ``sha256`` is another) has become theirs."""

    kind: ClassVar[str] = "retired"

    path: str
    sha256: str = field(default="", compare=False)  # of what we wrote last; "" for a link

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Retired | None:
        """Equal to this one once the file is gone, or is not ours any more."""
        place = board.path(self.path)
        ours = place.is_symlink() if not self.sha256 else _sha256(board, self.path) == self.sha256
        return None if ours else self

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Remove the file."""
        place = board.path(self.path)
        place.unlink(missing_ok=True)
        sync_directory(place.parent)
        if self.path.startswith("/etc/systemd/system/"):
            board.run(["systemctl", "daemon-reload"])

    def note(self, board: Board) -> str:
        """Why a file stays."""
        kept = _sha256(board, self.path)
        return "declared no more, but changed since by somebody else: left alone" if kept else ""

    def commands(self) -> tuple[str, ...]:
        return (f"sudo rm {self.path}",)

    def undo(self) -> tuple[str, ...]:
        return ("wulfling apply   # with the file's old declaration",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        return (f"- {self.path}",)


@dataclass(frozen=True)
class Manifest:
    """``keys`` in the order in which they were declared, and for each file the sha256 of what
    we wrote."""

    keys: tuple[str, ...]
    files: Mapping[str, str]


Scope = tuple[str, ...]
"""How the keys begin that a run is about; one that is about everything has ``EVERYTHING``."""

EVERYTHING: Scope = ("",)


def retired(
    board: Board, declared: Sequence[Resource], scope: Scope = EVERYTHING
) -> Iterator[Resource]:
    """What the last apply owned and this one does not declare, last declared first: what people
    had, services that we brought, then the files that they read."""
    owned = read_manifest(board)
    keys = {resource.key for resource in declared}
    places = {getattr(resource, "path", "") for resource in declared}  # of another kind by now
    gone = [
        key.partition(":")
        for key in reversed(owned.keys)
        if key not in keys and key.startswith(scope)
    ]
    for kind, _, name in gone:
        yield from _taken_from(board, kind, name)
    for kind, _, name in gone:
        if kind == "service" and is_ours(board, name):
            yield Service(unit=name, enabled=False, running=False)
        if kind == "firewall":
            yield NO_FIREWALL
    for kind, _, name in gone:
        if kind in ("block", "pam"):
            yield Block(path=name, text="")
        if kind == "libraries":
            yield Libraries(path=name, folder="")
        known = kind == "link" or (kind in ("file", "blob") and name in owned.files)
        if known and name not in places and os.path.lexists(board.path(name)):
            yield Retired(path=name, sha256=owned.files.get(name, ""))


def _taken_from(board: Board, kind: str, name: str) -> Iterator[Resource]:
    """What somebody loses who is not in the file any more, or not to the same extent. Homes
    stay, whoever owns them."""
    if kind == "user" and account.is_ours(board, name):
        yield account.Closed(user=name)
    elif kind == "quota":
        yield Quota(user=name, limit_mb=0)
    elif kind == "association" and "@" in name:
        user, _, charged = name.partition("@")
        yield Association(user=user, account=charged, active=False)


def goes_last(resource: Resource) -> bool:
    """Whether this is taken back when everything declared is there: a person moves to the new
    account before the old one is left, and see ``lets_somebody_in``."""
    return isinstance(resource, Association) or lets_somebody_in(resource)


def lets_somebody_in(resource: Resource) -> bool:
    """Whether this is how somebody gets into the board. Such things are taken back last, when
    everything declared is there: were the new administrator's keys refused half-way, the old
    ones would be the only way back in."""
    return isinstance(resource, Retired) and (
        resource.path.startswith(("/etc/sudoers.d/", "/etc/ssh/"))
        or resource.path.endswith("/authorized_keys")
    )


def announce(board: Board, declared: Sequence[Resource]) -> None:
    """Remember what is about to be made, so that it is known for ours when this run fails
    half-way and the next one declares something else."""
    owned = read_manifest(board)
    keys = [key for key in (resource.key for resource in declared) if key not in owned.keys]
    files = _hashes(declared)
    _write_news(board, owned, Manifest((*owned.keys, *keys), {**files, **owned.files}))


def write_manifest(
    board: Board, declared: Sequence[Resource], *, keep: bool, scope: Scope = EVERYTHING
) -> None:
    """Remember what was made, if that is news; with ``keep`` also what was ours before,
    because this run was not asked to take it back. What is outside of ``scope`` is kept."""
    owned = read_manifest(board)
    now = {resource.key for resource in declared}
    kept = [key for key in owned.keys if key not in now and (keep or not key.startswith(scope))]
    paths = {key.partition(":")[2] for key in kept}
    files = {path: sha for path, sha in owned.files.items() if keep or path in paths}
    keys = (*(resource.key for resource in declared), *kept)
    _write_news(board, owned, Manifest(keys, {**files, **_hashes(declared)}))


def read_manifest(board: Board) -> Manifest:
    """What the last clean apply left; nothing on a board that had none."""
    try:
        found = json.loads(board.text(MANIFEST) or "{}")
        return Manifest(tuple(map(str, found.get("keys", ()))), dict(found.get("files", {})))
    except (AttributeError, TypeError, ValueError):
        return Manifest((), {})


def _hashes(declared: Sequence[Resource]) -> dict[str, str]:
    blobs = {r.path: r.sha256 for r in declared if isinstance(r, Blob)}
    return {**blobs, **{r.path: _hash(r.content) for r in declared if isinstance(r, File)}}


def _write_news(board: Board, old: Manifest, new: Manifest) -> None:
    if new != old:
        text = json.dumps({"keys": new.keys, "files": dict(new.files)}, indent=1) + "\n"
        write_atomically(board.path(MANIFEST), text, mode=0o600, uid=0, gid=0)


def _hash(content: str) -> str:
    import hashlib  # loads OpenSSL, and a plan without anything to take back needs none of it

    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(board: Board, path: str) -> str:
    """The hash of a regular file, "" for anything else."""
    place = board.path(path)
    if place.is_symlink() or not place.is_file():
        return ""
    return _hash(board.text(path) or "")
