"""The cluster file's format, version 1: every key with its type, default and help.

This table is the one source for validation, for editors (``json_schema``) and for the
reference page. What a single value may be is in ``values``; what several values have to do
with each other is in ``rules``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from wulfling.spec.part import Part
from wulfling.spec.schema_network import DeviceSpec, FirewallSpec, GatewaySpec, RemoteSpec
from wulfling.spec.values import (
    VERSION,
    AccountName,
    Address,
    BackupPlace,
    Block,
    Boards,
    ClusterName,
    Count,
    Country,
    DayTime,
    DeviceName,
    Domain,
    Flag,
    GpuDevices,
    GpuType,
    Json,
    KeyEntry,
    Limit,
    Locale,
    Mac,
    Minutes,
    Network,
    NodeName,
    NodeNames,
    NodeRole,
    NodeSet,
    PackageName,
    PartitionName,
    ProfileName,
    Release,
    SharePath,
    Size,
    SlurmKey,
    SlurmSource,
    SlurmValue,
    SlurmVersion,
    Time,
    Timezone,
    Uid,
    UserName,
    Version,
)


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
        description="Virtual boards: what a new board starts from, Debian bookworm (12) or trixie"
        " (13), or Ubuntu noble (24.04). Default: bookworm. A real board has what it has.",
        examples=["trixie"],
    )
    gpus: Annotated[Mapping[GpuType, GpuDevices], Block({})] = Field(
        {},
        description="GPUs that jobs may ask for (`--gres=gpu:a2000:1`): a name of your choice, and"
        " how many of NVIDIA's there are, which are /dev/nvidia0 and so on, or the device files"
        ' of others, folded: "/dev/dri/renderD[128-129]".',
        examples=[{"a2000": 2}],
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


class SlurmBuildSpec(Part):
    """One version of Slurm on all boards, built where their own release has another."""

    version: SlurmVersion = Field(
        description="The version, as Slurm counts them.", examples=["24.11.5"]
    )
    source: SlurmSource = Field(
        "trixie",
        description="The Debian release that has this version. The others get packages built of"
        " its source by `wulfling build`.",
    )


class SlurmSpec(Part):
    """The scheduler."""

    partitions: Annotated[Mapping[PartitionName, PartitionSpec], Block({})] = Field(
        {}, description="Partitions by name. Default: `batch` with all compute nodes."
    )
    build: SlurmBuildSpec | None = Field(
        None,
        description="Build one version for all boards. Default: every board has the Slurm of its"
        " own Debian or Ubuntu.",
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
        description="The most that the person's files may take on the disk that holds /home,"
        " which has to be ext4, or xfs that was mounted with `usrquota`. Default: no limit.",
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


class SoftwareSpec(Part):
    """Programs for whoever uses the cluster."""

    packages: tuple[PackageName, ...] = Field(
        (),
        description="Debian packages that wulfling installs where people log in and where jobs"
        " run, without what those only recommend. Taken out of the list they stay installed.",
        examples=[["openfoam", "octave"]],
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


class KeepSpec(Part):
    """How many backups are kept, of each hour, day, week and month that had one."""

    hourly: Limit = Field(24, description="Hours of which the last backup is kept.")
    daily: Limit = Field(7, description="Days of which the last backup is kept.")
    weekly: Limit = Field(5, description="Weeks of which the last backup is kept.")
    monthly: Limit = Field(12, description="Months of which the last backup is kept.")


class BackupSpec(Part):
    """What makes the loss of a disk bearable: copies on another board, encrypted (restic)."""

    to: BackupPlace = Field(
        description="The board and the folder there that the backup goes to. Another board than"
        " the head, and for homes another disk than theirs.",
        examples=["filenode01:/srv/backup"],
    )
    minutes: Minutes = Field(
        15,
        description="Minutes from one backup of Slurm's state, the accounts and the cluster's"
        " secrets to the next.",
    )
    homes: DayTime = Field("02:30", description="When homes are saved, each day.")
    drill: DayTime = Field(
        "04:30",
        description="When the newest backup is restored into an empty folder and compared, each"
        " day. Old backups are dropped after a drill that went well.",
    )
    keep: Annotated[KeepSpec, Block({})] = Field(
        {}, validate_default=True, description="How many backups are kept."
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
    profile: ProfileName = Field(
        "home",
        description="Who uses it. `home`: people, who may log in to every board. `shared`: people"
        " log in where the roles say login, or else on the head; to a compute board while a job of"
        " theirs runs there; to no other.",
    )
    people: Annotated[Mapping[UserName, PersonSpec], Block({})] = Field(
        {}, description="Who uses the cluster, by account name."
    )
    software: Annotated[SoftwareSpec, Block({})] = Field(
        {}, validate_default=True, description="Programs for whoever uses the cluster."
    )
    cards: Annotated[CardsSpec, Block({})] = Field(
        {}, validate_default=True, description="SD cards of real boards."
    )
    gateway: Annotated[GatewaySpec, Block({})] = Field(
        {},
        validate_default=True,
        description="What the head does for boards behind it: packages, router, addresses.",
    )
    backup: Annotated[BackupSpec | None, Block(None, True, None)] = Field(
        None,
        description="Where the queue, the accounts, the homes and the cluster's secrets are saved."
        " Default: nowhere.",
        examples=[{"to": "filenode01:/srv/backup"}],
    )
    firewall: Annotated[FirewallSpec | None, Block({}, True, None)] = Field(
        {},
        validate_default=True,
        description="Who may reach the boards' ports: by default ssh from anywhere, and what the"
        " roles need from the cluster's boards alone. `false`: no firewall.",
    )
    hardening: Flag = Field(
        True,
        description="Whether the boards' systems are hardened: kernel settings, modules that nobody"
        " needs, an audit log, a weekly check of all files.",
    )
    remote: Annotated[RemoteSpec, Block({})] = Field(
        {}, validate_default=True, description="The way in from outside."
    )
    devices: Annotated[Mapping[DeviceName, DeviceSpec], Block({})] = Field(
        {}, description="Which laptops and phones may come in from outside, by name."
    )
    desktop: Flag = Field(
        False,
        description="Whether the head has a desktop (Xfce) that devices see by RDP through the"
        " tunnel, and everybody who may log in by `ssh -L`. It answers at no other address.",
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
