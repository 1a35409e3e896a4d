"""A new key for the head's end of the tunnel: whoever has the old one reaches nothing by it."""

from __future__ import annotations

from wulfling.components.remote import FOLDER, KEY_FILE, UNIT
from wulfling.day2.asking import Ask
from wulfling.model.cluster import Cluster

STAGED = f"{KEY_FILE}.next"

_STAGE = f"""set -eu
umask 077
if [ ! -s {STAGED} ]; then
    wg genkey >{STAGED}.part
    sync {STAGED}.part
    mv {STAGED}.part {STAGED}
fi
wg pubkey <{STAGED}
"""
_USE = f"""set -eu
[ ! -s {STAGED} ] || mv {STAGED} {KEY_FILE}
sync {FOLDER}
systemctl reload-or-restart {UNIT}
"""


async def stage(cluster: Cluster, ask: Ask) -> str:
    """The public half of the head's next key, which it has from now on and does not use yet."""
    return (await ask.script(cluster.head, _STAGE, about="wg genkey")).strip()


async def use(cluster: Cluster, ask: Ask) -> None:
    """Put the next key in the place of the one in use, and have the tunnel take it."""
    await ask.script(cluster.head, _USE, about="mv")
