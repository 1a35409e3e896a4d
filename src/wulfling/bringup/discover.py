"""Finds the boards of a network, gently: who is there, what each seems to be, and who is new.

One knock at port 22 of each address, one question by multicast, and then the kernel's table of
neighbours, which every knock fills: fewer than four packets to an address, and a board's sshd
sees one connection. Nobody is asked for a password.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from wulfling import proc
from wulfling.bringup import mdns, recognise
from wulfling.errors import WulflingError
from wulfling.spec import notation
from wulfling.spec.members import Member
from wulfling.spec.problem import Refused

MOST_ADDRESSES = 1024
"""A /22: the kernel's table of neighbours holds as many (arp(7), gc_thresh3)."""

_SWEEP = Path(__file__).with_name("sweep.py")
_PYTHON = (sys.executable or "/usr/bin/python3", "-I", "-S")
_PATIENCE = 60.0
_HERE = "write the network, 192.168.1.0/24 for example: wulfling discover NETWORK"

# Names that say which image a card was written with, and not which board it is.
_NO_NAMES = re.compile(
    r"(raspberrypi|ubuntu|debian|localhost|khadas|armbian|dietpi|odroid|orangepi.*)(-[0-9]+)?"
)


@dataclass(frozen=True)
class Own:
    """One of this machine's own addresses, with the network around it."""

    interface: str
    address: IPv4Interface
    mac: str


@dataclass(frozen=True)
class Machine:
    """What was heard from one address. ``door`` is ``open``, ``shut`` or ``silent``; ``name``
    is what it announces, and ``banner`` what its sshd says first; "" is not known."""

    address: IPv4Address
    door: str
    banner: str = ""
    mac: str = ""
    name: str = ""


@dataclass(frozen=True)
class Found:
    """A machine and what to make of it. ``node`` is its name in the cluster file; ``new`` is
    one that could become a node, and ``name`` then the one it would get. ``remark`` is
    something that a person should look at."""

    machine: Machine
    node: str = ""
    new: bool = False
    name: str = ""
    remark: str = ""

    @property
    def seems(self) -> str:
        """What it seems to be, in words."""
        machine = self.machine
        words = recognise.words(machine.mac, machine.banner, machine.door)
        return f"{words} ({self.remark})" if self.remark else words

    def as_json(self) -> dict[str, Any]:
        """For ``-o json``."""
        machine = self.machine
        system = recognise.system(machine.banner)
        return {
            "address": str(machine.address),
            "mac": machine.mac,
            "announced": machine.name,
            "ssh": machine.door,
            "banner": machine.banner,
            "maker": recognise.maker(machine.mac),
            "system": system.id,
            "release": system.version,
            "node": self.node,
            "new": self.new,
            "name": self.name,
            "remark": self.remark,
        }


def own_addresses(door: Sequence[str] = ()) -> tuple[Own, ...]:
    """The addresses of this machine, or of the network that ``door`` opens, but for loopback."""
    macs = {link["ifname"]: link.get("address", "") for link in _ip(door, "link", "show", "up")}
    return tuple(
        Own(
            link["ifname"],
            IPv4Interface((info["local"], info["prefixlen"])),
            macs.get(link["ifname"], ""),
        )
        for link in _ip(door, "-4", "address", "show", "up")
        for info in link.get("addr_info", ())
        if info.get("scope") == "global"
    )


def attached(own: Iterable[Own], door: Sequence[str] = ()) -> IPv4Network:
    """The network that boards are probably in: the one with the way out, or the only one.

    Raises ``WulflingError`` when there are none or several.
    """
    ways = [route.get("dev", "") for route in _ip(door, "-4", "route", "show", "default")]
    networks = {o.interface: o.address.network for o in own if o.address.network.num_addresses > 1}
    for way in ways:
        if way in networks:
            return networks[way]
    found = sorted(set(networks.values()))
    if len(found) == 1:
        return found[0]
    known = ", ".join(map(str, found))
    raise WulflingError(
        f"this machine is in several networks: {known}" if found else "this machine is in none",
        hint=_HERE,
    )


def targets(where: Iterable[str], own: Iterable[Own]) -> tuple[IPv4Address, ...]:
    """The addresses to knock at: those that ``where`` names by network or one by one. Our own
    are not among them.

    Raises ``WulflingError`` for more than ``MOST_ADDRESSES``, for what is no address, and for
    addresses of others: those that are neither private nor in a network of this machine.
    """
    ours = tuple(own)
    networks = [_network(word) for word in where]
    if sum(network.num_addresses for network in networks) > MOST_ADDRESSES:
        raise WulflingError(
            f"{', '.join(map(str, networks))} has more than {MOST_ADDRESSES} addresses",
            hint="name the part that the boards are in, a /24 for example",
        )
    for network in networks:
        near = network.is_private or any(network.subnet_of(o.address.network) for o in ours)
        if not near or network.is_loopback or network.is_multicast:
            raise WulflingError(f"{network} is no network of boards", hint=_HERE)
    own_ones = {o.address.ip for o in ours}
    everything = dict.fromkeys(
        address
        for network in networks
        for address in ([network[0]] if network.prefixlen == 32 else network.hosts())
    )
    return tuple(address for address in everything if address not in own_ones)


def _network(word: str) -> IPv4Network:
    try:
        return IPv4Network(word, strict=False)
    except (AddressValueError, ValueError):
        raise WulflingError(f"{word!r} is neither an address nor a network", hint=_HERE) from None


def look(
    addresses: Sequence[IPv4Address], own: Sequence[Own], door: Sequence[str] = ()
) -> tuple[Machine, ...]:
    """Every machine that answered in any way, by address.

    ``door`` are words before a program that make it run in another network. Raises
    ``CommandFailed``.
    """
    if not addresses:
        return ()
    order = {
        "addresses": [str(address) for address in addresses],
        "source": _source(addresses, own),
        "query": mdns.query().hex(),
    }
    patience = _PATIENCE + len(addresses) / 50
    argv = (*door, *_PYTHON, str(_SWEEP))
    said = proc.run(argv, stdin=json.dumps(order), timeout=patience).stdout
    return machines(json.loads(said), _ip(door, "-4", "neigh", "show"))


def _ip(door: Sequence[str], *words: str) -> Any:
    """What ip(8) shows, as a list."""
    done = proc.run((*door, "ip", "-json", *words), hint="sudo apt-get install iproute2")
    return json.loads(done.stdout or "[]")


def _source(addresses: Sequence[IPv4Address], own: Iterable[Own]) -> str:
    """Our own address in their network; where we have none, multicast would not get there."""
    return next((str(o.address.ip) for o in own if addresses[0] in o.address.network), "")


def machines(
    answers: Mapping[str, Any], neighbours: Iterable[Mapping[str, Any]]
) -> tuple[Machine, ...]:
    """Those that answered, from what the sweep heard and what ``ip neigh`` shows."""
    cards = {
        row["dst"]: str(row["lladdr"]).lower()
        for row in neighbours
        if "lladdr" in row and "FAILED" not in row.get("state", ())
    }
    # A router may answer for machines behind it; such a card tells nothing.
    shared = {mac for mac, count in Counter(cards.values()).items() if count > 1}
    announced: dict[str, mdns.Announcement] = {}
    for source, packet in answers["heard"]:
        for said in mdns.announcements(source, bytes.fromhex(packet)):
            earlier = announced.get(said.address)
            if earlier is None or (said.mac and not earlier.mac):
                announced[said.address] = said
    found = []
    for address, (door, banner) in answers["doors"].items():
        told = announced.get(address, mdns.Announcement(address, ""))
        card = cards.get(address, "")
        mac = told.mac if card in shared else card or told.mac
        if card or door != "silent":
            found.append(Machine(IPv4Address(address), door, banner, mac, told.name))
    return tuple(sorted(found, key=lambda machine: machine.address))


def judged(
    found: Iterable[Machine], nodes: Iterable[Member] = (), network: IPv4Network | None = None
) -> tuple[Found, ...]:
    """What to make of each machine, beside the ``nodes`` and the ``network`` of the file.

    A board is new when its sshd tells a system that wulfling knows, and when neither its
    address nor its network card is in the file.
    """
    by_address = {node.address: node for node in nodes}
    by_mac = {node.mac: node for node in by_address.values() if node.mac}
    judged_ones = (_judged(machine, by_address, by_mac) for machine in found)
    return tuple(
        replace(one, new=False, remark=f"not in {network}, the file's network")
        if one.new and network and one.machine.address not in network
        else one
        for one in judged_ones
    )


def _judged(
    machine: Machine, by_address: Mapping[IPv4Address, Member], by_mac: Mapping[str, Member]
) -> Found:
    here, card = by_address.get(machine.address), by_mac.get(machine.mac)
    if card and card is not here:
        remark = f"the card of {card.name}, which the file has at {card.address}"
        return Found(machine, here.name if here else card.name, remark=remark)
    if here:
        other = here.mac and machine.mac and here.mac != machine.mac
        remark = f"the file has mac {here.mac} for {here.name}" if other else ""
        return Found(machine, here.name, remark=remark)
    new = recognise.runs_what_we_know(recognise.system(machine.banner))
    return Found(machine, new=new)


def named(
    found: Sequence[Found], names: Sequence[str], taken: Iterable[str] = ()
) -> tuple[Found, ...]:
    """The same with a name for every new board: the one it announces, if that is a name of its
    own, or the next of ``names`` that is free.

    Raises ``WulflingError`` when there are too few.
    """
    counts = Counter(f.machine.name.lower() for f in found)
    used = set(taken)
    own = {
        f.machine.address: f.machine.name.lower()
        for f in found
        if f.new and counts[f.machine.name.lower()] == 1 and _is_name(f.machine.name.lower(), used)
    }
    used |= set(own.values())
    free = [name for name in names if name not in used]
    result = []
    for one in found:
        if not one.new:
            result.append(one)
        elif one.machine.address in own:
            result.append(replace(one, name=own[one.machine.address]))
        elif free:
            result.append(replace(one, name=free.pop(0)))
        else:
            raise WulflingError(
                f"there are more new boards than the {len(names)} names",
                hint="give more: wulfling discover --names 'rpnode[01-20]'",
            )
    return tuple(result)


def _is_name(name: str, used: Iterable[str]) -> bool:
    if not name or name in used or _NO_NAMES.fullmatch(name):
        return False
    try:
        notation.node_name(name)
    except Refused:
        return False
    return True


def missing_macs(found: Iterable[Found], nodes: Iterable[Member]) -> Mapping[str, str]:
    """The network cards of nodes that are in the file without theirs, by node."""
    without = {node.name for node in nodes if not node.mac and node.name == node.key}
    return {
        one.node: one.machine.mac
        for one in found
        if one.node in without and one.machine.mac and not one.remark
    }
