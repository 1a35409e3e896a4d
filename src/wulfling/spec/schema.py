"""The cluster file's format, version 1: every key with its type, default and help.

This table is the one source for validation, for editors (``json_schema``) and for the
reference page. It says what a single value may be; what several values have to do with each
other is in ``rules``. Values arrive as text (see ``document``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import core_schema

from wulfling.model.cluster import Role
from wulfling.model.slurm_keys import owned
from wulfling.spec import nodeset, notation
from wulfling.spec.problem import Refused, WrongKind, did_you_mean, show

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

VERSION = 1

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


def _account(text: str) -> str:
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
Release = Annotated[Literal["bookworm", "trixie"], _one_of("release", "bookworm", "trixie")]
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
Domain = Annotated[str, Written(notation.domain, _json("string", format="hostname"))]
UserName = Annotated[str, Written(notation.account_name, _NAME)]
AccountName = Annotated[str, Written(_account, _NAME)]
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
KeyEntry = Annotated[str, Written(_path, _json("string"), "a public key or the path of one")]
Uid = Annotated[int, _number(1000, 59_999)]
Locale = Annotated[str, Written(notation.locale, _json("string", pattern="^[a-zA-Z_.@0-9-]+$"))]
Timezone = Annotated[str, Written(notation.timezone, _json("string", pattern="^[A-Za-z0-9/_+-]+$"))]
Country = Annotated[str, Written(notation.country, _json("string", pattern="^[A-Z]{2}$"))]


class Part(BaseModel):
    """A block of the file: unknown keys are refused, and nobody changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class AdminSpec(Part):
    """The account that wulfling logs in with, on every board's own disk."""

    name: UserName = Field(
        "wulfling",
        description="Name of the rescue and tool account. Its home is local, outside /home.",
    )
    keys: tuple[KeyEntry, ...] = Field(
        (),
        description="Public keys that may log in to it, as lines or as paths of .pub files."
        " Default: ~/.ssh/id_*.pub of whoever runs wulfling; on virtual boards a key of its own.",
        examples=[["~/.ssh/id_ed25519.pub"]],
    )


class NodeSpec(Part):
    """One board, or several that are alike."""

    address: Address = Field(
        description="IPv4 address. For folded names the address of the first; the others count up.",
        examples=["10.0.0.1"],
    )
    mac: Mac | None = Field(
        None,
        description="Ethernet address of the board's network card, which `wulfling discover`"
        " finds. Only for a node that is not folded. Default: not known.",
        examples=["dc:a6:32:01:02:03"],
    )
    roles: tuple[NodeRole, ...] | None = Field(
        None,
        description="What the node is for. Default: compute, and for the first node of a file"
        " in which nobody says head: head and compute.",
        examples=[["head", "compute"]],
    )
    cpus: Count | None = Field(
        None,
        description="CPUs for jobs. Default: as measured, and on real boards nothing else is"
        " taken; a virtual board has one CPU and may stand for more.",
        examples=[4],
    )
    memory: Size | None = Field(
        None,
        description="Virtual boards: the board's RAM (default: head 512M, compute 256M,"
        " login 256M, storage 192M). Real boards: memory for jobs (default: as measured, less"
        " what the board itself needs).",
        examples=["512M"],
    )
    release: Release | None = Field(
        None,
        description="Virtual boards: the Debian release of a new board, bookworm (12) or trixie"
        " (13). Default: bookworm. A real board has what it has.",
        examples=["trixie"],
    )


class PartitionSpec(Part):
    """A Slurm partition."""

    nodes: NodeSet | None = Field(
        None,
        description="Its nodes, folded or with commas. Default: all compute nodes.",
        examples=["rpnode[01-02]"],
    )
    default: Flag | None = Field(
        None,
        description="Whether jobs that name no partition come here. Default: true for the first"
        " partition when no other says true.",
    )
    default_time: Time | None = Field(
        None,
        description="Time limit of jobs that ask for none, in Slurm's notation. Default:"
        " 1-00:00:00, or max_time if that is shorter.",
        examples=["1-00:00:00"],
    )
    max_time: Time = Field(
        "30-00:00:00",
        description="Longest time limit that a job may ask for, in Slurm's notation.",
        examples=["30-00:00:00", "UNLIMITED"],
    )
    shared: Flag = Field(
        False, description="Whether its nodes may be in another partition as well."
    )


class SlurmSpec(Part):
    """The scheduler."""

    partitions: Annotated[Mapping[PartitionName, PartitionSpec], Block({})] = Field(
        {}, description="Partitions by name. Default: `batch` with all compute nodes."
    )
    extra: Annotated[Mapping[SlurmKey, SlurmValue], Block({})] = Field(
        {},
        description="Further keys of slurm.conf. Keys that wulfling writes itself are refused.",
        examples=[{"SchedulerParameters": "bf_interval=10"}],
    )


class LimitSpec(Part):
    """What all running jobs of a person may use together (GrpTRES of sacctmgr)."""

    cpu: Limit | None = Field(None, description="CPUs.", examples=[4])
    mem: Size | None = Field(None, description="Memory.", examples=["1G"])
    node: Limit | None = Field(None, description="Nodes.")
    billing: Limit | None = Field(None, description="Billing units.")


class PersonSpec(Part):
    """Somebody who uses the cluster. The key is the name of the account."""

    account: AccountName = Field(
        "compute", description="The account in Slurm that the person's jobs are charged to."
    )
    limits: Annotated[LimitSpec, Block({})] = Field(
        {}, validate_default=True, description="Limits of all the person's running jobs together."
    )
    quota: Size | None = Field(
        None,
        description="Space in /home. Accepted, with a warning: not enforced in this release.",
        examples=["10G"],
    )
    keys: tuple[KeyEntry, ...] = Field(
        (),
        description="Public keys that may log in, as lines or as paths of .pub files (from the"
        " folder of this file, or with ~).",
        examples=[["~/.ssh/id_ed25519.pub"]],
    )
    uid: Uid | None = Field(
        None,
        description="Number of the account and of its group, the same on every board. Default:"
        " made from the name, so that it does not depend on who else is in the file.",
        examples=[2001],
    )


class CardsSpec(Part):
    """What `wulfling card write` puts on an SD card besides name, address and keys."""

    gateway: Address | None = Field(
        None,
        description="Address of the router. With it boards get their addresses from the card."
        " Default: none; then the router has to give each board the address of this file (DHCP).",
        examples=["192.168.1.1"],
    )
    dns: tuple[Address, ...] = Field(
        (),
        description="Name servers of boards with a gateway. Default: the gateway.",
        examples=[["192.168.1.1", "9.9.9.9"]],
    )
    locale: Locale = Field(
        "", description="Language and region. Default: as in the image.", examples=["ko_KR.UTF-8"]
    )
    timezone: Timezone = Field(
        "", description="Time zone. Default: as in the image.", examples=["Asia/Seoul"]
    )
    country: Country = Field(
        "",
        description="Country whose radio rules Wi-Fi obeys, two letters of ISO 3166. Default: as"
        " in the image, which often keeps Wi-Fi off.",
        examples=["KR"],
    )


class Spec(Part):
    """A cluster file."""

    wulfling: Version = Field(description="Version of this format.")
    cluster: ClusterName = Field(
        description="Name of the cluster, also in Slurm's accounting.", examples=["raspi-hpc"]
    )
    boards: Boards = Field(
        "real", description="`virtual`: boards that `wulfling lab up` makes on this machine."
    )
    network: Network | None = Field(
        None,
        description="The network that all addresses are in. Default: the /24 of the first one.",
        examples=["10.0.0.0/24"],
    )
    domain: Domain = Field("home.local", description="Domain of the nodes' full names.")
    login: UserName = Field(
        "pi",
        description="Account that answers on a real board wulfling has never touched. Virtual"
        " boards come with the admin account.",
    )
    admin: Annotated[AdminSpec, Block({})] = Field(
        {}, validate_default=True, description="The account that wulfling itself uses."
    )
    nodes: Annotated[Mapping[NodeNames, NodeSpec], Block({})] = Field(
        description="The boards by name. A folded name, rpnode[01-04], stands for several."
    )
    storage: Annotated[Mapping[SharePath, NodeName] | None, Block(None, True, {})] = Field(
        None,
        description="Shared directories: path and the node that exports it. Default: /home and"
        " /nfs on the node with the role storage, or else on the head. `false`: none.",
        examples=[{"/home": "filenode01", "/nfs": "filenode01"}],
    )
    slurm: Annotated[SlurmSpec | None, Block({}, True, None)] = Field(
        {},
        validate_default=True,
        description="The scheduler. `false`: none, MPI with a machinefile.",
    )
    people: Annotated[Mapping[UserName, PersonSpec], Block({})] = Field(
        {}, description="Who uses the cluster, by account name."
    )
    cards: Annotated[CardsSpec, Block({})] = Field(
        {}, validate_default=True, description="SD cards of real boards."
    )


def json_schema() -> Json:
    """JSON Schema (2020-12) of the cluster file, with the help of every key, for editors."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Spec.model_json_schema(mode="validation"),
    }
    _tidy(schema)
    return {**schema, "title": f"wulfling cluster file, format {VERSION}"}


def _tidy(schema: Json) -> None:
    """Drop what pydantic adds for programs and an editor would show to people: titles made of
    the key's own name, and defaults that the help says in words."""
    schema.pop("title", None)
    if schema.get("default", 0) in (None, {}, []) or isinstance(schema.get("default"), dict):
        del schema["default"]
    for group in ("properties", "$defs"):
        for part in schema.get(group, {}).values():
            _tidy(part)
