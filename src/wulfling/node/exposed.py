"""Whether the munge key was in the memory of a munge that gives it away (CVE-2026-25506)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

from wulfling.model.advisories import of_munge
from wulfling.node.board import Board
from wulfling.node.dpkg_version import is_older

KEY = "/etc/munge/munge.key"
LOGS = ("/var/log/dpkg.log.1", "/var/log/dpkg.log")  # older ones are packed, and not looked into
_WORDS = 6  # DAY TIME status installed NAME:ARCH VERSION (dpkg(1))


def munge_was_exposed(board: Board) -> str:
    """The version of munge that had the hole and was replaced after the key came to this board;
    "" when there was none, as far as dpkg's log of the last two months goes. A munge that still
    has it is another matter: it comes first."""
    release = next(
        (
            line.partition("=")[2].strip('"')
            for line in board.lines("/etc/os-release")
            if line.startswith("VERSION_CODENAME=")
        ),
        "",
    )
    advisory = of_munge(release)
    key = board.path(KEY)
    if advisory is None or not key.is_file():
        return ""
    found = tuple(_installations(board))
    made = key.stat().st_mtime
    for (_, version), (until, _) in pairwise(found):
        if is_older(version, advisory.fixed) and until > made:
            return version
    return ""


def _installations(board: Board) -> Iterator[tuple[float, str]]:
    """When which version of munge was installed, the oldest first."""
    for log in LOGS:
        for line in board.lines(log):
            words = line.split()
            if len(words) != _WORDS or words[2:4] != ["status", "installed"]:
                continue
            if words[4].partition(":")[0] == "munge":
                at = time.strptime(f"{words[0]} {words[1]}", "%Y-%m-%d %H:%M:%S")
                yield time.mktime(at), words[5]
