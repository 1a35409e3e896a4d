"""The boot folder of a card: a folder that is mounted, or a FAT partition that is not.

A partition is read and written by mtools, which needs neither root nor a loop device.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from wulfling import proc
from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.resources.file import sync_directory
from wulfling.proc import Finished

# Every file gets the oldest date that FAT knows: equal input makes equal bytes.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "MTOOLSRC": "/dev/null",
    "MTOOLS_SKIP_CHECK": "1",
    "SOURCE_DATE_EPOCH": "315532800",
    "TZ": "UTC",
}


class BootFolder(Protocol):
    """Text files at the top of a boot partition."""

    @property
    def where(self) -> str:
        """What a message calls it."""

    def names(self) -> frozenset[str]:
        """The names of its files and folders."""

    def read(self, name: str) -> str:
        """The text of a file that is there. Raises ``WulflingError``."""

    def write(self, name: str, text: str) -> None:
        """Make a file anew. Raises ``WulflingError``, also when there is no room."""


class MountedFolder:
    """A boot partition that somebody has mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._path)

    def names(self) -> frozenset[str]:
        """What the folder lists."""
        return frozenset(os.listdir(self._path))

    def read(self, name: str) -> str:
        """The file's text."""
        return (self._path / name).read_text(encoding="utf-8", errors="replace")

    def write(self, name: str, text: str) -> None:
        """Beside, synced, renamed: the power of a card reader is a cable, too."""
        new = self._path / f"{name}.new"
        try:
            with open(new, "w", encoding="utf-8", newline="", opener=_private) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path / name)
            sync_directory(self._path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise WulflingError(
                f"{self._path / name} cannot be written: {error.strerror}",
                hint=f"df -h {self._path}; mount it writable, and make room if it is full",
            ) from None


class FatPartition:
    """The file system at ``place``, a file that is a FAT partition from its first byte on."""

    def __init__(self, place: str, where: str) -> None:
        self._place = place
        self._where = where

    @property
    def where(self) -> str:
        """The image that it is a part of."""
        return self._where

    def names(self) -> frozenset[str]:
        """What mdir(1) lists."""
        try:
            listed = self._mtools("mdir", "-b", "::").stdout.splitlines()
        except CommandFailed as error:
            raise WulflingError(
                f"the boot partition of {self._where} is no FAT file system:"
                f" {error.output.splitlines()[-1] if error.output else 'mdir said nothing'}",
                hint="take an image of Raspberry Pi OS or of Ubuntu for Raspberry Pi",
            ) from None
        return frozenset(line.removeprefix("::/").rstrip("/") for line in listed)

    def read(self, name: str) -> str:
        """What mtype(1) shows."""
        return self._mtools("mtype", f"::/{name}").stdout

    def write(self, name: str, text: str) -> None:
        """mcopy(1) takes the text from a pipe, so that no secret lies in a file on the way."""
        self._mtools("mcopy", "-o", "-", f"::/{name}", stdin=text)
        # From a pipe, mcopy ends well also where there was no room for all of it.
        found = self.read(name)
        if found != text and text.startswith(found):
            raise WulflingError(
                f"the boot partition of {self._where} is full: there is no room for {name}",
                hint="take an image as it was downloaded",
            )

    def _mtools(self, program: str, *words: str, stdin: str = "") -> Finished:
        if shutil.which(program) is None:
            raise WulflingError(f"{program} is not installed", hint="sudo apt-get install mtools")
        argv = [program, "-i", self._place, *words]
        environment = {**os.environ, **_ENVIRONMENT}
        return proc.run(argv, stdin=stdin, timeout=120, env=environment)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
