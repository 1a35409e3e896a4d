"""What can be declared about a node: the type that is both the wish and the observation.

A kind of resource is one frozen dataclass in ``node/resources/``. The same type describes
what should be and what is, so the difference between the two is ``!=``; everything that is
no part of the state (order, reasons, probes) is a field with ``compare=False``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


class NotYet(Exception):
    """This cannot be observed before an earlier step has been taken, for example because
    the package that brings the command is not installed. The message names that step."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One thing on a node.

    ``why`` is the sentence that ``explain`` shows. ``awaits`` names resources of other nodes
    (``"rpnode01/service:slurmctld"``) that have to be done before this one is changed.
    """

    kind: ClassVar[str]

    why: str = field(default="", compare=False)
    awaits: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """What tells this resource from others of its kind on the same node."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """``kind:name``, unique on a node."""
        return f"{self.kind}:{self.name}"

    def observe(self, board: Any) -> Resource | None:
        """What is there now (``None``: nothing), asked of a ``node.board.Board``.

        Raises ``NotYet`` when that cannot be known before another step has been taken.
        """
        raise NotImplementedError

    def converge(self, board: Any, observed: Resource | None) -> None:
        """Make ``observed`` into this. Raises ``WulflingError`` when that fails."""
        raise NotImplementedError

    def commands(self) -> tuple[str, ...]:
        """The plain commands that a person would type to get this."""
        raise NotImplementedError

    def undo(self) -> tuple[str, ...]:
        """The plain commands that take it back."""
        raise NotImplementedError

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """Lines for people: what would change if ``observed`` became this."""
        if observed is None:
            return (f"+ {self.key}",)
        lines = []
        for item in fields(self):
            if not item.compare:
                continue
            was, want = getattr(observed, item.name), getattr(self, item.name)
            if was != want:
                lines.append(f"  {item.name}: {_shown(was)} -> {_shown(want)}")
        return tuple(lines)


def digest(*texts: str) -> str:
    """Twelve hexadecimal digits that change when any of ``texts`` does."""
    import hashlib  # loads OpenSSL, and on a board most runs need none of it

    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()[:12]


def _shown(value: object) -> str:
    if value is None or value == () or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(_shown(part) for part in value)
    return str(value)
