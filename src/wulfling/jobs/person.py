"""Whose job it is: one of the ``people:`` of the cluster file."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Sequence
from contextlib import suppress

from wulfling import proc, spec
from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.cluster import Person


def chosen(
    people: Sequence[Person],
    asked: str | None,
    local: str,
    own_keys: Iterable[str],
    where: str = "",
) -> str:
    """The account that jobs are submitted as.

    ``asked`` (``--as``); else ``local``, the user name here, if the file has it; else the only
    one whose keys in the file are among ``own_keys``; else the only one there is. Raises
    ``WulflingError`` when that leaves nobody, or several.
    """
    names = [person.name for person in people]
    if not names:
        raise WulflingError(
            "nobody may submit jobs: the cluster has no people",
            hint="add `people: {NAME: {account: ACCOUNT, keys: [~/.ssh/id_ed25519.pub]}}`",
            where=where,
        )
    if asked is not None:
        if asked not in names:
            raise WulflingError(
                f"there is no {asked} among the people",
                hint=f"the file has {', '.join(names)}",
                where=where,
            )
        return asked
    if local in names:
        return local
    own = tuple(own_keys)
    known = [name for name in names if has_one_of(people, name, own)]
    fitting = known or names
    if len(fitting) > 1:
        raise WulflingError(
            f"whose job is it? None of the people is called {local}, and your keys fit"
            f" {', '.join(known) if known else 'nobody'}",
            hint=f"--as {fitting[0]}",
            where=where,
        )
    return fitting[0]


def has_one_of(people: Sequence[Person], name: str, keys: Iterable[str]) -> bool:
    """Whether one of ``keys`` is a key of ``name``; comments of keys do not count."""
    own = {_bare(key) for key in keys}
    return any(own & {_bare(key) for key in p.keys} for p in people if p.name == name)


def local_name() -> str:
    """The user name on this machine, "" when there is none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def own_keys() -> tuple[str, ...]:
    """The public keys in ~/.ssh and in the agent, whole lines."""
    lines: list[str] = []
    with suppress(CommandFailed):
        agent = proc.run(["ssh-add", "-L"], check=False, timeout=5)
        lines = agent.stdout.splitlines() if agent.code == 0 else []
    return (*spec.operator_keys(), *lines)


def _bare(key: str) -> str:
    """A public key without its comment."""
    return " ".join(key.split()[:2])
