"""The way in from outside: a network of its own, an address and a key for each device."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from wulfling.spec.draft import Draft
from wulfling.spec.members import network_of
from wulfling.spec.problem import Problem
from wulfling.spec.schema import Spec


def tunnel(draft: Draft) -> Iterator[Problem]:
    """The tunnel's network is private, and another than the boards'."""
    way = draft.spec.remote.wireguard
    if way is None or not draft.sound("remote", "wireguard", "network"):
        return
    said = "network" in way.model_fields_set
    place = ("remote", "wireguard", *(["network"] if said else []))
    if not way.network.is_private:
        yield draft.problem(
            place,
            f"the tunnel would hide {way.network}, which are addresses of the internet itself",
            "give it private addresses, such as 10.88.0.0/24 (RFC 1918)",
            key=not said,
        )
    boards = network_of(draft.spec, draft.nodes)
    if boards is not None and draft.sound("network") and way.network.overlaps(boards):
        yield draft.problem(
            place,
            f"the tunnel has {way.network}, and the boards have {boards}",
            "give the tunnel a `network` of its own, such as 10.99.0.0/24",
            key=not said,
        )
    if way.reach == "cluster" and draft.spec.boards == "virtual" and draft.sound("boards"):
        yield draft.problem(
            ("remote", "wireguard", "reach"),
            "virtual boards have no nftables in their kernel: devices reach the head alone",
            "on real boards the same line counts",
            warning=True,
        )


def tailscale(draft: Draft) -> Iterator[Problem]:
    """What comes by Tailscale has to be filtered."""
    if draft.spec.remote.tailscale is not None and draft.spec.boards == "virtual":
        yield draft.problem(
            ("remote", "tailscale"),
            "virtual boards have no nftables in their kernel: tailscale is left out",
            "on real boards the same line counts",
            key=True,
            warning=True,
        )


def devices(draft: Draft) -> Iterator[Problem]:
    """Each device has an address and a key of its own, in a tunnel that there is."""
    way = draft.spec.remote.wireguard
    if way is None and draft.spec.devices and draft.sound("remote"):
        yield draft.problem(
            ("devices",),
            "there is no way in for devices",
            "add `remote: {wireguard: {endpoint: home.example.org}}`",
            key=True,
        )
    addresses: dict[IPv4Address, str] = {}
    keys: dict[str, str] = {}
    known = draft.sound("remote", "wireguard", "network")
    for name, device in draft.spec.devices.items():
        place = ("devices", name, "address")
        if way is not None and known and draft.sound(*place):
            if device.address not in way.network or device.address in taken(draft.spec):
                yield draft.problem(
                    place,
                    f"{device.address} is no address for a device in {way.network}",
                    _another(draft),
                )
            elif (other := addresses.setdefault(device.address, name)) != name:
                message = f"{name} and {other} would both have the address {device.address}"
                yield draft.problem(place, message, _another(draft))
        place = ("devices", name, "key")
        if draft.sound(*place) and (other := keys.setdefault(device.key, name)) != name:
            yield draft.problem(
                place,
                f"{name} and {other} have the same key, and the head would know one of them",
                f"take {name} out, then: wulfling remote add-device {name}",
            )


def _another(draft: Draft) -> str:
    address = free(draft.spec)
    return f"write one such as {address}" if address else "give the tunnel a larger `network`"


def taken(spec: Spec) -> tuple[IPv4Address, ...]:
    """The addresses of the tunnel that no device can have."""
    way = spec.remote.wireguard
    assert way is not None
    return (way.network[0], way.network[1], way.network[-1])


def free(spec: Spec) -> IPv4Address | None:
    """The first address of the tunnel that nobody has; None when there is no more."""
    way = spec.remote.wireguard
    assert way is not None
    used = {*taken(spec), *(device.address for device in spec.devices.values())}
    for address in way.network:
        if address not in used:
            return address
    return None


RULES = (tunnel, tailscale, devices)
