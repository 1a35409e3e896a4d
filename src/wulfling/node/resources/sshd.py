"""Who gets in, and how: changed so that a mistake takes itself back."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.dead_man import LOGIN, arm, disarm
from wulfling.node.resources.block import Block
from wulfling.node.resources.file import File, sync_directory, write_atomically

TEST = ("/usr/sbin/sshd", "-t")
# Not a reload: systemd answers as soon as the signal is sent, and for a moment whoever comes is
# let in by the old rules, or refused. A restart ends when sshd listens, and no session with it.
# Where a socket stands for the daemon (Ubuntu) one that does not run reads the new rules anyway.
RESTART = ("systemctl", "try-restart", "ssh.service")

UNTRIED = "  nobody has come in since it was written"


@dataclass(frozen=True, kw_only=True)
class SshServer(File):
    """A file of sshd_config.d. ``tried``: somebody has come in by a new connection since."""

    kind: ClassVar[str] = "sshd"

    tried: bool = True

    def observe(self, board: Board) -> SshServer | None:
        """The file as it is. What an apply has written that was cut off before anybody came in
        is not ``tried``."""
        found = super().observe(board)
        tried = not before(board.path(self.path)).exists()
        return replace(found, tried=tried) if isinstance(found, SshServer) else None

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Write it, have sshd read all of its files, and have somebody come in anew; or bring
        back what was there (see ``prove``)."""
        prove(
            board,
            board.path(self.path),
            lambda: File.converge(self, board, observed),
            test=TEST,
            read=RESTART,
            hint="more than three keys in `ssh-add -l`? then IdentityFile and IdentitiesOnly in"
            " ~/.ssh/config; another kind of host key than ed25519 in ~/.ssh/known_hosts? then"
            " pin that one",
        )

    def commands(self) -> tuple[str, ...]:
        return (*super().commands(), "sudo sshd -t", f"sudo {' '.join(RESTART)}")

    def undo(self) -> tuple[str, ...]:
        return (*super().undo(), f"sudo {' '.join(RESTART)}")

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        tried = not isinstance(observed, SshServer) or observed.tried
        return (*super().difference(observed), *(() if tried else (UNTRIED,)))


@dataclass(frozen=True, kw_only=True)
class HostCertificate(File):
    """The certificate of a host key. It stays where another operator's file knows of none: only
    the machine that has the authority can make it."""

    kind: ClassVar[str] = "certificate"


@dataclass(frozen=True, kw_only=True)
class LoginRules(Block):
    """A block in a service's file of pam.d(5), with the same promise."""

    kind: ClassVar[str] = "pam"

    tried: bool = True

    def observe(self, board: Board) -> LoginRules:
        found = super().observe(board)
        tried = not before(board.path(self.path)).exists()
        if found == self and tried:
            return self
        text = found.text if found and found != self else self._read(board)
        return LoginRules(path=self.path, text=text, without=("as it is",), tried=tried)

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Write it and have somebody come in anew, or bring back what was there."""
        prove(board, board.path(self.path), lambda: Block.converge(self, board, observed))

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        tried = not isinstance(observed, LoginRules) or observed.tried
        return (*super().difference(observed), *(() if tried else (UNTRIED,)))


def before(place: Path) -> Path:
    """Where a file that decides who gets in is kept until somebody came in by the new one. sshd
    reads names that end with .conf alone, and PAM those of its services."""
    return place.with_name(f".{place.name}.before")


def prove(
    board: Board,
    place: Path,
    write: Callable[[], object],
    *,
    test: Sequence[str] = ("true",),
    read: Sequence[str] = ("true",),
    hint: str = "",
) -> None:
    """``write`` the file at ``place``, ``test`` it, have it ``read``, and have somebody come in.

    Or bring back what was there, and raise ``WulflingError`` with ``hint``; ``CommandFailed`` when
    the test fails, and nobody reads the file then. What cannot be told to us because the line is
    dead, the timer does; after a power cut ``before`` is still there for the next apply.
    """
    old = before(place)
    disarm(board, LOGIN)
    if not old.exists():
        _keep(place, old)
    write()
    code, _, said = board.ask(test)
    if code != 0:
        _bring_back(old, place)
        raise CommandFailed(test, code, said)
    back = f"mv {shlex.quote(str(old))} {shlex.quote(str(place))}; {shlex.join(read)}"
    arm(board, LOGIN, ("sh", "-c", back))
    code, _, said = board.ask(read)
    if silence := said or "it ended badly" if code else board.contact():
        disarm(board, LOGIN)
        _bring_back(old, place)
        board.run(read)
        raise WulflingError(
            f"with the new {place.name} no new connection got through ({silence}), so the old one"
            " is back",
            hint=hint,
        )
    old.unlink()
    sync_directory(old.parent)


def _keep(place: Path, old: Path) -> None:
    """An empty file stands for none: neither sshd nor PAM finds anything in it."""
    status = place.stat() if place.exists() else None
    write_atomically(
        old,
        place.read_bytes().decode("utf-8", "surrogateescape") if status else "",
        mode=stat.S_IMODE(status.st_mode) if status else 0o644,
        uid=status.st_uid if status else 0,
        gid=status.st_gid if status else 0,
    )


def _bring_back(old: Path, place: Path) -> None:
    old.replace(place)
    sync_directory(place.parent)
