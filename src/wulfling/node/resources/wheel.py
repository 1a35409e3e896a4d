"""A Python wheel, unpacked where the board's own Python finds it, or into a folder of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import sync_directory, write_atomically


@dataclass(frozen=True, kw_only=True)
class Wheel(Resource):
    """A distribution in the directory ``into``; ``blob`` is the sha256 of its .whl file.

    What a wheel has for the prefix of an installation (``.data/data``: programs, libraries) goes
    to ``into`` as well. Wheels with other kinds of data are not for us.
    """

    kind: ClassVar[str] = "wheel"

    distribution: str
    version: str
    blob: str
    into: str

    @property
    def name(self) -> str:
        return self.distribution

    def observe(self, board: Board) -> Wheel | None:
        """The version whose every file has been unpacked; the mark is written last."""
        mark = board.lines(f"{self._dist_info()}/WULFLING")
        if mark != [self.blob]:
            return None
        return self

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Unpack, and write the mark after all files."""
        import hashlib  # these are slow to load, and only an installation needs them
        import io
        import zipfile

        data = board.blob(self.blob)
        if hashlib.sha256(data).hexdigest() != self.blob:
            raise WulflingError(f"what came for {self.distribution} has not the pinned sha256")
        folder = board.path(self.into)
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{self._escaped()}-*.dist-info"):
            _uninstall(folder, old)
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            members = wheel.infolist()
            for member in members:
                member.filename = _placed(member.filename)
            wheel.extractall(folder, members)
            for member in members:  # zipfile leaves out that a file may be executed
                if not member.is_dir() and member.external_attr >> 16 & 0o111:
                    (folder / member.filename).chmod(0o755)
        os.sync()  # the mark says that all files are on the disk, not that they soon will be
        mark = board.path(f"{self._dist_info()}/WULFLING")
        write_atomically(mark, f"{self.blob}\n", mode=0o644, uid=0, gid=0)

    def commands(self) -> tuple[str, ...]:
        return (
            f"sudo pip install --break-system-packages --target {self.into}"
            f" {self.distribution}=={self.version}",
        )

    def undo(self) -> tuple[str, ...]:
        names = "s/,.*//; s,^[^/]*[.]data/data/,,"
        return (
            f"cd {self.into} && sed '{names}' {self._dist_info()}/RECORD | sudo xargs rm",
            f"sudo rm -r {self._dist_info()}",
        )

    def _dist_info(self) -> str:
        return f"{self.into}/{self._escaped()}-{self.version}.dist-info"

    def _escaped(self) -> str:
        """The name as it is part of file names (PyPA, binary distribution format)."""
        return self.distribution.replace("-", "_")


def _placed(name: str) -> str:
    """Where a file of a wheel goes, from the folder that the wheel is unpacked into."""
    first, _, rest = name.partition("/")
    if first.endswith(".data") and rest.startswith("data/") and rest != "data/":
        return rest.removeprefix("data/")
    return name


def _uninstall(folder: Path, dist_info: Path) -> None:
    """Remove an older version by its own list of files; modules that the new one has no longer
    would be imported for ever. Its mark goes first, so that a power cut leaves it incomplete."""
    import shutil

    (dist_info / "WULFLING").unlink(missing_ok=True)
    sync_directory(dist_info)
    record = dist_info / "RECORD"
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    for line in lines:
        place = (folder / _placed(line.split(",")[0])).resolve()
        if place.is_relative_to(folder.resolve()) and dist_info not in place.parents:
            place.unlink(missing_ok=True)
    shutil.rmtree(dist_info)
