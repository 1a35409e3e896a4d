"""Reads disk images as they are downloaded: plain, or packed as .xz, .gz or .zip."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from wulfling.errors import WulflingError

CHUNK = 4 << 20

_KINDS = {b"\xfd7zXZ\0": "xz", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip"}
_UNREAD = {b"\x28\xb5\x2f\xfd": "unzstd", b"BZh": "bunzip2", b"7z\xbc\xaf": "7z x"}


@dataclass(frozen=True)
class Source:
    """An image file. ``size`` is that of the file, packed as it is, in bytes."""

    path: Path
    kind: str  # "plain", "xz", "gzip", "zip"
    size: int


def source(path: Path) -> Source:
    """The image at ``path``. Raises ``WulflingError`` when it is none that we can read."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = file.seek(0, 2)
    except OSError as error:
        raise WulflingError(
            f"the image {path} cannot be read: {error.strerror}",
            hint="name an image file, for example --image raspios.img.xz",
        ) from None
    if not size:
        raise WulflingError(f"the image {path} is empty", hint="download it again")
    for magic, program in _UNREAD.items():
        if head.startswith(magic):
            raise WulflingError(
                f"{path} is packed in a way that is not read here",
                hint=f"{program} {path}, and name what comes out of it",
            )
    kind = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), "plain")
    return Source(path, kind, size)


def chunks(image: Source, on_read: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of the unpacked image in pieces of ``CHUNK``, the last one excepted.

    ``on_read`` hears how many bytes of the file have been used so far. Raises
    ``WulflingError`` when the file is damaged or ends too early.
    """
    try:
        with image.path.open("rb") as file, _opened(image, file) as unpacked:
            while piece := unpacked.read(CHUNK):
                on_read(file.tell())
                yield piece
    except (EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise WulflingError(
            f"the image {image.path} is damaged or not whole: {error}",
            hint="download it again, and compare its SHA256 with the one on the page",
        ) from None
    except OSError as error:
        raise WulflingError(f"the image {image.path} cannot be read: {error.strerror}") from None


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def _opened(image: Source, file: BinaryIO) -> Iterator[_Readable]:
    if image.kind == "xz":
        with lzma.open(file) as unpacked:
            yield unpacked
    elif image.kind == "gzip":
        with gzip.open(file) as unpacked:
            yield unpacked
    elif image.kind == "zip":
        with zipfile.ZipFile(file) as archive, archive.open(_member(image, archive)) as unpacked:
            yield unpacked
    else:
        yield file


def _member(image: Source, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = [item for item in archive.infolist() if item.filename.lower().endswith(".img")]
    if len(found) != 1:
        raise WulflingError(
            f"there are {len(found)} .img files in {image.path}, and one is expected",
            hint=f"unzip {image.path}, and name the image",
        )
    if found[0].flag_bits & 1:
        raise WulflingError(f"{image.path} asks for a password", hint=f"unzip {image.path}")
    return found[0]
