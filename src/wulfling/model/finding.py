"""One thing that was checked: what verify, status and doctor all speak in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """How a check ended."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """``subject`` (a node or the cluster) was asked ``check``; ``words`` say what came out."""

    subject: str
    check: str
    verdict: Verdict
    words: str
    hint: str = ""
