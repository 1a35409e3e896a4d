"""Keeps this program on the board with its byte code, so that the next run starts sooner."""

from __future__ import annotations

import os
import sys

from wulfling.node.board import STATE, Board
from wulfling.node.resources.file import sync_directory

PROGRAMS = f"{STATE}/program"


def starter(module: str, words: str = "") -> str:
    """Lines of a shell script that run ``main`` of a module of the program kept there, if there
    is one. ``words`` are quoted for the shell and come before the script's own."""
    arguments = f'{words} "$@"' if words else '"$@"'
    return f"""for program in {PROGRAMS}/*/; do
    exec /usr/bin/python3 -I -S -c "import sys
sys.path.insert(0, '$program')
from {module} import main
sys.exit(main(sys.argv[1:]))" {arguments}
done
"""


def install(board: Board, sha256: str) -> None:
    """Unpack the zip that this process runs from to ``program/<sha256>``, and drop older ones.

    Does nothing when it is there already. The name appears after the content is complete.
    """
    import shutil  # these are slow to load, and a plan installs nothing

    programs = board.path(PROGRAMS)
    kept = programs / sha256
    if not kept.exists() and sys.path[0].startswith("/proc/self/fd/"):
        import compileall
        import zipfile

        new = programs / ".new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o755, parents=True)
        with zipfile.ZipFile(sys.path[0]) as archive:
            archive.extractall(new)
        compileall.compile_dir(new, quiet=2)
        os.sync()  # the loader trusts this name, so its files have to be there after a power cut
        new.rename(kept)
        sync_directory(programs)
    for old in programs.iterdir() if programs.is_dir() else ():
        if old.name != sha256:
            shutil.rmtree(old, ignore_errors=True)
