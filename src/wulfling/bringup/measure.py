"""Measures boards that our key opens already; nobody is asked for a password."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from wulfling import proc
from wulfling.bringup.roles import Measured
from wulfling.errors import NodeFailed, WulflingError
from wulfling.node.devices import from_json as devices_of
from wulfling.node.facts import from_json as hardware_of
from wulfling.transport.fanout import each
from wulfling.transport.link import Address, Dial


async def measure(
    addresses: Iterable[Address], dial: Dial
) -> tuple[Mapping[str, Measured], Mapping[str, WulflingError]]:
    """What each board is made of, and why others did not tell, by node.

    Only boards with a pinned host key are tried: another would refuse us anyway, and its sshd
    counts who comes for nothing (sshd_config(5), PerSourcePenalties).
    """
    known = [to for to in addresses if is_pinned(to)]
    gathered = await each(known, lambda to: _ask(to, dial))
    return gathered.values, gathered.errors


def is_pinned(to: Address) -> bool:
    """Whether the host key of this address is in a file that ssh reads for it."""
    files = list(to.known_hosts)
    if not to.virtual:
        files.append(Path.home() / ".ssh" / "known_hosts")
    return any(
        not proc.run(["ssh-keygen", "-F", to.pinned_as, "-f", str(file)], check=False).code
        for file in files
        if file.exists()
    )


async def _ask(to: Address, dial: Dial) -> Measured:
    link = await dial.open(to)
    try:
        await link.send({"do": "check", "operator": "", "devices": True})
        async for message in link.messages():
            if message.get("event") == "hello":
                hardware = hardware_of(message.get("facts"))
                devices = devices_of(message.get("devices"))
                if hardware and devices:
                    return Measured(to.node, hardware, devices)
                break
        raise NodeFailed("what it said of its hardware was not understood", where=to.node)
    finally:
        await link.close()
