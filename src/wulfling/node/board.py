"""The board as the node program sees it: its files, its commands, and what was asked once.

Resources ask the board and change it only through this class, so a test can give them a
directory as the root and a table of answers instead of a machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wulfling.errors import CommandFailed, WulflingError

if TYPE_CHECKING:
    from subprocess import Popen

Answer = TypeVar("Answer")

STATE = "/var/lib/wulfling"

# What every command gets: answers in English, no questions, no restarts behind our back.
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
NUMBER = 2  # the column with the uid or gid, in passwd(5) and in group(5)
NOT_FOUND = 127  # the exit code of sh(1) for a command that is not there
TIMED_OUT = 124  # the exit code of timeout(1)


def _started(argv: Sequence[str], environment: Mapping[str, str]) -> Popen[str]:
    import subprocess

    return subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **ENVIRONMENT, **environment},
    )


def _no_blobs(sha256: str) -> bytes:
    raise WulflingError(f"nobody here has the file with the sha256 {sha256[:12]}...")


class Board:
    """One machine. ``root`` is ``/`` on a real one, ``units`` are all that this run declares and
    ``declared`` every resource of it, ``applying`` says whether this run may change anything,
    ``blob`` brings a file from the controller by its sha256, ``say`` tells the operator what
    something waits for, and ``contact`` has the controller come in by a new connection and
    gives "", or why it did not get through. Commands get ``environment`` besides their own."""

    def __init__(
        self,
        root: Path = Path("/"),
        units: Sequence[str] = (),
        blob: Callable[[str], bytes] = _no_blobs,
    ) -> None:
        self.root = root
        self.units = tuple(units)
        self.blob = blob
        self.declared: Sequence[object] = ()
        self.applying = False
        self.say: Callable[[str], None] = lambda words: None
        self.contact: Callable[[], str] = lambda: "nobody tried"
        self.environment: dict[str, str] = {}
        self._answers: dict[str, object] = {}
        self._expected: dict[tuple[str, ...], Popen[str]] = {}

    def path(self, absolute: str) -> Path:
        """Where ``absolute`` lies below the root."""
        return self.root / absolute.lstrip("/")

    @contextmanager
    def systemd_left_alone(self) -> Iterator[None]:
        """While this lasts, systemctl(1) changes files alone, also when a package calls it: each
        call to read all units anew takes a second and more on a small board. Whoever changes
        units tells systemd once, afterwards."""
        self.environment["SYSTEMD_OFFLINE"] = "1"
        try:
            yield
        finally:
            del self.environment["SYSTEMD_OFFLINE"]

    def run(self, argv: Sequence[str], *, stdin: str = "", check: bool = True) -> str:
        """What ``argv`` printed. Raises ``CommandFailed`` when it ends badly and ``check``."""
        code, out, err = self.ask(argv, stdin=stdin)
        if check and code != 0:
            raise CommandFailed(argv, code, err or out)
        return out

    def ask(
        self, argv: Sequence[str], *, stdin: str = "", timeout: float | None = None
    ) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of ``argv``; 127 when there is no such command, 124
        when it was ended after ``timeout`` seconds."""
        import subprocess  # slow to load on a small board, and not every run needs it

        try:
            process = self._expected.pop(tuple(argv), None) or _started(argv, self.environment)
        except OSError as error:
            return NOT_FOUND, "", str(error)
        with process:
            try:
                out, err = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                return TIMED_OUT, "", f"no end after {timeout:g} s"
        return process.returncode, out, err

    def expect(self, argv: Sequence[str]) -> None:
        """Start a question that will be asked: answers that take long, like those of slurmdbd,
        come while others are waited for. Whoever changes anything calls ``unexpect``."""
        if tuple(argv) in self._expected:
            return
        try:
            self._expected[tuple(argv)] = _started(argv, self.environment)
        except OSError:
            pass  # whoever asks is told

    def unexpect(self) -> None:
        """End the questions that nobody has asked: their answers are from before a change."""
        for process in self._expected.values():
            process.kill()
            process.communicate()
        self._expected.clear()

    def once(self, question: str, ask: Callable[[], Answer]) -> Answer:
        """The answer to ``question``, asked at most once until it is forgotten."""
        if question not in self._answers:
            self._answers[question] = ask()
        return self._answers[question]  # type: ignore[return-value]

    def forget(self, *questions: str) -> None:
        """Ask again next time, because something was changed."""
        for question in questions:
            self._answers.pop(question, None)

    def user_name(self, uid: int) -> str:
        """The account with this number, or the number when there is none."""
        return self._names("/etc/passwd").get(uid, str(uid))

    def group_name(self, gid: int) -> str:
        """The group with this number, or the number when there is none."""
        return self._names("/etc/group").get(gid, str(gid))

    def uid(self, user: str) -> int:
        """The number of an account. Raises ``CommandFailed`` when there is no such account."""
        return self._number("/etc/passwd", user)

    def gid(self, group: str) -> int:
        """The number of a group. Raises ``CommandFailed`` when there is no such group."""
        return self._number("/etc/group", group)

    def lines(self, absolute: str) -> list[str]:
        """The lines of a text file, none when it is not there."""
        return (self.text(absolute) or "").splitlines()

    def text(self, absolute: str) -> str | None:
        """A file as it is, ``None`` when it is not there. Line ends stay as they are, and bytes
        that are not UTF-8 become surrogates, so that it can be written back unchanged."""
        try:
            return self.path(absolute).read_bytes().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def accounts(self, absolute: str) -> dict[str, list[str]]:
        """``/etc/passwd`` or ``/etc/group`` by name, split into fields (passwd(5), group(5))."""
        return self.once(
            absolute,
            lambda: {
                fields[0]: fields
                for fields in (line.split(":") for line in self.lines(absolute))
                if len(fields) > NUMBER and fields[NUMBER].isdigit()
            },
        )

    def _names(self, absolute: str) -> dict[int, str]:
        """Names by number; of several names for one number the first, as getpwuid(3) has it."""
        names: dict[int, str] = {}
        for name, fields in self.accounts(absolute).items():
            names.setdefault(int(fields[NUMBER]), name)
        return names

    def _number(self, absolute: str, name: str) -> int:
        fields = self.accounts(absolute).get(name)
        if fields is None and name.isdigit():
            return int(name)
        if fields is None:
            raise CommandFailed(("getent", Path(absolute).name, name), 2, f"there is no {name}")
        return int(fields[NUMBER])
