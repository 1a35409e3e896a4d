"""A cluster file while it is checked: what of it could be read, and what is missing from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from wulfling.model.cluster import Role
from wulfling.spec.document import Document, Loc
from wulfling.spec.members import Member, members
from wulfling.spec.nodeset import expand
from wulfling.spec.problem import Problem, Refused
from wulfling.spec.schema import Spec


@dataclass(frozen=True)
class Draft:
    """``spec`` without what ``broken`` lists, which was already reported.

    Rules ask ``sound`` before they speak about a value, so that one mistake is told once and
    a mistake in one key does not hide those in others.
    """

    document: Document
    spec: Spec
    broken: frozenset[Loc]

    def sound(self, *loc: str | int) -> bool:
        """Whether everything at ``loc`` was read as it stands in the file."""
        return not any(
            found[: len(loc)] == loc or loc[: len(found)] == found for found in self.broken
        )

    @cached_property
    def nodes(self) -> tuple[Member, ...]:
        """The nodes that could be read; their roles may have to be asked of ``roles_known``."""
        return members(self.spec)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Every node name in the file, also of nodes that are otherwise broken, and its key."""
        names: dict[str, str] = {}
        for key in self._keys:
            try:
                found = expand(key)
            except Refused:
                continue
            for name in found:
                names.setdefault(name, key)
                names.setdefault(name.lower(), key)  # capitals were refused where they stand
        return names

    @cached_property
    def names_known(self) -> bool:
        """Whether every node name could be read. Only then can it be said that there is no
        such node."""
        return ("nodes",) not in self.broken and all(_expands(key) for key in self._keys)

    @property
    def _keys(self) -> tuple[str, ...]:
        block = self.document.data.get("nodes")
        return tuple(block) if isinstance(block, dict) else ()

    def roles_known(self, member: Member) -> bool:
        """Whether the roles of a node are those of the file."""
        return self.sound("nodes", member.key, "roles")

    def having(self, role: Role) -> list[Member]:
        """The nodes with a role, as far as it is known."""
        return [node for node in self.nodes if role in node.roles and self.roles_known(node)]

    @cached_property
    def all_roles_known(self) -> bool:
        """Whether every node and its roles could be read. Only then can it be said that there
        is none with a role."""
        return self.names_known and all(
            key in self.spec.nodes and self.sound("nodes", key, "roles") for key in self._keys
        )

    def problem(
        self, loc: Loc, message: str, hint: str = "", *, key: bool = False, warning: bool = False
    ) -> Problem:
        """A problem at the value of ``loc``, or with ``key`` at its key."""
        return Problem(self.document.place(loc, key=key), message, hint, warning)


def _expands(key: str) -> bool:
    try:
        expand(key)
    except Refused:
        return False
    return True
