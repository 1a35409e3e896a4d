"""A board leaves the cluster, or another one takes its place under the same name."""

from __future__ import annotations

from enum import Enum

from wulfling.components import farewell
from wulfling.converge.apply import apply
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import Errand
from wulfling.day2.rack import Rack
from wulfling.day2.rest import counted, empty, give_back, recovered
from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable, WulflingError
from wulfling.node.manifest import MANIFEST
from wulfling.transport.link import Refused, Unpinned

REMOVE, REPLACE = "remove", "replace"


class Answer(Enum):
    """Who answers at a node's address."""

    OURS = "the board that we know"
    BLANK = "a board with the host key that we know, and nothing of ours on it"
    STRANGER = "a board with another host key, or one that was never pinned"
    NOBODY = "nobody"


def check_may_go(rack: Rack, name: str) -> None:
    """Raises ``WulflingError`` for a node without which the others cannot be."""
    if name == rack.cluster.head:
        raise WulflingError(
            f"{name} is the head: the queue, the accounts and the secrets are on it",
            hint="on a blank board: wulfling restore head" if rack.cluster.backup else "",
            where=name,
        )
    served = [share.path for share in rack.cluster.storage if share.server == name]
    if served:
        raise WulflingError(
            f"{name} serves {' and '.join(served)}: what people have there is on its disk",
            hint="copy it to another board, and let `storage:` of the file name that one first",
            where=name,
        )


async def busy_with(rack: Rack, name: str) -> str:
    """What runs on a node now, in words; "" when nothing does."""
    jobs = await rack.slurm.jobs([name]) if rack.takes_jobs(name) else ()
    return counted("job", jobs) if jobs else ""


async def leave(rack: Rack, name: str, wait: float | None = None) -> bool:
    """Empty a node, and take from its board what is the cluster's; whether the board answered.
    One that is dead keeps what it has.

    Raises ``NodeFailed`` when something could not be taken, and what ``empty`` raises.
    """
    alive = await rack.answers(name, tries=3)
    await empty(rack, name, REMOVE, wait, dead=not alive)
    if not alive:
        return False
    outcome = await _dismiss(rack, name)
    if outcome.exit_code:
        told = [error.message for error in outcome.errors.values()]
        told += [f"{step.key}: {step.message}" for step in outcome.plan.steps if step.message]
        raise NodeFailed(
            f"what is the cluster's could not be taken from it: {'; '.join(told)}",
            hint="the same command again goes on, also when the board is switched off",
            where=name,
        )
    return True


async def _dismiss(rack: Rack, name: str) -> Outcome:
    """One board alone, without the head's secrets: they are what it loses."""
    cluster = rack.cluster
    errand = Errand(
        addresses=(rack.addresses[name],),
        head=cluster.head,
        operator=rack.operator,
        compile=lambda known: {name: farewell(cluster, cluster.node(name))},
        blob=_no_blob,
        complete=True,
    )
    return await apply(errand, rack.dial)


def _no_blob(sha256: str) -> bytes:
    raise WulflingError(f"a board that leaves needs no file {sha256[:12]}")


async def who_answers(rack: Rack, name: str) -> Answer:
    """Who is at a node's address now. Nothing is sent to a board that we do not know."""
    try:
        await rack.said(name, "test", "-e", MANIFEST, timeout=30)
    except (IdentityMismatch, Unpinned):
        return Answer.STRANGER
    except Refused:
        return Answer.BLANK  # its host key was pinned when its card was written
    except NodeFailed:
        return Answer.BLANK
    except Unreachable:
        return Answer.NOBODY
    return Answer.OURS


async def make_room(rack: Rack, name: str, answer: Answer, wait: float | None = None) -> None:
    """Have Slurm keep jobs off a node whose board is replaced, and wait for those that it has."""
    await empty(rack, name, REPLACE, wait, dead=answer is not Answer.OURS)


async def take_over(rack: Rack, name: str) -> None:
    """Let the new board work when it is well. Raises ``NodeFailed``."""
    await recovered(rack, name)
    if rack.takes_jobs(name):
        await give_back(rack, name, REPLACE)


async def mac_of(rack: Rack, name: str) -> str:
    """The Ethernet address of the card through which a board has its address, "" when it does
    not say."""
    address = rack.cluster.address(name)
    script = (
        'for card in /sys/class/net/*; do ip -4 -o addr show dev "${card##*/}"'
        f" | grep -qF ' {address}/' && cat $card/address; done; true"
    )
    return (await rack.said(name, "sh", "-c", script)).strip()
