"""What the head needs to be a gateway: an uplink, hardware addresses, a network of its own."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Role
from wulfling.spec.draft import Draft
from wulfling.spec.members import network_of
from wulfling.spec.problem import Problem


def router(draft: Draft) -> Iterator[Problem]:
    """A router has two sides, and the boards' side is a private network."""
    gateway = draft.spec.gateway
    if not gateway.nat:
        if gateway.uplink and not gateway.dhcp and draft.sound("gateway"):
            message = f"{gateway.uplink} is the uplink of a head that is no router"
            hint = "add `nat: true`, or delete `uplink:`"
            yield draft.problem(("gateway", "uplink"), message, hint)
        return
    if not gateway.uplink and draft.sound("gateway", "uplink"):
        yield draft.problem(
            ("gateway", "nat"),
            "the head cannot be a router: nobody says which of its interfaces leads out",
            "add `uplink: wlan0`; `ip route show default` on the head names it after `dev`",
        )
    network = network_of(draft.spec, draft.nodes)
    if network is not None and draft.sound("network") and not network.is_private:
        said = draft.spec.network is not None
        yield draft.problem(
            ("network",) if said else ("gateway", "nat"),
            f"the head would hide {network}, which are addresses of the internet itself",
            "give the boards private addresses, such as 10.0.0.0/24 (RFC 1918)",
        )
    if draft.spec.cards.gateway is not None and draft.sound("cards", "gateway"):
        yield draft.problem(
            ("cards", "gateway"),
            f"{draft.spec.cards.gateway} is the boards' gateway, and so is the head",
            "delete one of them: this, or `nat:`",
        )
    if draft.spec.boards == "virtual" and draft.sound("boards"):
        yield draft.problem(
            ("gateway", "nat"),
            "virtual boards have one cable, and their kernel no nftables: nat is left out",
            "on real boards the same line counts",
            warning=True,
        )


def addresses(draft: Draft) -> Iterator[Problem]:
    """DHCP knows a board by its hardware address and nothing else."""
    if not draft.spec.gateway.dhcp or not draft.sound("gateway", "dhcp"):
        return
    told: set[str] = set()
    for node in draft.nodes:
        known = draft.roles_known(node) and draft.sound("nodes", node.key, "mac")
        if node.mac is None and known and Role.HEAD not in node.roles and node.key not in told:
            told.add(node.key)
            yield draft.problem(
                ("nodes", node.key),
                f"{node.key} has no `mac`, so the head has no address for it (dhcp)",
                "add `mac: dc:a6:32:01:02:03`; `ip link` on the board shows its own",
                key=True,
            )


RULES = (router, addresses)
