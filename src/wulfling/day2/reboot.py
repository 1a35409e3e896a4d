"""Boards start anew one after the other, while the cluster goes on working.

The head keeps what a run has set out to do, and as which boot each board began; so a run that
was cut off anywhere is continued by the same command, and no board starts twice.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from wulfling.day2.rack import Rack, in_order
from wulfling.day2.rest import empty, give_back, recovered
from wulfling.errors import NodeFailed, Unreachable

VERB = "reboot"
KEPT = "/var/lib/wulfling/reboot.json"  # on the head
BOOT = ("cat", "/proc/sys/kernel/random/boot_id")

# After a moment, so that the session in which it is said ends well.
REBOOT = ("systemd-run", "--quiet", "--on-active=1", "systemctl", "reboot")

_WRITE = 'umask 077; mkdir -p "${1%/*}"; cat > "$1.new"; sync "$1.new"; mv "$1.new" "$1"'


@dataclass(frozen=True)
class Rebooted:
    """One board. ``again`` is False for one that an earlier run had started anew; seconds are
    those from the order to being well."""

    node: str
    again: bool
    seconds: float


async def reboot(
    rack: Rack, names: Iterable[str], wait: float | None = None
) -> tuple[Rebooted, ...]:
    """Start these boards anew, one at a time and in the right order. Jobs are waited for, up
    to ``wait`` seconds a board when there is a limit.

    Stops at the first board that does not come back well, which stays drained. Raises
    ``NodeFailed``, and ``Unreachable`` when one does not answer at the beginning.
    """
    chosen = in_order(rack.cluster, names)
    boots = await _begin(rack, chosen)
    found = []
    for name in chosen:
        began = time.monotonic()
        again = await start_anew(rack, name, boots[name], wait)
        found.append(Rebooted(name, again, time.monotonic() - began))
        rack.tell(name, f"is well after {found[-1].seconds:.0f} s")
    await rack.said(rack.cluster.head, "rm", "-f", KEPT)
    return tuple(found)


async def _begin(rack: Rack, chosen: Iterable[str]) -> Mapping[str, str]:
    """The boot from which each board is to come away; what an earlier run noted stays."""
    head = rack.cluster.head
    kept = await rack.said(head, "sh", "-c", f"! test -e {KEPT} || cat {KEPT}")
    try:
        earlier = dict(json.loads(kept or "{}"))
    except ValueError:
        earlier = {}
    boots = {name: str(earlier.get(name) or await boot_of(rack, name)) for name in chosen}
    text = json.dumps({**earlier, **boots}) + "\n"
    await rack.said(head, "sh", "-c", _WRITE, "keep", KEPT, stdin=text)
    return boots


async def boot_of(rack: Rack, name: str) -> str:
    """What the kernel calls its present run (random(4), boot_id)."""
    return (await rack.said(name, *BOOT)).strip()


async def start_anew(rack: Rack, name: str, boot: str, wait: float | None = None) -> bool:
    """One board: empty it, start it anew unless ``boot`` is over already, and give it back
    when it is well; whether it was started now."""
    ours = await empty(rack, name, VERB, wait)
    again = await rack.patiently(lambda: boot_of(rack, name)) == boot
    if again:
        await another_boot(rack, name, boot)
    await recovered(rack, name)
    if ours:
        await give_back(rack, name, VERB)
    return again


async def another_boot(rack: Rack, name: str, boot: str) -> None:
    """Order a start, and return when the board answers from another boot than this one.
    Raises ``NodeFailed`` when it does not come back."""
    rack.tell(name, "starts anew")
    with suppress(Unreachable):  # it may have heard us, so the boot alone tells
        await rack.said(name, *REBOOT)
    deadline = time.monotonic() + rack.boot
    while time.monotonic() < deadline:
        await asyncio.sleep(rack.pause)
        try:
            if await boot_of(rack, name) != boot:
                return
        except (Unreachable, NodeFailed):
            continue  # on its way
    raise NodeFailed(
        f"it did not come back in {rack.boot:g} s",
        hint="look at its screen and its cable; when it is on again, the same command goes on",
        where=name,
    )
