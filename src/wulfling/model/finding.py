"""One thing that was checked: what verify, status and doctor all speak in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Verdict(str, Enum):
    """How a check ended."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Mend:
    """What ``doctor --fix`` does about a finding, and ``words`` that say it in a sentence.

    ``before`` are nodes and the shell scripts that they run as root. Then comes, where
    ``applies``, an apply of what the cluster file declares, and at last the scripts in ``after``.
    """

    words: str
    applies: bool = False
    before: tuple[tuple[str, str], ...] = ()
    after: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Finding:
    """``subject`` (a node or the cluster) was asked ``check``; ``words`` say what came out.

    ``hint`` is what a person can do. ``evidence`` are the facts behind it. ``mend`` is what the
    tool can do itself; where that is None, ``cannot`` says why.
    """

    subject: str
    check: str
    verdict: Verdict
    words: str
    hint: str = ""
    evidence: tuple[str, ...] = ()
    mend: Mend | None = field(default=None, compare=False)
    cannot: str = ""
