"""The Markdown of the reference pages: tables, code and docstrings, as lines."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

ABSENT = "–"

# Numbers of the project's list of requirements: (2-10), (0-16, 0-24), (2-36 to 2-40).
_REQUIREMENT = re.compile(r" \(\d-\d\d(?:(?:,| and| to) \d-\d\d)*\)")

Lines = Iterator[str]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    """A table, without the columns that hold nothing, and a blank line after it."""
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    if not kept:
        return
    for row in (header, ["---"] * len(header), *rows):
        cells = (row[i].replace("|", "\\|") or ABSENT for i in kept)
        yield f"| {' | '.join(cells)} |"
    yield ""


def code(value: str) -> str:
    """``value`` as code, or nothing."""
    return f"`{value}`" if value else ""


def prose(docstring: str | None) -> tuple[str, ...]:
    """The paragraphs of a docstring, each on one line, in Markdown and without the numbers of
    requirements."""
    text = _REQUIREMENT.sub("", inspect.cleandoc(docstring or "").replace("``", "`"))
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def sentence(docstring: str | None) -> str:
    """The first sentence of a docstring."""
    first = next(iter(prose(docstring)), "")
    end = re.search(r"[.:](?= [A-Z`]|$)", first)
    return first[: end.start()] + "." if end else first
