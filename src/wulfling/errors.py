"""The errors wulfling raises: a fact, the next command to type, and where it happened.

Nothing below ``cli`` prints or exits. It raises one of these, and the edge turns it into
words on stderr and into ``exit_code`` (the table in docs/reference/exit-codes.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class WulflingError(Exception):
    """Something a person has to know.

    ``message`` is the fact with its value, ``hint`` the next command to type, and ``where``
    is ``file:line:column`` or the name of a node.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class Unreachable(WulflingError):
    """A node does not answer; the others go on without it."""

    exit_code = 3


class NodeFailed(WulflingError):
    """A node that answers could not be brought to its declared state."""

    exit_code = 4


class CommandFailed(NodeFailed):
    """A process ended badly. ``argv`` can be pasted, ``output`` is what it said last."""

    def __init__(
        self, argv: Sequence[str], code: int, output: str, *, hint: str = "", where: str = ""
    ) -> None:
        import shlex

        self.argv = tuple(argv)
        self.code = code
        self.output = output.strip()
        ended = f"exited with {code}" if code >= 0 else f"was ended by signal {-code}"
        said = f":\n{self.output}" if self.output else " and said nothing"
        super().__init__(f"`{shlex.join(self.argv)}` {ended}{said}", hint=hint, where=where)


class Locked(WulflingError):
    """Somebody else is changing this node; the message names them."""

    exit_code = 5


class BadFile(WulflingError):
    """The cluster file was refused; ``problems`` holds every reason, each at its place."""

    exit_code = 6

    def __init__(self, problems: Sequence[WulflingError]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, hint=first.hint, where=first.where)


class IdentityMismatch(WulflingError):
    """A node answered with a host key other than the pinned one."""

    exit_code = 8
