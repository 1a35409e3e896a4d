"""Which of two Debian versions is the older one (deb-version(7)), without starting dpkg."""

from __future__ import annotations

import re
from typing import Any

_TURNS = re.compile(r"(\D*)(\d*)")


def is_older(one: str, other: str) -> bool:
    """Whether ``dpkg --compare-versions one lt other`` would succeed."""
    return _key(one) < _key(other)


def _key(version: str) -> tuple[Any, ...]:
    epoch, _, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"  # none at all is the same as 0
    return int(epoch or 0), _turns(upstream), _turns(revision)


def _turns(text: str) -> tuple[Any, ...]:
    """Letters and numbers in turn. The end of the letters, 0, comes after ~ and before all else."""
    return tuple(
        ((*map(_rank, words), 0), int(number or 0)) for words, number in _TURNS.findall(text)
    )


def _rank(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
