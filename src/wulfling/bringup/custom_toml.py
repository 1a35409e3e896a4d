"""``custom.toml``, which raspberrypi-sys-mods reads on Raspberry Pi OS bookworm.

Its reader (init_config) knows the keys below and no others: there is no place for a host key, a
static address, a locale or a second account. So it gets the account of ``login:``, which is the
image's first one renamed and has sudo without a password; apply makes the admin account.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node


def files(cluster: Cluster, node: Node) -> Mapping[str, str]:
    """``custom.toml``. Pure. Raises ``WulflingError`` when the file asks for more than it can."""
    if cluster.cards.gateway is not None:
        raise WulflingError(
            f"custom.toml has no place for a static address, and {cluster.name} has a gateway",
            hint="leave out `--mechanism custom.toml`: firstrun can",
        )
    return {"custom.toml": "\n".join(_toml(cluster, node)) + "\n"}


def _toml(cluster: Cluster, node: Node) -> Iterator[str]:
    yield f"# {node.name} of {cluster.name}, by wulfling card write"
    yield "config_version = 1"
    yield ""
    yield "[system]"
    yield f"hostname = {_text(node.name)}"
    yield ""
    yield "[user]"  # without a password it is locked
    yield f"name = {_text(cluster.login)}"
    yield ""
    yield "[ssh]"
    yield "enabled = true"
    yield "password_authentication = false"
    yield f"authorized_keys = [{', '.join(map(_text, cluster.admin_keys))}]"
    if cluster.cards.country:
        yield ""
        yield "[wlan]"
        yield f"country = {_text(cluster.cards.country)}"
    if cluster.cards.timezone:
        yield ""
        yield "[locale]"
        yield f"timezone = {_text(cluster.cards.timezone)}"


def _text(value: str) -> str:
    """A basic string of TOML; JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)
