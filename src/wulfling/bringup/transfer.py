"""Writes a stream of bytes to a card or a file, and proves that they arrived."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wulfling.bringup.source import CHUNK
from wulfling.errors import WulflingError
from wulfling.node.resources.file import sync_directory

_SYNC_EVERY = 64 << 20  # bytes; without it all would be "written" at once, and the end would wait

OnBytes = Callable[[int], None]
"""Hears how many bytes are done."""


@contextmanager
def card(path: Path) -> Iterator[int]:
    """The block device at ``path``, open for us alone. Raises ``WulflingError``."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except PermissionError:
        raise WulflingError(
            f"you may not write to {path}",
            hint=f"sudo chown {os.getuid()} {path}   # until the card is taken out",
        ) from None
    except OSError as error:
        raise WulflingError(
            f"{path} cannot be opened: {error.strerror}", hint="unmount all that is on the card"
        ) from None
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def file(path: Path) -> Iterator[int]:
    """A new file that takes the name ``path`` at the end, if all went well, and no name if not.

    It holds a private key: nobody else may read it.
    """
    new = path.with_name(f".{path.name}.wulfling-new")
    try:
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WulflingError(
            f"{path} cannot be written: {error.strerror}", hint=f"ls -ld {path.parent}"
        ) from None
    try:
        yield handle
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    sync_directory(path.parent)


def write(pieces: Iterable[bytes], handle: int, where: Path, on_bytes: OnBytes) -> str:
    """Write ``pieces`` from the start on, and return their SHA-256 in hexadecimal.

    The first piece, with the partition table, is written last: a card that was cut short is
    not taken for a good one. Raises ``WulflingError`` when the card is full or fails.
    """
    digest, head, done = hashlib.sha256(), b"", 0
    try:
        for piece in pieces:
            digest.update(piece)
            _write_all(handle, piece if head else bytes(len(piece)))
            head = head or piece
            if done // _SYNC_EVERY != (done + len(piece)) // _SYNC_EVERY:
                os.fdatasync(handle)
            done += len(piece)
            on_bytes(done)
        os.fdatasync(handle)
        os.lseek(handle, 0, os.SEEK_SET)
        _write_all(handle, head)
        os.fsync(handle)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WulflingError(
                f"{where} is full after {done} bytes, and the image is larger",
                hint="take a larger card, or make room",
            ) from None
        raise _failed(where, done, error) from None
    return digest.hexdigest()


def verify(handle: int, size: int, digest: str, where: Path, on_bytes: OnBytes) -> None:
    """Read ``size`` bytes back and compare. Raises ``WulflingError`` when they are not the same.

    The kernel is asked to forget them first, so that it is the card that answers.
    """
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(handle, 0, os.SEEK_SET)
    found, done = hashlib.sha256(), 0
    try:
        while done < size and (piece := os.read(handle, min(CHUNK, size - done))):
            found.update(piece)
            done += len(piece)
            on_bytes(done)
    except OSError as error:
        raise _failed(where, done, error) from None
    if found.hexdigest() != digest:
        raise WulflingError(
            f"{where} does not give back what was written to it: SHA-256 {found.hexdigest()[:16]}"
            f" instead of {digest[:16]}",
            hint="the card is worn out, or smaller than it says: try another one",
        )


def _failed(where: Path, done: int, error: OSError) -> WulflingError:
    return WulflingError(
        f"{where} failed after {done} bytes: {error.strerror}",
        hint="sudo dmesg | tail; try another card or another reader",
    )


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
