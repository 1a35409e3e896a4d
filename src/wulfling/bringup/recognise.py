"""What a machine seems to be, from its network card's address and from what its sshd says."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The first bytes, as the registry of the IEEE has them. A table of the boards that people
# make clusters of is better kept than a database of all makers.
MAKERS = {
    "00:04:4b": "NVIDIA",
    "00:1e:06": "ODROID",
    "02:57:": "virtual board",  # and its address (lab/network.py)
    "1c:a4:10": "Amlogic (Khadas, for one)",
    "28:cd:c1": "Raspberry Pi",
    "2c:cf:67": "Raspberry Pi",
    "48:b0:2d": "NVIDIA",
    "52:54:00": "QEMU",
    "88:a2:9e": "Raspberry Pi",
    "b8:27:eb": "Raspberry Pi",
    "c0:74:2b": "Orange Pi",
    "d8:3a:dd": "Raspberry Pi",
    "dc:a6:32": "Raspberry Pi",
    "e4:5f:01": "Raspberry Pi",
}
_LOCALLY = 2  # the bit of the first byte: somebody made this address up (IEEE 802)

# OpenSSH of each release, as sshd_config(5)'s VersionAddendum shows it.
RELEASES = {
    ("Debian", "7.9"): "10",
    ("Debian", "8.4"): "11",
    ("Debian", "9.2"): "12",
    ("Debian", "10.0"): "13",
    ("Ubuntu", "7.6"): "18.04",
    ("Ubuntu", "8.2"): "20.04",
    ("Ubuntu", "8.9"): "22.04",
    ("Ubuntu", "9.6"): "24.04",
}
_OPENSSH = re.compile(
    r"SSH-2\.0-OpenSSH_(?P<openssh>[0-9]+\.[0-9]+)\S*"
    r" (?P<system>Debian|Raspbian|Ubuntu)-(?P<rest>\S*)"
)
_UPDATE = re.compile(r"\+deb([0-9]+)u")
_ANY = re.compile(r"SSH-[0-9.]+-(?P<program>\S+)")


@dataclass(frozen=True)
class System:
    """An operating system as its sshd tells: ``id`` as in /etc/os-release, "" when unknown."""

    id: str = ""
    version: str = ""
    program: str = ""  # of the sshd, where it does not tell the system

    def __str__(self) -> str:
        if self.id:
            return f"{self.id.capitalize()} {self.version}".strip()
        return self.program


def maker(mac: str) -> str:
    """Who makes network cards with this address, as far as boards go; "" for all others."""
    return next((name for start, name in MAKERS.items() if mac.lower().startswith(start)), "")


def made_up(mac: str) -> bool:
    """Whether the address was made up by a program: phones do that, and virtual machines."""
    return bool(mac) and bool(int(mac[:2], 16) & _LOCALLY)


def system(banner: str) -> System:
    """What the first line of an sshd tells.

    Raspberry Pi OS of 64 bits takes its sshd from Debian and says Debian; that of 32 bits says
    Raspbian. Where the package was updated it names the release itself (``+deb12u3``).
    """
    if match := _OPENSSH.match(banner):
        name = match["system"]
        update = _UPDATE.search(match["rest"])
        like = "Ubuntu" if name == "Ubuntu" else "Debian"
        version = update[1] if update else RELEASES.get((like, match["openssh"]), "")
        return System(name.lower(), version)
    if match := _ANY.match(banner):
        return System(program=match["program"][:40])
    return System()


def runs_what_we_know(found: System) -> bool:
    """Whether wulfling could make a node of such a machine."""
    return found.id in ("debian", "raspbian", "ubuntu")


def words(mac: str, banner: str, door: str) -> str:
    """For a table: maker and system, or why there is no more to say."""
    told = [maker(mac), str(system(banner))]
    if door == "shut":
        told.append("no SSH")
    elif door == "silent":
        told.append("does not answer on port 22")
    elif not banner:
        told.append("says nothing on port 22")
    return ", ".join(word for word in told if word)
