"""Who waits for which step of which other node, and when the waiting is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wulfling.model.plan import Status

_GOOD = (Status.OK, Status.CHANGED)


@dataclass(frozen=True)
class Release:
    """``node`` may go on with ``key``, or, with a reason in ``because``, has to give it up."""

    node: str
    key: str
    because: str = ""


class Waits:
    """The awaited steps of one apply. Every method gives the waits that it has ended.

    ``declared`` maps the nodes that take part to the keys of their resources, and ``absent``
    the others to the reason why they do not.
    """

    def __init__(self, declared: Mapping[str, Collection[str]], absent: Mapping[str, str]) -> None:
        self._declared = {node: frozenset(keys) for node, keys in declared.items()}
        self._gone = dict(absent)
        self._ended: dict[str, Status] = {}
        self._waiting: dict[str, tuple[str, tuple[str, ...]]] = {}

    def wait(self, node: str, key: str, awaited: Collection[str]) -> tuple[Release, ...]:
        """``node`` does nothing before ``awaited`` ("rpnode01/service:slurmctld") is done."""
        self._waiting[node] = (key, tuple(awaited))
        return self._released()

    def settle(self, node: str, key: str, status: Status) -> tuple[Release, ...]:
        """A step has ended."""
        self._ended[f"{node}/{key}"] = status
        return self._released()

    def leave(self, node: str, reason: str) -> tuple[Release, ...]:
        """``node`` will take no further step, because ``reason``."""
        self._waiting.pop(node, None)
        self._gone.setdefault(node, reason)
        return self._released()

    def is_waiting(self, node: str) -> bool:
        """Whether ``node`` is silent because others are not as far."""
        return node in self._waiting

    def _released(self) -> tuple[Release, ...]:
        over = []
        for node, (key, awaited) in tuple(self._waiting.items()):
            verdicts = [self._verdict(name) for name in awaited]
            hopeless = [verdict for verdict in verdicts if verdict]
            if hopeless or all(verdict == "" for verdict in verdicts):
                over.append(Release(node, key, "; ".join(dict.fromkeys(hopeless))))
                del self._waiting[node]
        return tuple(over) or self._broken_circle()

    def _broken_circle(self) -> tuple[Release, ...]:
        """When every node waits, nobody will ever come: that is a bug in what was declared."""
        at_work = [node for node in self._declared if node not in self._gone]
        if not self._waiting or any(node not in self._waiting for node in at_work):
            return ()
        links = (f"{node} for {' and '.join(names)}" for node, (_, names) in self._waiting.items())
        because = f"the nodes wait for each other: {', '.join(links)}"
        over = tuple(Release(node, key, because) for node, (key, _) in self._waiting.items())
        self._waiting.clear()
        return over

    def _verdict(self, awaited: str) -> str | None:
        """ "" when it is done, the reason when it never will be, None when it still may."""
        node, _, key = awaited.partition("/")
        status = self._ended.get(awaited)
        if status in _GOOD:
            return ""
        if status is not None:
            return f"{key} on {node} {_WORDS[status]}"
        if node in self._gone:
            return f"{node} {self._gone[node]}"
        if key not in self._declared.get(node, ()):
            return f"nothing called {key} is declared for {node}"
        return None


_WORDS = {
    Status.CHANGE: "was not changed",
    Status.PENDING: "is pending",
    Status.FAILED: "failed",
    Status.SKIPPED: "was skipped",
}
