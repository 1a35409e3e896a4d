"""Files: content, owner and mode, replaced in one step so that nobody ever sees half a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource, digest
from wulfling.node.board import Board

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F) if code != ord("\t")}


@dataclass(frozen=True, kw_only=True)
class File(Resource):
    """A file that belongs to wulfling. ``validate`` is a command that gets the new file's path
    and has to succeed before it takes the place of the old one. A ``secret`` is never shown."""

    kind: ClassVar[str] = "file"

    path: str
    content: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    secret: bool = field(default=False, compare=False)
    validate: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> File | None:
        """The regular file at ``path``; ``None`` when there is none, or a link or a device that
        the file will take the place of. Raises ``WulflingError`` when it is a directory."""
        place = board.path(self.path)
        try:
            status = place.lstat()
            if stat.S_ISDIR(status.st_mode):
                raise WulflingError(f"{self.path} is a directory, and a file is declared there")
            if not stat.S_ISREG(status.st_mode):
                return None
            content = board.text(self.path) or ""
        except (FileNotFoundError, NotADirectoryError):
            return None
        return replace(
            self,
            content=content,
            owner=board.user_name(status.st_uid),
            group=board.group_name(status.st_gid),
            mode=stat.S_IMODE(status.st_mode),
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Write beside, sync, validate, rename. Raises ``CommandFailed`` when refused."""
        place = board.path(self.path)
        if not place.parent.is_dir():
            raise WulflingError(f"{place.parent} is no directory, so {place.name} cannot be there")
        write_atomically(
            place,
            self.content,
            mode=self.mode,
            uid=board.uid(self.owner),
            gid=board.gid(self.group),
            validate=lambda new: self.validate and board.run([*self.validate, str(new)]),
        )

    def commands(self) -> tuple[str, ...]:
        mode = f"{self.mode:04o}"
        text = "..." if self.secret else self.content.rstrip("\n")
        make = f"sudo install -m {mode} -o {self.owner} -g {self.group} /dev/null {self.path}"
        fill = f"sudo tee {self.path} > /dev/null <<'EOF'\n{text}\nEOF"
        return (make, fill) if text else (make,)

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rm {self.path}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """A unified diff; of a secret only the beginnings of two hashes."""
        if observed is None:
            return (f"+ {self.key}",)
        assert isinstance(observed, File)
        lines = []
        if observed.content != self.content:
            if self.secret:
                lines.append(f"  sha256 {digest(observed.content)} -> {digest(self.content)}")
            else:
                lines.extend(unified(self.path, observed.content, self.content))
        for name in ("owner", "group"):
            was, want = getattr(observed, name), getattr(self, name)
            if was != want:
                lines.append(f"  {name}: {was} -> {want}")
        if observed.mode != self.mode:
            lines.append(f"  mode: {observed.mode:04o} -> {self.mode:04o}")
        return tuple(lines)


def unified(path: str, before: str, after: str) -> list[str]:
    """The lines of ``diff -u`` for two versions of the file at ``path``."""
    import difflib  # only a difference needs it, and it is slow to load on a small board

    was, want = _shown_lines(before), _shown_lines(after)
    diff = difflib.unified_diff(was, want, f"a{path}", f"b{path}", lineterm="")
    return [line for lines in diff for line in lines.split("\n")]


def _shown_lines(text: str) -> list[str]:
    """Lines that a terminal can show: control characters and bytes that are not UTF-8 appear
    as ``\\xff``, and a last line without an end says so, as in ``diff -u``."""
    lines = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").split("\n")
    shown = [line.translate(_CONTROLS) for line in lines]
    if last := shown.pop():
        shown.append(f"{last}\n\\ No newline at end of file")
    return shown


def write_atomically(
    place: Path,
    content: str,
    *,
    mode: int,
    uid: int,
    gid: int,
    validate: Callable[[Path], object] = lambda new: None,
) -> None:
    """Replace ``place`` in one step that a power cut cannot halve.

    The new file has its owner and mode from birth, and is on the disk before it is renamed.
    Whatever goes wrong on the way, the old file stays and the new one is gone.
    """
    new = unfinished(place)
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            file.write(content.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        validate(new)
        new.replace(place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(place.parent)


def unfinished(place: Path) -> Path:
    """The name under which a new version of ``place`` is written before it takes its place.
    It starts with a dot, so that no daemon takes it for a part of its configuration."""
    return place.with_name(f".{place.name}.wulfling-new")


def sync_directory(folder: Path) -> None:
    """Make the names in ``folder`` durable (fsync(2), on a directory)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
