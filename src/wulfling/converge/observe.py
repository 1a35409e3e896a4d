"""Plan: what would change on every board. Nothing is written anywhere."""

from __future__ import annotations

from wulfling.converge.events import OnEvent
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Conversation, Errand, Patience
from wulfling.transport.link import Dial

PATIENCE = Patience(hello=60.0, step=300.0)


async def plan(errand: Errand, dial: Dial, on_event: OnEvent = lambda event: None) -> Outcome:
    """Compare every node with what it should be.

    Nodes that fail or do not answer are told in the outcome and leave the others alone.
    Raises ``IdentityMismatch`` and whatever ``errand.compile`` raises.
    """
    return await Conversation("plan", errand, dial, on_event, PATIENCE).hold()
