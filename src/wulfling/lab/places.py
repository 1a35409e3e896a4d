"""Where labs live on this machine: state, image cache and the short paths that sockets need."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError

_UNFIT = re.compile(r"""[\s,:"'\\]""")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def state_root() -> Path:
    """The folder that holds one folder per lab."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "wulfling" / "labs"


def cache_root() -> Path:
    """The folder for what can be made again: images and packages."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "wulfling"


def runtime_root() -> Path:
    """A private folder with a short name, because a unix socket path ends at 108 bytes.

    It does not depend on the login session: boards outlive it. Raises ``WulflingError`` when
    somebody else made a folder of that name.
    """
    root = Path(f"/tmp/wulfling-{os.getuid()}")
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:
        pass
    found = root.lstat()
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    if not private or found.st_uid != os.getuid():
        raise WulflingError(
            f"{root} is not a private folder of this user",
            hint=f"sudo rm -r {root}",
        )
    return root


def runtime_folder(owner: Path) -> Path:
    """The name of the short folder that belongs to ``owner``; it may not exist yet."""
    return runtime_root() / hashlib.sha256(os.fsencode(owner)).hexdigest()[:12]


@dataclass(frozen=True)
class BoardFiles:
    """The files of one virtual board."""

    folder: Path

    @property
    def disk(self) -> Path:
        """Its own blocks, on top of the image."""
        return self.folder / "disk.cow"

    @property
    def image(self) -> Path:
        """The image below its disk: another name of the one in the cache, which may go."""
        return self.folder / "image.ext4"

    @property
    def seed(self) -> Path:
        """Its identity, read at boot."""
        return self.folder / "seed.tar"

    @property
    def host_key(self) -> Path:
        """Its SSH host key; the public half is beside it."""
        return self.folder / "ssh_host_ed25519_key"

    @property
    def born(self) -> Path:
        """A word that it does not share with those that had its place before, if any had."""
        return self.folder / "born"

    @property
    def console(self) -> Path:
        """What it printed since it was last switched on."""
        return self.folder / "console.log"

    @property
    def last_console(self) -> Path:
        """What it printed the time before."""
        return self.folder / "console.log.1"


@dataclass(frozen=True)
class LabFiles:
    """The files of one lab, under a folder that belongs to it alone."""

    folder: Path

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.folder.name

    @property
    def record(self) -> Path:
        """What was asked for, as JSON."""
        return self.folder / "lab.json"

    @property
    def relay_log(self) -> Path:
        """What the relay had to complain about."""
        return self.folder / "relay.log"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the lab; outside its folder, which comes and goes."""
        return self.folder.parent / f".{self.folder.name}.lock"

    @property
    def runtime(self) -> Path:
        """The short folder for its sockets."""
        return runtime_folder(self.folder)

    @property
    def relay_socket(self) -> Path:
        """Where the relay takes calls to an address inside the lab."""
        return self.runtime / "relay"

    def board(self, name: str) -> BoardFiles:
        """The files of one board, which may not exist yet."""
        return BoardFiles(self.folder / "boards" / name)


def lab_files(name: str) -> LabFiles:
    """The files of the lab called ``name``, which may not exist yet.

    Raises ``WulflingError`` when the name cannot be a folder's, or the folder not a board's.
    """
    if not _NAME.fullmatch(name):
        raise WulflingError(
            f"a lab cannot be called {name!r}",
            hint="use letters, digits, '.', '_' and '-', at most 63 of them",
        )
    files = LabFiles(state_root() / name)
    if _UNFIT.search(str(files.folder)):
        raise WulflingError(
            f"a board's kernel takes no path with spaces, commas or quotes: {files.folder}",
            hint="set XDG_STATE_HOME to a folder without them",
        )
    return files


def existing_labs() -> Iterator[LabFiles]:
    """Every lab that has a folder, in alphabetical order."""
    root = state_root()
    if root.is_dir():
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and _NAME.fullmatch(folder.name):
                yield LabFiles(folder)


def private_folder(path: Path) -> Path:
    """``path`` as a folder only its owner can enter, made when it is missing."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_beside(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that it is either the old or the new one, also after a crash."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _xdg(variable: str, default: str) -> Path:
    """A base folder of the XDG specification, which says to ignore relative paths."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default
