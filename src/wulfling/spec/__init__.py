"""The cluster file: read it with positions, say all that is wrong with it, make a Cluster of it.

The imports are inside the functions, because pydantic and a YAML parser cost more than all of
``wulfling --help``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wulfling.errors import WulflingError

if TYPE_CHECKING:
    from wulfling.model.cluster import Cluster, Hardware, Secrets
    from wulfling.spec.document import Document
    from wulfling.spec.schema import Spec

__all__ = ["check", "load", "operator_keys", "read", "resolve", "starter"]


def load(path: Path) -> Spec:
    """The validated content of the cluster file at ``path``.

    Raises ``BadFile`` with every reason why it is refused. What is worth a word and no
    refusal comes from ``check``.
    """
    return check(read(path))[0]


def read(path: Path) -> Document:
    """The file at ``path`` as text, plain data and positions. Raises ``BadFile`` when it
    cannot be read or is not one YAML mapping."""
    from wulfling.spec import document

    return document.read(path)


def check(document: Document) -> tuple[Spec, tuple[WulflingError, ...]]:
    """The validated content of ``document``, and its warnings in the order of the file.

    Reads the public key files that the document names, and nothing else. Raises ``BadFile``
    with every problem at once, each with ``where`` (file:line:column), message and hint.
    """
    from wulfling.spec import validate

    return validate.check(document)


def resolve(
    spec: Spec,
    hardware: Mapping[str, Hardware],
    secrets: Secrets | None,
    admin_keys: tuple[str, ...],
) -> Cluster:
    """The whole cluster: what the file says and what was measured (see ``resolution``)."""
    from wulfling.spec import resolution

    return resolution.resolve(spec, hardware, secrets, admin_keys)


def operator_keys() -> tuple[str, ...]:
    """The public keys of whoever runs wulfling (~/.ssh/id_*.pub), whole lines."""
    from wulfling.spec import publickeys

    return publickeys.operator_keys()


def starter(
    name: str, boards: str = "virtual", *, lang: str = "en", keys: tuple[str, ...] = ()
) -> str:
    """The text of a starter file (see ``init``)."""
    from wulfling.spec import init

    return init.starter(name, boards, lang=lang, keys=keys)
