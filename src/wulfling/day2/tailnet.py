"""Takes the head into a tailnet, by an auth key that stands in no argument and no log."""

from __future__ import annotations

import re

from wulfling.day2.asking import Ask
from wulfling.errors import NodeFailed, WulflingError
from wulfling.model.cluster import Cluster

# In memory alone (/run is tmpfs), for root alone, and gone when the script ends in whatever way.
# Without the head's name service or routes being changed, and with SSH as it is: by keys.
JOIN_SCRIPT = """set -eu
command -v tailscale >/dev/null || {{ echo absent; exit 0; }}
state=$(tailscale status --json --peers=false |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["BackendState"])')
if [ "$state" != Running ]; then
    umask 077
    folder=$(mktemp -d /run/wulfling-tailnet.XXXXXX)
    trap 'rm -rf "$folder"' EXIT HUP INT TERM
    cat >"$folder/key" <<'EOF'
{key}
EOF
    tailscale up --auth-key="file:$folder/key" --advertise-tags={tag} --hostname={name} \\
        --accept-dns=false --accept-routes=false --ssh=false --timeout=90s >/dev/null
fi
tailscale ip -4
"""


def auth_key(text: str) -> str:
    """The auth key in what was typed or read. Raises ``WulflingError``, which never quotes it."""
    key = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]{20,200}", key):
        raise WulflingError(
            "this is no auth key",
            hint="it reads tskey-auth-...; the admin console makes one, under Settings, Keys",
        )
    return key


async def join(cluster: Cluster, key: str, ask: Ask) -> str:
    """The head's address in the tailnet, which it joins unless it is there already. Raises
    ``CommandFailed`` with what tailscale said, and ``NodeFailed`` when it is not installed."""
    assert cluster.tailscale is not None
    text = JOIN_SCRIPT.format(key=key, tag=cluster.tailscale.tag, name=cluster.head)
    said = await ask.script(cluster.head, text, about="tailscale up", timeout=180)
    if said.strip() == "absent":
        raise NodeFailed("tailscale is not installed", hint="wulfling apply", where=cluster.head)
    return said.strip()
