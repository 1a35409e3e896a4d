"""Puts a new text into a cluster file: the old one or the new one is there, also after a crash."""

from __future__ import annotations

import os
import stat
from codecs import BOM_UTF8
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.spec import document as documents
from wulfling.spec.document import Document


def rewrite(file: Path, text: str, before: Document | None) -> None:
    """Write ``text`` in place of ``before``, or into a new file.

    Mode, byte order mark, and where a link leads stay. Raises ``WulflingError`` when somebody
    else has changed the file since it was read, and when it cannot be written.
    """
    if before is not None and documents.read(file).text != before.text:
        raise WulflingError(
            f"{file} was changed by somebody else meanwhile",
            hint="nothing was written; run it again",
        )
    target = file.resolve()  # the file itself, where a link leads to it
    fresh = target.with_name(f".{target.name}.new")
    try:
        with fresh.open("wb") as handle:
            if before is not None:
                os.fchmod(handle.fileno(), stat.S_IMODE(target.stat().st_mode))
                handle.write(_mark(target))
            handle.write(text.encode())
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(target)
    except OSError as error:
        raise WulflingError(f"{file} cannot be written: {error.strerror}") from None


def _mark(file: Path) -> bytes:
    """The byte order mark that some editors of other systems write, if the file has it."""
    with file.open("rb") as handle:
        begin = handle.read(len(BOM_UTF8))
    return begin if begin == BOM_UTF8 else b""
