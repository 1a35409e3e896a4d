"""Apply: make every board what it should be, in one conversation, safe to run again."""

from __future__ import annotations

from wulfling.converge.events import OnEvent
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Conversation, Errand, Patience
from wulfling.transport.link import Dial

PATIENCE = Patience(hello=1200.0, step=3600.0)


async def apply(errand: Errand, dial: Dial, on_event: OnEvent = lambda event: None) -> Outcome:
    """Bring every node to what it should be.

    Every node that answers is locked before the first one is changed: ``Locked`` is raised,
    with nothing changed, when somebody else is at work on one of them. The other errors are
    those of ``plan``. When it is cancelled, each node ends the step that it is at and stops.
    """
    return await Conversation("apply", errand, dial, on_event, PATIENCE).hold()
