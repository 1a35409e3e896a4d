"""New host keys for all boards, and a new key for wulfling itself where it has one of its own.

The connection that the old key vouches for brings the new public half, so no person has to
compare anything. Both are pinned while either may answer.
"""

from __future__ import annotations

import asyncio
import base64
import shlex
from dataclasses import replace
from pathlib import Path

from wulfling.components.access import TRUST
from wulfling.components.sshd import CERTIFICATE, CERTIFICATE_FILE
from wulfling.components.system import HARDWARE_FILE
from wulfling.day2.rack import Rack
from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable
from wulfling.transport import pins
from wulfling.transport.host_keys import NEW_HOST_KEYS, USE_HOST_KEYS

FOLLOWS = (
    *(f"file:{TRUST[1]}", f"file:{HARDWARE_FILE}"),
    *(f"certificate:{CERTIFICATE}", f"sshd:{CERTIFICATE_FILE}", "service:ssh.service"),
)
"""What is made of host keys: what boards know of each other's, what the head remembers of them, and
the certificates that people know them by. It is the scope of the apply that comes after new
ones."""

PATIENCE = 30  # tries to get in again: sshd reads its keys anew in its own time
_TELL = 'tell() { shift; printf "%s\\n" "$*"; }\nset -eu\n'


async def new_host_key(rack: Rack, name: str) -> None:
    """Give one board new host keys, and pin the new one alone once it has answered with it.

    Raises ``IdentityMismatch`` or ``Unreachable`` when it does not come to that; both keys are
    pinned then.
    """
    cluster, address = rack.cluster.name, rack.addresses[name].pinned_as
    script = _TELL + NEW_HOST_KEYS.format(node=shlex.quote(name))
    new = (await rack.said(name, "sh", "-s", stdin=script, timeout=180)).strip()
    old = pins.pinned(cluster, address)
    pins.pin(cluster, address, dict.fromkeys((*old, new)))
    pins.retire(cluster, [key for key in old if key.split()[:2] != new.split()[:2]])
    await rack.said(name, "sh", "-s", stdin=f"set -eu\n{USE_HOST_KEYS}")
    pins.pin(cluster, address, [new])
    try:
        await _answers(rack, name)
    except (IdentityMismatch, Unreachable):
        pins.pin(cluster, address, dict.fromkeys((*old, new)))
        raise


async def _answers(rack: Rack, name: str) -> None:
    for left in reversed(range(PATIENCE)):
        try:
            await rack.said(name, "true")
        except (IdentityMismatch, Unreachable):
            if not left:
                raise
            await asyncio.sleep(1)
        else:
            return


# -- the key that wulfling opens the boards with --------------------------------------------

# Both accounts that may have it: ours, and the one that was there before.
_ACCOUNTS = """set -eu
for account in {accounts}; do
    home=$(getent passwd "$account" | cut -d: -f6)
    file=$home/.ssh/authorized_keys
    [ -n "$home" ] && [ -f "$file" ] && grep -qF {old} "$file" || continue
    {change}
    chown --reference="$file" "$file.new"
    chmod --reference="$file" "$file.new"
    sync "$file.new"
    mv "$file.new" "$file"
done
"""
_ADD = 'grep -vF {new} "$file" >"$file.new" || :; echo {line} >>"$file.new"'
_DROP = 'grep -vF {old} "$file" >"$file.new" || :'


async def admit_next(rack: Rack) -> None:
    """Have every board take the next key beside the one in use, and prove that it does. Raises
    ``NodeFailed`` when one does not."""
    following = pins.next_identity(rack.cluster.name)
    line = Path(f"{following}.pub").read_text(encoding="utf-8").strip()
    in_use = pins.former(rack.cluster.name) or pins.public_key(rack.cluster.name)
    old, new = _data(in_use), _data(line)
    change = _ADD.format(new=new, line=shlex.quote(line))
    for name, address in rack.addresses.items():
        await rack.said(name, "sh", "-s", stdin=_script(rack, old, change))
        with_next = replace(address, identities=(following,))
        done = await rack.dial.run(with_next, ("true",), root=True)
        if done.code:
            raise NodeFailed("it does not take the new key; the old one is in use", where=name)


async def dismiss(rack: Rack, old: str) -> None:
    """Have no board take ``old``, a public key, any more. What is ours follows by an apply."""
    for name in rack.addresses:
        script = _script(rack, _data(old), _DROP.format(old=_data(old)))
        await rack.said(name, "sh", "-s", stdin=script)


def _script(rack: Rack, old: str, change: str) -> str:
    accounts = shlex.join(dict.fromkeys((rack.cluster.admin, rack.cluster.login)))
    return _ACCOUNTS.format(accounts=accounts, old=old, change=change)


def _data(line: str) -> str:
    """The middle of a public key, which tells it from all others."""
    data = line.split()[1]
    base64.b64decode(data, validate=True)  # nothing else gets into a script
    return data
