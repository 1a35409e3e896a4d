"""What happens while the boards are talked to, as values: what progress is shown from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wulfling.errors import WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.plan import Step


@dataclass(frozen=True)
class Connected:
    """``node`` let us in and runs the node program."""

    node: str


@dataclass(frozen=True)
class Hello:
    """``node`` told what it is made of, and what of a crash it has ``repaired``."""

    node: str
    hardware: Hardware
    repaired: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """``node`` is held up by ``what``: steps of other nodes, or an apply that was killed."""

    node: str
    what: str


@dataclass(frozen=True)
class Begin:
    """``node`` starts to change ``key``."""

    node: str
    key: str


@dataclass(frozen=True)
class StepDone:
    """A step has ended."""

    step: Step


@dataclass(frozen=True)
class Lost:
    """``node`` takes no part, or no longer: the class of ``error`` says how bad that is."""

    node: str
    error: WulflingError


@dataclass(frozen=True)
class Done:
    """``node`` has taken its last step."""

    node: str


Event = Connected | Hello | Waiting | Begin | StepDone | Lost | Done
OnEvent = Callable[[Event], None]
