"""The desk as it is sent: the few modules it needs, in one zip, behind a loader."""

from __future__ import annotations

import shlex
from functools import lru_cache
from pathlib import Path

import wulfling
from wulfling.node.desk.conversation import HELLO
from wulfling.transport.program import STUB, Program

_PARTS = ("__init__.py", "errors.py", "node/__init__.py", "node/desk")

# Nothing of it is written to a disk over there.
_LOADER = """\
import os
if sys.version_info < (3, 10):
    os.write(1, @HELLO@ + b'{"error": "its Python is %s, 3.10 is the oldest that does",'
        b' "hint": ""}\\n' % sys.version.split()[0].encode())
    sys.exit(0)
memory = os.memfd_create("wulfling-desk")
with open(memory, "wb", closefd=False) as file:
    file.write(i.read(int(i.readline())))
sys.path.insert(0, "/proc/self/fd/%d" % memory)
from wulfling.node.desk.conversation import main
sys.exit(main(i, sys.stdout.buffer))
"""

# A login shell, so that a job has the environment that it would have from a terminal there.
COMMAND = f"bash -lc {shlex.quote(f'exec /usr/bin/python3 -I -S -c {shlex.quote(STUB)}')}"
"""What sshd starts; all that follows comes over stdin, so that `ps` shows nobody's words."""


@lru_cache(maxsize=1)
def greeting() -> bytes:
    """The first bytes for ``COMMAND``; the order comes after them."""
    root = Path(wulfling.__file__).parent
    files = [
        file
        for part in _PARTS
        for file in (
            sorted((root / part).glob("*.py")) if (root / part).is_dir() else [root / part]
        )
    ]
    sources = ((f.relative_to(root.parent).as_posix(), f.read_bytes()) for f in files)
    zipped = Program(tuple(sources)).zipped
    loader = _LOADER.replace("@HELLO@", repr(HELLO)).encode()
    return b"%d\n%b%d\n%b" % (len(loader), loader, len(zipped), zipped)
