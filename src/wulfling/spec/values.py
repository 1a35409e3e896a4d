"""What a single value of a cluster file may be: the types that ``schema``'s keys have.

Values arrive as text (see ``document``). Each type reads what was meant, or refuses it in
words, and knows its JSON Schema for editors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic_core import core_schema

from wulfling.model import releases
from wulfling.model.cluster import Role
from wulfling.model.slurm_keys import owned
from wulfling.spec import nodeset, notation, publickeys
from wulfling.spec.problem import Refused, WrongKind, did_you_mean, show

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

VERSION = 1
"""The format's version that this wulfling reads."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """Marks a type whose values ``read`` makes of text; ``json`` is what editors know of it."""

    read: Callable[[str], object]
    json: Json
    kind: str = "text"

    def __hash__(self) -> int:
        return id(self)

    def validate(self, value: object) -> object:
        """The value that was meant. Raises ``Refused``."""
        if not isinstance(value, str):
            raise WrongKind(self.kind, value)
        return self.read(value)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Json:
        return dict(self.json)


@dataclass(frozen=True)
class Block:
    """Marks a mapping whose key may stand there without a value, which says nothing, and with
    ``or_false`` may be ``false``, which says that there is to be none."""

    nothing: object
    or_false: bool = False
    false: object = None

    def __hash__(self) -> int:
        return id(self)

    def validate(self, value: object) -> object:
        """The mapping that was meant. Raises ``Refused``."""
        if value is None:
            return self.nothing
        if self.or_false and isinstance(value, str) and value.lower() == "false":
            return self.false
        if not isinstance(value, dict):
            raise WrongKind("a mapping or false" if self.or_false else "a mapping", value)
        return value

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.validate, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> Json:
        choices = [handler(schema), {"type": "null"}]
        inner = choices[0].get("anyOf", ())
        if {"type": "null"} in inner:
            choices = list(inner)
        return {"anyOf": [*choices, {"const": False}] if self.or_false else choices}


def _json(kind: str | list[str], **more: object) -> Json:
    return {"type": kind, **more}


def _number(least: int, most: int) -> Written:
    return Written(
        lambda text: notation.whole_number(text, least, most),
        _json("integer", minimum=least, maximum=most),
        "a number",
    )


def _one_of(noun: str, *words: str) -> Written:
    def read(text: str) -> str:
        if text not in words:
            raise Refused(f"{show(text)} is no {noun}", did_you_mean(text, words, "known"))
        return text

    return Written(read, _json("string", enum=list(words)))


def _role(text: str) -> Role:
    words = [role.value for role in Role]
    if text not in words:
        raise Refused(f"{show(text)} is no role", did_you_mean(text, words, "roles"))
    return Role(text)


def _node_names(text: str) -> str:
    for name in nodeset.expand(text):
        notation.node_name(name)
    return text


def _format_version(text: str) -> int:
    if text.isdecimal() and int(text[:9]) > VERSION:
        raise Refused(
            f"this file has format {show(text)}, and this wulfling reads format {VERSION}",
            "a newer wulfling reads it",
        )
    if text != str(VERSION):
        raise Refused(f"there is no format {show(text)}", f"write `wulfling: {VERSION}`")
    return VERSION


def _time(text: str) -> str:
    notation.duration(text)
    return text


def _own_slurm_key(text: str) -> str:
    notation.slurm_key(text)
    if owned(text):
        raise Refused(
            f"{text} is a key of slurm.conf that wulfling itself answers for",
            "delete it: the rest of this file decides it",
        )
    return text


def slurm_account(text: str) -> str:
    """The name of an account in Slurm's accounting. Raises ``Refused``."""
    if text == "root":
        raise Refused("the account root is Slurm's own", "choose another name")
    return notation.account_name(text)


def _path(text: str) -> str:
    if not text.strip():
        raise Refused("an empty text is no key and no path", "delete it")
    return text


_SIZE = _json("string", pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})? ?[KMGTPkmgtp](i?[Bb])?$")
_NAME = _json("string", pattern="^[a-z_][a-z0-9_-]{0,30}$")

Count = Annotated[int, _number(1, 4096)]
Limit = Annotated[int, _number(0, 999_999)]
Flag = Annotated[bool, Written(notation.flag, _json("boolean"), "true or false")]
Size = Annotated[int, Written(notation.size, _SIZE, "a size such as 512M")]
Time = Annotated[str, Written(_time, _json(["string", "integer"]), "a time such as 1-00:00:00")]
Version = Annotated[
    int, Written(_format_version, {"const": VERSION, "type": "integer"}, f"the number {VERSION}")
]
ClusterName = Annotated[
    str, Written(notation.cluster_name, _json("string", pattern="^[a-z][a-z0-9-]{0,31}$"))
]
Boards = Annotated[Literal["real", "virtual"], _one_of("kind of boards", "real", "virtual")]
ProfileName = Annotated[Literal["home", "shared"], _one_of("profile", "home", "shared")]
Release = Annotated[releases.Release, _one_of("release", *get_args(releases.Release))]
Address = Annotated[
    IPv4Address, Written(notation.address, _json("string", format="ipv4"), "an address")
]
Mac = Annotated[
    str,
    Written(
        notation.mac,
        _json("string", pattern="^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$"),
        "an Ethernet address",
    ),
]
Network = Annotated[
    IPv4Network, Written(notation.network, _json("string", pattern="^[0-9.]+/[0-9]+$"))
]
AnyNetwork = Annotated[
    IPv4Network, Written(notation.any_network, _json("string", pattern="^[0-9.]+(/[0-9]+)?$"))
]
OpenPort = Annotated[
    tuple[str, int],
    Written(notation.port, _json(["integer", "string"], pattern="^[0-9]+(/(tcp|udp))?$")),
]
Domain = Annotated[str, Written(notation.domain, _json("string", format="hostname"))]
UserName = Annotated[str, Written(notation.account_name, _NAME)]
AccountName = Annotated[str, Written(slurm_account, _NAME)]
NodeRole = Annotated[Role, Written(_role, _json("string", enum=[role.value for role in Role]))]
NodeNames = Annotated[
    str, Written(_node_names, _json("string", pattern=r"^[a-z0-9][a-z0-9.,/\[\]-]*$"))
]
NodeSet = Annotated[
    tuple[str, ...],
    Written(nodeset.expand, _json("string"), 'text such as "rpnode[01-02]"'),
]
NodeName = Annotated[str, Written(lambda text: text, _json("string"), "the name of a node")]
SharePath = Annotated[str, Written(notation.share_path, _json("string", pattern="^/."))]
PartitionName = Annotated[
    str, Written(notation.partition_name, _json("string", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$"))
]
SlurmKey = Annotated[
    str, Written(_own_slurm_key, _json("string", pattern="^[A-Za-z][A-Za-z0-9]*$"))
]
SlurmValue = Annotated[
    str, Written(notation.slurm_value, _json(["string", "integer", "number", "boolean"]))
]
SlurmVersion = Annotated[
    str, Written(notation.slurm_version, _json("string", pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$"))
]
SlurmSource = Annotated[Literal["trixie"], _one_of("release to build from", "trixie")]
PackageName = Annotated[
    str, Written(notation.package_name, _json("string", pattern="^[a-z0-9][a-z0-9+.-]+$"))
]
KeyEntry = Annotated[str, Written(_path, _json("string"), "a public key or the path of one")]
GpuType = Annotated[
    str, Written(notation.gpu_type, _json("string", pattern="^[a-z][a-z0-9_-]{0,31}$"))
]
GpuDevices = Annotated[
    int | tuple[str, ...],
    Written(notation.gpu_devices, _json(["integer", "string"]), "a number, or device files"),
]
Uid = Annotated[int, _number(1000, 59_999)]
Locale = Annotated[str, Written(notation.locale, _json("string", pattern="^[a-zA-Z_.@0-9-]+$"))]
Timezone = Annotated[str, Written(notation.timezone, _json("string", pattern="^[A-Za-z0-9/_+-]+$"))]
BackupPlace = Annotated[
    tuple[str, str],
    Written(
        notation.backup_place,
        _json("string", pattern="^[a-z0-9-]+:/."),
        "a board and a folder, filenode01:/srv/backup",
    ),
]
Minutes = Annotated[int, _number(1, 1440)]
DayTime = Annotated[
    str, Written(notation.day_time, _json("string", pattern="^[0-2][0-9]:[0-5][0-9]$"))
]
Interface = Annotated[
    str, Written(notation.interface, _json("string", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$"))
]
Port = Annotated[int, _number(1, 65_535)]
Endpoint = Annotated[str, Written(notation.endpoint, _json("string", pattern="^[A-Za-z0-9.-]+"))]
Reach = Annotated[Literal["head", "cluster"], _one_of("reach", "head", "cluster")]
DeviceName = Annotated[
    str, Written(notation.device_name, _json("string", pattern="^[a-z][a-z0-9-]{0,14}$"))
]
TailscaleTag = Annotated[
    str, Written(notation.tailscale_tag, _json("string", pattern="^tag:[A-Za-z][A-Za-z0-9-]*$"))
]
TailscaleVersion = Annotated[
    str, Written(notation.tailscale_version, _json("string", pattern=r"^[0-9]+\.[0-9.]+$"))
]
HostKey = Annotated[
    str,
    Written(publickeys.host_key, _json("string", pattern="^(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]")),
]
WireguardKey = Annotated[
    str, Written(notation.wireguard_key, _json("string", pattern="^[A-Za-z0-9+/]{43}=$"))
]
Country = Annotated[str, Written(notation.country, _json("string", pattern="^[A-Z]{2}$"))]
