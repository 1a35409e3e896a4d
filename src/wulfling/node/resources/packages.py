"""Debian packages, all of a board in one transaction, with no daemon started on the way."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from wulfling.errors import CommandFailed
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources.file import write_atomically

LISTS_OUTDATED_AFTER = 24 * 3600  # seconds
POLICY = "/usr/sbin/policy-rc.d"
POLICY_TEXT = "#!/bin/sh\n# wulfling: no daemon starts before it is configured\nexit 101\n"
DPKG_STATUS = "/var/lib/dpkg/status"
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock")
LOCK_PATIENCE = 600  # seconds: unattended-upgrades on an SD card takes its time
TELL_EVERY = 10.0  # seconds
POLL = 1.0

_OUTDATED = re.compile(r"Unable to (locate|fetch)|404|Hash Sum|no installation candidate")

# A line `Essential: yes` or `Protected: yes` may come between the two (deb822(5)).
_INSTALLED = re.compile(
    rb"^Package: (\S+)\n(?:(?:Essential|Protected): \S+\n)*Status: \S+ ok installed\n", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Packages(Resource):
    """Packages by name. What else is installed is not our business.

    ``versions`` are pairs of one of these names and how its version has to begin ("24.11.5-");
    the others may have any. Whoever asks for a version also sees to it that apt prefers it
    (apt_preferences(5)).
    """

    kind: ClassVar[str] = "packages"

    names: tuple[str, ...]
    versions: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return "apt"

    def observe(self, board: Board) -> Packages:
        """Those of ``names`` that are installed, from dpkg's own table (dpkg(1))."""
        there = board.once(DPKG_STATUS, lambda: installed(board))
        found = []
        if self.versions:
            now = board.once(f"versions {DPKG_STATUS}", lambda: versions(board))
            for name, start in self.versions:
                version = now.get(name, "") if name in there else ""
                found.append((name, start if version.startswith(start) else version))
        return Packages(
            names=tuple(name for name in self.names if name in there), versions=tuple(found)
        )

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Install what is missing. Waits for another apt (ten minutes) instead of failing."""
        assert isinstance(observed, Packages)
        missing = [name for name in self.names if name not in observed.names]
        other = [name for name, _ in set(self.versions) - set(observed.versions)]
        missing += sorted(set(other) - set(missing))
        wait_for_dpkg(board)
        refused = fetch_lists(board) if other or _lists_are_old(board) else ""
        with no_daemon_starts(board):
            _install(board, missing, refused)
        board.forget(DPKG_STATUS, f"versions {DPKG_STATUS}")
        board.forget("units", "/etc/passwd", "/etc/group")

    def commands(self) -> tuple[str, ...]:
        return (
            "sudo apt-get update",
            f"sudo apt-get install --no-install-recommends {' '.join(self.names)}",
        )

    def undo(self) -> tuple[str, ...]:
        return (f"sudo apt-get remove {' '.join(self.names)}",)

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """A line for each missing package."""
        there = observed.names if isinstance(observed, Packages) else ()
        lines = [f"+ {name}" for name in self.names if name not in there]
        before = dict(observed.versions) if isinstance(observed, Packages) else {}
        lines += [
            f"  {name}: {before[name]} -> {start.rstrip('-')}"
            for name, start in self.versions
            if name in there and before.get(name) != start
        ]
        return tuple(lines)


@contextmanager
def no_daemon_starts(board: Board) -> Iterator[None]:
    """While this lasts, packages do not start their daemons (invoke-rc.d(8)), and do not have
    systemd read all units anew, each of them once. It does so at the end. A policy that is
    not ours stays, and rules."""
    if board.text(POLICY) not in (None, POLICY_TEXT):
        yield
        return
    write_atomically(board.path(POLICY), POLICY_TEXT, mode=0o755, uid=0, gid=0)
    try:
        with board.systemd_left_alone():
            yield
    finally:
        board.path(POLICY).unlink(missing_ok=True)
        if board.path("/run/systemd/system").is_dir():  # sd_booted(3)
            board.run(["systemctl", "daemon-reload"], check=False)


def wait_for_dpkg(board: Board, patience: float = LOCK_PATIENCE) -> None:
    """Return when no other program changes packages, telling the operator who does; after
    ``patience`` seconds return as well, and let apt-get say what it thinks of it."""
    deadline = time.monotonic() + patience
    told = float("-inf")
    while (holder := _lock_holder(board)) and time.monotonic() < deadline:
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            board.say(f"{holder}, which is changing packages")
        time.sleep(POLL)


def finish_installation(board: Board) -> None:
    """Bring an installation to its end that was cut off. Raises ``CommandFailed``."""
    with no_daemon_starts(board):
        board.run(["dpkg", "--force-confold", "--configure", "-a"], check=False)
        _apt(board, "install", "--fix-broken")


def _lock_holder(board: Board) -> str:
    """Who has one of dpkg's locks, which are fcntl(2) locks, from /proc/locks (proc(5))."""
    files = set()
    for lock in LOCKS:
        try:
            there = board.path(lock).stat()
        except OSError:
            continue
        device = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}"
        files.add(f"{device}:{there.st_ino}")
    for line in board.lines("/proc/locks"):
        words = line.split()
        if words[1:2] == ["POSIX"] and words[5:6] and words[5] in files:
            name = " ".join(board.lines(f"/proc/{words[4]}/comm")) or "a process"
            return f"{name} (process {words[4]})"
    return ""


def upgrade(board: Board, names: Sequence[str]) -> None:
    """Bring these installed packages to the newest versions that the lists have, with whatever
    they need for that. Raises ``CommandFailed``."""
    wait_for_dpkg(board)
    _apt(board, "install", "--only-upgrade", *names)


def installed(board: Board) -> frozenset[str]:
    """Every package that is installed and configured."""
    try:
        table = board.path(DPKG_STATUS).read_bytes()
    except FileNotFoundError:
        return frozenset()
    return frozenset(name.decode() for name in _INSTALLED.findall(table))


def versions(board: Board) -> Mapping[str, str]:
    """The version of every package in dpkg's table whose files are there, by name."""
    return dict(filter(None, map(_version, (board.text(DPKG_STATUS) or "").split("\n\n"))))


def versions_of(board: Board, names: Sequence[str]) -> Mapping[str, str]:
    """The same of a few packages, a hundred times as fast."""
    try:
        table = b"\n\n" + board.path(DPKG_STATUS).read_bytes()
    except FileNotFoundError:
        return {}
    starts = (table.find(f"\n\nPackage: {name}\n".encode()) + 2 for name in names)
    paragraphs = (table[at : table.find(b"\n\n", at)].decode() for at in starts if at > 1)
    return dict(filter(None, map(_version, paragraphs)))


def _version(paragraph: str) -> tuple[str, str] | None:
    """Name and version of a package whose files are there."""
    name = version = ""
    there = False
    for line in paragraph.split("\n"):
        if line.startswith("Package: "):
            name = line[9:]
        elif line.startswith("Version: "):
            version = line[9:]
        elif line.startswith("Status: "):
            there = line.endswith((" installed", " unpacked", " half-configured"))
    return (name, version) if name and there else None


def _install(board: Board, names: list[str], refused: str) -> None:
    try:
        _apt(board, "install", *names)
    except CommandFailed as failed:
        # The lists name versions that the mirror has replaced meanwhile: ask it once more.
        if not refused and _OUTDATED.search(failed.output):
            refused = fetch_lists(board)
            if not refused:
                _apt(board, "install", *names)
                return
        if refused:
            failed.message += f"\nbefore that, `apt-get update` said:\n{refused}"
        failed.hint = _hint(failed.message)
        raise


def fetch_lists(board: Board) -> str:
    """Fetch the lists of packages; what apt-get said when it could not.

    Not an error yet: one dead repository, of the board's maker for example, does no harm when
    everything declared is found in the others.
    """
    try:
        _apt(board, "update")
    except CommandFailed as failed:
        return failed.output
    return ""


def _hint(said: str) -> str:
    if "is not valid yet" in said or "not valid until" in said:
        return "the board's clock is wrong: `date` there, and `sudo date -s` with the right time"
    if re.search(
        r"Could not resolve|Temporary failure resolving|Could not connect|timed out", said
    ):
        return "the board does not reach its package mirror: try `sudo apt-get update` on it"
    return ""


def _apt(board: Board, verb: str, *names: str) -> None:
    options = ["-y", "-q", "--no-install-recommends", "-o", f"DPkg::Lock::Timeout={LOCK_PATIENCE}"]
    options += ["-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0"]
    options += ["-o", "Acquire::Retries=3", "-o", "APT::Keep-Downloaded-Packages=false"]
    options += ["-o", "APT::Update::Error-Mode=any"] if verb == "update" else []
    board.run(["apt-get", *options, verb, *names])


def _lists_are_old(board: Board) -> bool:
    """The folder changes with each update that brings news. A clock that was wrong then or is
    wrong now makes for an age beyond a day, or below zero."""
    folder = board.path("/var/lib/apt/lists")
    if not any(folder.glob("*_Packages*")):
        return True
    changed = max(place.stat().st_mtime for place in (folder, folder / "partial") if place.exists())
    return not 0 <= time.time() - changed <= LISTS_OUTDATED_AFTER
