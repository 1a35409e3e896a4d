"""Shared libraries of our own, which programs find before those of the distribution."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import sync_directory, write_atomically

LISTED = ("ldconfig", "-p")

# `ldconfig -p`: name, what it is for, and the file; the first of a name is the one that programs
# get.
_FOUND = re.compile(r"^\t(\S+) \(.*\) => (\S+)$", re.MULTILINE)

HEADER, SEGMENT, SYMBOL = 64, 56, 24  # bytes, in files of 64 bits (elf(5))


@dataclass(frozen=True, kw_only=True)
class Libraries(Resource):
    """Programs look in ``folder`` first, because the file at ``path`` says so (ldconfig(8)).

    ``names`` are pairs of a name that programs ask for and the library of the folder that they
    get. The first is a library of its own, without code, which loads the second: the loader's
    list has each library under the name within it, so that a link would not be found. It stays
    out of the way of linkers in a folder of its own, below ``folder``. Without a folder there is
    neither the file nor its entry.
    """

    kind: ClassVar[str] = "libraries"

    path: str
    folder: str
    names: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.path

    def observe(self, board: Board) -> Libraries:
        """What the file says, and of ``names`` those that programs get from the folder."""
        text = board.text(self.path)
        if text is None or text != self._entry or not self.folder:
            there = "" if text is None else text.partition("\n")[0] or "nowhere"
            return Libraries(path=self.path, folder=there)
        first: dict[str, str] = {}
        for name, place in _FOUND.findall(board.run(LISTED)):
            first.setdefault(name, place)
        right = tuple(
            (name, library)
            for name, library in self.names
            if board.text(f"{self._names}/{name}") == self._stand_in(board, name, library)
            and first.get(name) == f"{self._names}/{name}"
            and first.get(library) == f"{self.folder}/{library}"
        )
        return Libraries(path=self.path, folder=self.folder, names=right)

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Write the libraries, then the file, then let the loader read it. What a power cut
        leaves is seen: the loader's own list is what is asked."""
        for name, library in self.names:
            text = self._stand_in(board, name, library)
            if not text:
                raise WulflingError(f"{self.folder}/{library} is no shared library of 64 bits")
            board.path(self._names).mkdir(exist_ok=True)
            self._write(board, f"{self._names}/{name}", text)
        self._write(board, self.path, self._entry)
        board.run(["ldconfig"])
        if not self.folder:
            place = board.path(self.path)
            place.unlink()
            sync_directory(place.parent)

    def commands(self) -> tuple[str, ...]:
        if not self.folder:
            return self.undo()
        make = tuple(
            f"gcc -shared -nostdlib -Wl,-soname,{name} -Wl,--no-as-needed"
            f" {self.folder}/{library} -o {name} && sudo install -D -t {self._names} {name}"
            for name, library in self.names
        )
        lines = " ".join(self._entry.split())
        return (*make, f"printf '%s\\n' {lines} | sudo tee {self.path}", "sudo ldconfig")

    def undo(self) -> tuple[str, ...]:
        return (f"sudo rm {self.path}", "sudo ldconfig")

    @property
    def _names(self) -> str:
        return f"{self.folder}/names"

    @property
    def _entry(self) -> str:
        """What the file says."""
        return f"{self.folder}\n{self._names}\n" if self.folder else "\n"

    def _write(self, board: Board, path: str, content: str) -> None:
        uid, gid = board.uid("root"), board.gid("root")
        write_atomically(board.path(path), content, mode=0o644, uid=uid, gid=gid)

    def _stand_in(self, board: Board, name: str, library: str) -> str:
        """The library without code, as text is kept here; "" when the other is not there yet."""
        place = board.path(f"{self.folder}/{library}")
        if not place.is_file():
            return ""
        with place.open("rb") as file:
            start = file.read(HEADER)
        made = stand_in(start, name, library)
        return made.decode("utf-8", "surrogateescape")


def stand_in(start: bytes, name: str, library: str) -> bytes:
    """A shared library called ``name`` that has nothing but the wish for ``library``, whose
    first bytes say for which processor; empty when they are of no ELF file of 64 bits.

    A linker would make it, but compute boards have none.
    """
    from struct import pack

    if len(start) < HEADER or start[:6] != b"\x7fELF\x02\x01":
        return b""
    strings = b"\0".join((b"", name.encode(), library.encode(), b""))
    strings += bytes(-len(strings) % 8)
    at_strings = HEADER + 3 * SEGMENT
    at_symbols = at_strings + len(strings)
    at_dynamic = at_symbols + SYMBOL
    dynamic = b"".join(
        pack("<QQ", tag, value)
        for tag, value in (
            (14, 1),  # DT_SONAME
            (1, len(name) + 2),  # DT_NEEDED
            (5, at_strings),  # DT_STRTAB
            (10, len(strings)),  # DT_STRSZ
            (6, at_symbols),  # DT_SYMTAB: the empty first one alone
            (11, SYMBOL),  # DT_SYMENT
            (0, 0),
        )
    )
    size = at_dynamic + len(dynamic)
    # Type (3, shared object), processor, version; no entry; segments after the header, no
    # sections; the processor's flags.
    header = start[:16] + pack("<H", 3) + start[18:20] + pack("<IQQQ", 1, 0, HEADER, 0)
    header += start[48:52] + pack("<6H", HEADER, SEGMENT, 3, 0, 0, 0)
    segments = (
        (1, 6, 0, size, 0x10000),  # PT_LOAD, to be read and, because the loader notes addresses
        (2, 6, at_dynamic, len(dynamic), 8),  # PT_DYNAMIC, in it, to be written
        (0x6474E551, 6, 0, 0, 16),  # PT_GNU_STACK: no code on the stack
    )
    table = b"".join(
        pack("<IIQQQQQQ", kind, flags, place, place, place, length, length, alignment)
        for kind, flags, place, length, alignment in segments
    )
    return header + table + strings + bytes(SYMBOL) + dynamic
