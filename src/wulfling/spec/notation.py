"""How single values are written: numbers, sizes, times, names, addresses, paths.

Every function takes the text that stands in the file and returns the value, or raises
``Refused`` with the fact and the remedy. None knows where in the file the text stood.
"""

from __future__ import annotations

import base64
import re
from ipaddress import IPv4Address, IPv4Network

from wulfling.model.slurm_releases import SLURM
from wulfling.spec import nodeset
from wulfling.spec.problem import Refused, did_you_mean, show

UNLIMITED = -1
MOST_GPUS = 64

_RENAME = "choose another name"
_A_NETWORK = "write one such as 10.0.0.0/24"

_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}")
_SIZE = re.compile(r"(\d{1,9})(\.\d{1,3})?\s*([KMGTP]?)(i?B)?", re.IGNORECASE | re.ASCII)
_UNITS = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30, "P": 1 << 40}  # in KiB
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_ACCOUNT_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_CLUSTER = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PARTITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_SHARE = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_GPU = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_DEVICE = re.compile(r"/dev(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
_LOCALE = re.compile(r"C\.UTF-8|[a-z]{2,3}_[A-Z]{2}\.UTF-8(@[a-z]+)?")
_DAY_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")

# Times as slurm.conf(5) lists them; the names are the fields of the match.
_TIMES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"(?P<minutes>\d{1,8})",
        r"(?P<minutes>\d{1,8}):(?P<seconds>[0-5]?\d)",
        r"(?P<hours>\d{1,6}):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d)",
        r"(?P<days>\d{1,5})-(?P<hours>[01]?\d|2[0-3])",
        r"(?P<days>\d{1,5})-(?P<hours>[01]?\d|2[0-3]):(?P<minutes>[0-5]?\d)",
        r"(?P<days>\d{1,5})-(?P<hours>[01]?\d|2[0-3]):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d)",
    )
)
_SECONDS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}

# Directories that belong to each board's own system: a mount over one of them, or an
# export of it, breaks the board or gives away its secrets.
_SYSTEM = frozenset(
    """
    bin boot dev etc lib lib32 lib64 libx32 lost+found proc root run sbin sys tmp usr var
    """.split()
)


def whole_number(text: str, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``."""
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", text):
        raise Refused(f"{show(text)} is not a whole number", f"write one from {least} to {most}")
    number = int(text)
    if not least <= number <= most:
        raise Refused(f"{number} is not between {least} and {most}", "write a number in between")
    return number


def flag(text: str) -> bool:
    """``true`` or ``false``, the two words that YAML 1.2 has for it."""
    word = text.lower()
    if word in ("true", "false"):
        return word == "true"
    meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
    raise Refused(f"{show(text)} is neither true nor false", f"write {meant.get(word, 'true')}")


def size(text: str) -> int:
    """A size such as ``512M`` or ``1.5G`` in MiB: powers of 1024, as in Slurm."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Refused(
            f"{show(text)} is not a size", "write a number and a unit, such as 512M or 2G"
        )
    whole, fraction, unit, _ = match.groups()
    if not unit:
        raise Refused(f"the size {show(text)} has no unit", f"write {whole}M for MiB")
    factor = _UNITS[unit.upper()]
    # The fraction in thousandths, because a float would make 0.1G a size of its own.
    thousandths = int(whole) * 1000 + int((fraction or ".0")[1:].ljust(3, "0"))
    mebibytes = thousandths * factor // 1000 >> 10
    if not 1 <= mebibytes <= 1 << 30:
        raise Refused(f"the size {show(text)} is not between 1M and 1024T", "write such as 512M")
    return mebibytes


def duration(text: str) -> int:
    """A time in Slurm's notation (slurm.conf(5), MaxTime) in seconds, or ``UNLIMITED``."""
    if text.upper() in ("UNLIMITED", "INFINITE"):
        return UNLIMITED
    for pattern in _TIMES:
        if match := pattern.fullmatch(text):
            seconds = sum(int(n) * _SECONDS[unit] for unit, n in match.groupdict().items())
            if seconds == 0:
                raise Refused(f"the time {show(text)} is no time at all", "write a minute or more")
            return seconds
    raise Refused(
        f"{show(text)} is not a time",
        "write minutes, MM:SS, HH:MM:SS, D-HH:MM:SS (1-12:00:00 is a day and a half) or UNLIMITED",
    )


def node_name(text: str) -> str:
    """A host name of one label (RFC 1123, 2.1) in lower case, at most 63 characters."""
    if text == "localhost":
        raise Refused("no node can be called localhost: every board means itself by it", _RENAME)
    return _label(text, "node name")


def domain(text: str) -> str:
    """A domain name in lower case."""
    for label in text.split("."):
        _label(label, "domain")
    if len(text) > 180:
        raise Refused("the domain is longer than 180 characters", "full names end at 253")
    return text


def _label(text: str, noun: str) -> str:
    if len(text) > 63:
        raise Refused(f"{show(text)} has {len(text)} characters, and 63 are the most", _RENAME)
    if text != text.lower():
        raise Refused(f"{show(text)} has capital letters in it", f"write {text.lower()}")
    if not _LABEL.fullmatch(text):
        raise Refused(
            f"{show(text)} cannot be a {noun}",
            "use a-z, 0-9 and '-', with a letter or digit at both ends",
        )
    if text.isdigit():
        raise Refused(f"{show(text)} is a number: programs take it for an address", _RENAME)
    return text


def cluster_name(text: str) -> str:
    """The name of the cluster, which Slurm's database, folders and labs carry."""
    if not _CLUSTER.fullmatch(text):
        raise Refused(
            f"{show(text)} cannot be a cluster's name",
            "use a-z, 0-9 and '-', a letter first, at most 32 characters",
        )
    return text


def account_name(text: str) -> str:
    """The name of an account on Debian (useradd(8)), and of one in Slurm."""
    if not _ACCOUNT_NAME.fullmatch(text):
        raise Refused(
            f"{show(text)} cannot be an account's name",
            "use a-z, 0-9, '_' and '-', a letter first, at most 31 characters",
        )
    return text


def partition_name(text: str) -> str:
    """The name of a partition. DEFAULT has a meaning of its own in slurm.conf(5)."""
    if text.upper() == "DEFAULT":
        raise Refused(f"{show(text)} is Slurm's word for all partitions", _RENAME)
    if not _PARTITION.fullmatch(text):
        raise Refused(
            f"{show(text)} cannot be a partition's name", "use letters, digits, '_', '-' and '.'"
        )
    return text


def slurm_key(text: str) -> str:
    """A key of slurm.conf."""
    if not _KEY.fullmatch(text):
        raise Refused(f"{show(text)} is not a key of slurm.conf", "keys are letters and digits")
    return text


def slurm_version(text: str) -> str:
    """A version of Slurm, "24.11.5"."""
    if not re.fullmatch(r"[0-9]{2}\.[0-9]{2}\.[0-9]{1,3}", text):
        raise Refused(f"{show(text)} is no version of Slurm", "write it in full: 24.11.5")
    if ".".join(text.split(".")[:2]) not in SLURM:
        message = f"this wulfling knows no Slurm {show(text)}"
        raise Refused(message, f"it knows {SLURM[0]} to {SLURM[-1]}")
    return text


def slurm_value(text: str) -> str:
    """What may stand after ``Key=`` in one line of slurm.conf."""
    if "\n" in text or "#" in text:
        message = f"{show(text)} cannot stand in a line of slurm.conf"
        raise Refused(message, "leave out # and new lines")
    if not text.strip():
        raise Refused("there is no value", "give it one, or delete the key")
    return text.strip()


def share_path(text: str) -> str:
    """The path of a shared directory (2-16)."""
    if not text.startswith("/"):
        raise Refused(f"{show(text)} is not an absolute path", f"write /{text.lstrip('./')}")
    if not _SHARE.fullmatch(text):
        clean = "/" + "/".join(part for part in text.split("/") if part)
        if clean != text and _SHARE.fullmatch(clean):
            raise Refused(f"{show(text)} has a '/' too many", f"write {clean}")
        raise Refused(
            f"{show(text)} cannot be shared: fstab and exports take no such path",
            "use letters, digits, '_', '-', '.' and '/', and name a directory below /",
        )
    parts = text.split("/")[1:]
    if "." in parts or ".." in parts:
        raise Refused(f"{show(text)} has '.' or '..' in it", "write the path itself")
    if parts[0] in _SYSTEM:
        raise Refused(
            f"{show(text)} is no place to share: /{parts[0]} belongs to each board's own system",
            "share another path, such as /home, /nfs or /srv/data",
        )
    return text


def backup_place(text: str) -> tuple[str, str]:
    """A board and a folder there: ``filenode01:/srv/backup``."""
    node, colon, path = text.partition(":")
    if not colon or not path.startswith("/"):
        raise Refused(
            f"{show(text)} does not say a board and a folder", "write filenode01:/srv/backup"
        )
    return node_name(node), share_path(path)


def day_time(text: str) -> str:
    """A time of day: ``02:30``."""
    if not _DAY_TIME.fullmatch(text):
        raise Refused(f"{show(text)} is no time of day", "write one from 00:00 to 23:59")
    return text


def locale(text: str) -> str:
    """A locale of glibc in UTF-8, as /usr/share/i18n/SUPPORTED lists them."""
    if not _LOCALE.fullmatch(text):
        better = f"{text.partition('.')[0]}.UTF-8"
        example = better if _LOCALE.fullmatch(better) else "one such as ko_KR.UTF-8"
        raise Refused(f"{show(text)} is no locale", f"write {example}")
    return text


def timezone(text: str) -> str:
    """A time zone of the tz database; on a machine without one, what looks like a zone."""
    import zoneinfo  # only files that name a zone pay for it

    known = zoneinfo.available_timezones()
    if not (text in known if known else _ZONE.fullmatch(text)):
        hint = did_you_mean(text, sorted(known), "zones") or "write one such as Asia/Seoul"
        raise Refused(f"{show(text)} is no time zone", hint)
    return text


def country(text: str) -> str:
    """A country by its two letters of ISO 3166."""
    if not re.fullmatch("[A-Z]{2}", text):
        raise Refused(f"{show(text)} is no country code", "write two capital letters, such as KR")
    return text


def interface(text: str) -> str:
    """The name of a network interface of Linux, at most 15 characters (IFNAMSIZ)."""
    if text == "lo":
        raise Refused("lo leads nowhere but to the board itself", "write one such as wlan0 or eth1")
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", text):
        raise Refused(f"{show(text)} is no network interface", "write one such as wlan0 or eth1")
    return text


def package_name(text: str) -> str:
    """The name of a Debian package (Debian Policy, 5.6.1)."""
    if not _PACKAGE.fullmatch(text):
        hint = "write its name alone, such as openfoam; `apt-cache search WORD` finds it"
        raise Refused(f"{show(text)} is no name of a Debian package", hint)
    return text


def gpu_type(text: str) -> str:
    """What jobs call a kind of GPU (gres.conf(5), Type)."""
    if not _GPU.fullmatch(text):
        hint = "write a name such as a2000: small letters, digits, - and _, a letter first"
        raise Refused(f"{show(text)} is no name for a kind of GPU", hint)
    return text


def gpu_devices(text: str) -> int | tuple[str, ...]:
    """How many GPUs there are, or their device files, each once."""
    if not text.startswith("/"):
        return whole_number(text, 1, MOST_GPUS)
    devices = nodeset.expand(text)
    for device in devices:
        if not _DEVICE.fullmatch(device):
            raise Refused(f"{show(device)} is no device file", "write one such as /dev/nvidia0")
    if len(devices) > MOST_GPUS:
        raise Refused(f"{len(devices)} GPUs in one board", f"{MOST_GPUS} are the most")
    return devices


def endpoint(text: str) -> str:
    """Where a device finds the head from outside: a host's name or IPv4 address, with a port if
    it is not the one that the head listens on."""
    host, colon, port = text.partition(":")
    if colon:
        whole_number(port, 1, 65_535)
    if re.fullmatch(r"[0-9.]+", host):
        address(host)
    elif not all(_LABEL.fullmatch(label) for label in host.lower().split(".")):
        raise Refused(f"{show(text)} is no host", "write one such as home.example.org")
    return text


def device_name(text: str) -> str:
    """The name of a laptop or a phone, short enough for a network interface of that name."""
    if not re.fullmatch("[a-z][a-z0-9-]{0,14}", text):
        raise Refused(
            f"{show(text)} cannot be a device's name",
            "use a-z, 0-9 and '-', a letter first, at most 15 characters",
        )
    return text


def wireguard_key(text: str) -> str:
    """A public key as `wg pubkey` prints it: 32 bytes in base64. It is never quoted, because a
    private one looks the same."""
    whole = re.fullmatch("[A-Za-z0-9+/]{43}=", text)
    if whole is None or base64.b64encode(base64.b64decode(text)).decode() != text:
        raise Refused("this is no key of WireGuard", "it has 44 characters, and '=' is the last")
    return text


def tailscale_tag(text: str) -> str:
    """A tag of Tailscale's policy file."""
    if not re.fullmatch("tag:[A-Za-z][A-Za-z0-9-]{0,49}", text):
        raise Refused(f"{show(text)} is no tag", "write one such as tag:wulfling")
    return text


def tailscale_version(text: str) -> str:
    """How a version of Tailscale begins, at least two numbers of it."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4}){1,2}", text):
        raise Refused(f"{show(text)} is no version", "write one such as 1.90.8")
    return text


def address(text: str) -> IPv4Address:
    """An IPv4 address that one machine can have."""
    try:
        found = IPv4Address(text)
    except ValueError:
        hint = "write one such as 10.0.0.1"
        if ":" in text:
            hint = f"IPv6 is not supported yet; {hint}"
        elif "/" in text:
            hint = f"the prefix belongs to `network:`; {hint}"
        raise Refused(f"{show(text)} is not an IPv4 address", hint) from None
    if found.is_loopback or found.is_multicast or found.is_reserved or found.is_unspecified:
        raise Refused(f"no board can have the address {found}", "write one such as 10.0.0.1")
    return found


def mac(text: str) -> str:
    """An Ethernet address that one network card can have, in small letters with colons."""
    digits = re.sub("[:-]", "", text.lower())
    if not _MAC.fullmatch(text):
        raise Refused(f"{show(text)} is no Ethernet address", "write one such as dc:a6:32:01:02:03")
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        # IEEE 802: the lowest bit of the first byte says that it is of a group.
        raise Refused(f"no network card has the address {text}", "`ip link` on the board shows it")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def network(text: str) -> IPv4Network:
    """An IPv4 network with room for a board."""
    try:
        found = IPv4Network(text, strict=False)
    except ValueError:
        raise Refused(f"{show(text)} is not an IPv4 network", _A_NETWORK) from None
    if "/" not in text:
        raise Refused(f"the network {show(text)} has no prefix", f"write {text}/24")
    if not 8 <= found.prefixlen <= 30:
        raise Refused(f"the prefix of {show(text)} is not from /8 to /30", "a home has a /24")
    if text.split("/", maxsplit=1)[0] != str(found.network_address):
        raise Refused(f"{show(text)} is an address in the network {found}", f"write {found}")
    if found.is_loopback or found.is_multicast or found.is_reserved or found.is_unspecified:
        raise Refused(f"no board can be in the network {found}", _A_NETWORK)
    return found


def any_network(text: str) -> IPv4Network:
    """An IPv4 network of any size, or one address."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        hint = "write one such as 192.168.1.0/24, or one address"
        raise Refused(f"{show(text)} is not an IPv4 network: {error}", hint) from None


def port(text: str) -> tuple[str, int]:
    """A port and its protocol, tcp when nothing is said."""
    number, _, protocol = text.partition("/")
    known = protocol in ("", "tcp", "udp")
    if not known or not re.fullmatch("[0-9]{1,5}", number) or not 0 < int(number) < 1 << 16:
        raise Refused(f"{show(text)} is no port", "write one such as 443 or 53/udp")
    return protocol or "tcp", int(number)
