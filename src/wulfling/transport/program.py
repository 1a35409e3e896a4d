"""The program that is shipped to boards: one zip, always the same bytes for the same sources."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import wulfling

# Standard library only, so that a board needs nothing but its own Python.
_PARTS = ("__init__.py", "errors.py", "model", "node")
_EPOCH = (1980, 1, 1, 0, 0, 0)

# What sudo starts and writes to the board's log, on an SD card, each time: as short as can be.
STUB = "import sys; i = sys.stdin.buffer; exec(i.read(int(i.readline())))"

# Runs as root on the board, on any Python 3. It says what it has, reads what it lacks and
# becomes the node program. The copy that `apply` left on the board comes with byte code and
# saves the board compiling it; the bytes of a first contact live in memory alone, because
# `plan` writes nothing.
LOADER = """\
import os
at = "/var/lib/wulfling/program/@SHA256@"
old = sys.version_info < (3, 10)
have = not old and os.path.exists(at + "/wulfling/node/program.py")
os.write(1, ('{"loader": 1, "have": %s, "python": "%s"}\\n'
    % ("true" if have else "false", sys.version.split()[0])).encode())
if old:
    sys.exit(0)
if not have:
    size = int(i.readline() or 0)
    data = i.read(size)
    if not size or len(data) < size:
        sys.exit(0)
    memory = os.memfd_create("wulfling")
    with open(memory, "wb", closefd=False) as file:
        file.write(data)
    at = "/proc/self/fd/%d" % memory
sys.path.insert(0, at)
from wulfling.node.program import main
os._exit(main(i, sys.stdout.buffer))  # at once: a thread of it still waits for the controller
"""


@dataclass(frozen=True)
class Program:
    """``sources`` maps names inside the zip to what is in the files."""

    sources: tuple[tuple[str, bytes], ...]

    @cached_property
    def sha256(self) -> str:
        """Names this program, in hexadecimal.

        It is taken over the sources and not over the zip, because the same sources give
        other bytes with another zlib, and two operators would replace each other's copy.
        """
        whole = hashlib.sha256()
        for name, content in self.sources:
            whole.update(f"{name} {len(content)}\n".encode())
            whole.update(content)
        return whole.hexdigest()

    @property
    def greeting(self) -> bytes:
        """The first bytes for the stub: the loader, with its length in bytes before it."""
        loader = LOADER.replace("@SHA256@", self.sha256).encode()
        return b"%d\n%b" % (len(loader), loader)

    @cached_property
    def zipped(self) -> bytes:
        """The zip that Python can import from."""
        import zipfile  # 10 ms that only a first contact has to pay

        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.sources:
                item = zipfile.ZipInfo(name, _EPOCH)
                item.external_attr = 0o644 << 16
                archive.writestr(item, content, zipfile.ZIP_DEFLATED)
        return target.getvalue()


@lru_cache(maxsize=1)
def program() -> Program:
    """The node program of this installation, read once."""
    root = Path(wulfling.__file__).parent
    files: list[Path] = []
    for part in _PARTS:
        path = root / part
        files += path.rglob("*.py") if path.is_dir() else [path]
    names = sorted((file.relative_to(root.parent).as_posix(), file) for file in files)
    return Program(tuple((name, file.read_bytes()) for name, file in names))
