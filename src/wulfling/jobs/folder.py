"""What of a folder is sent: a list of its files, less what is excluded, and never a whole home."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wulfling.errors import WulflingError
from wulfling.node.desk.tree import as_found

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE = ".wulflingignore"
"""The file with more exclusions, in the notation of gitignore(5)."""

FETCHED = ".wulfling-job"
"""The file that marks a folder with the results of a job; such folders are not sent."""

MOST_BYTES = 1 << 30
MOST_FILES = 20_000

# What can be made anew, belongs to one machine, or is history.
EXCLUDED = (
    "/.wulfling/ .git/ .hg/ .svn/ .venv/ __pycache__/ *.pyc node_modules/ .mypy_cache/"
    " .pytest_cache/ .ruff_cache/ .ipynb_checkpoints/ .DS_Store"
).split()


@dataclass(frozen=True)
class Parcel:
    """A folder and the list of what is sent of it, as the desk reads it."""

    root: Path
    entries: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]  # sockets and the like, which no copy has

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(entry["kind"] == "file" for entry in self.entries)

    @property
    def bytes(self) -> int:
        """How large all of them are together."""
        return sum(entry.get("size", 0) for entry in self.entries)


def packed(folder: Path, *, large: bool = False) -> Parcel:
    """The list of what is sent of ``folder``.

    Raises ``WulflingError`` when it is a home or a part of the system, when a file in it
    cannot be read, and, unless ``large``, from 20,000 files or 1 GiB on.
    """
    root = folder.resolve()
    check_place(root)
    rules = _rules(root)
    entries: list[dict[str, Any]] = []
    left_out: list[str] = []
    for path in _walk(root, root, rules):
        if path.is_dir() and not path.is_symlink():
            entries.append({"path": str(path.relative_to(root)), "kind": "dir"})
        elif entry := as_found(root, path):
            entries.append(entry)
        else:
            left_out.append(str(path.relative_to(root)))
        if len(entries) > MOST_FILES and not large:
            raise WulflingError(
                f"{folder} has more than {MOST_FILES} files and folders",
                hint=f"exclude some in {root / IGNORE}, or --large",
            )
    parcel = Parcel(root, tuple(entries), tuple(left_out))
    if parcel.bytes > MOST_BYTES and not large:
        raise WulflingError(
            f"{folder} has {size(parcel.bytes)}; the largest are {_largest(parcel.entries)}",
            hint=f"exclude some in {root / IGNORE}, or --large",
        )
    return parcel


def check_place(root: Path) -> None:
    """Refuse what nobody means to send; ``root`` is absolute and has no links in it."""
    home = Path.home().resolve()
    reason = ""
    if not root.is_dir():
        reason = "is no folder"
    elif root == home:
        reason = "is your home"
    elif home.is_relative_to(root):
        reason = "has your home in it"
    elif len(root.parts) <= 2 or root.parts[1] in ("proc", "sys", "dev", "run", "boot", "etc"):
        reason = "is a part of the system"
    elif root.is_relative_to(home) and root.relative_to(home).parts[0].startswith("."):
        reason = "is among the settings and keys of your home"
    if reason:
        raise WulflingError(
            f"{root} {reason}, and is not sent",
            hint="make a folder for the job, go there, or name it with --folder",
        )


def size(count: int) -> str:
    """A number of bytes for people: 3.4 MB."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _rules(root: Path) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # only who sends a folder waits for it

    try:
        own = (root / IGNORE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        own = []
    try:
        return GitIgnoreSpec.from_lines([*EXCLUDED, *own])
    except ValueError as error:
        raise WulflingError(str(error), where=str(root / IGNORE)) from None


def _walk(root: Path, folder: Path, rules: GitIgnoreSpec) -> Iterator[Path]:
    """Folders before what is in them. An excluded folder is not looked into (gitignore(5))."""
    try:
        names = sorted(os.scandir(folder), key=lambda item: item.name)
    except OSError as error:
        raise _unreadable(folder, error) from None
    for item in names:
        path = Path(item.path)
        inside = item.is_dir(follow_symlinks=False)
        if rules.match_file(f"{path.relative_to(root).as_posix()}{'/' * inside}"):
            continue
        if not inside:
            if stat.S_ISREG(item.stat(follow_symlinks=False).st_mode) and not os.access(
                path, os.R_OK
            ):
                raise _unreadable(path, PermissionError(13, "Permission denied"))
            yield path
        elif not (path / FETCHED).exists():
            yield path
            yield from _walk(root, path, rules)


def _unreadable(path: Path, error: OSError) -> WulflingError:
    return WulflingError(f"{path} cannot be read: {error.strerror}", hint=f"exclude it in {IGNORE}")


def _largest(entries: Sequence[dict[str, Any]]) -> str:
    largest = sorted(entries, key=lambda entry: -int(entry.get("size", 0)))[:3]
    return ", ".join(f"{entry['path']} ({size(entry['size'])})" for entry in largest)
