"""The cluster file's format, version 1: every key with its type, default and help.

This table is the one source for validation, for editors (``json_schema``) and for the
reference page. What a single value may be is in ``values``; what several values have to do
with each other is in ``rules``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from wulfling.spec.values import (
    VERSION,
    AccountName,
    Address,
    AnyNetwork,
    BackupPlace,
    Block,
    Boards,
    ClusterName,
    Count,
    Country,
    DayTime,
    DeviceName,
    Domain,
    Endpoint,
    Flag,
    GpuDevices,
    GpuType,
    Interface,
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
    OpenPort,
    PackageName,
    PartitionName,
    Port,
    Reach,
    Release,
    SharePath,
    Size,
    SlurmKey,
    SlurmSource,
    SlurmValue,
    SlurmVersion,
    TailscaleTag,
    TailscaleVersion,
    Time,
    Timezone,
    Uid,
    UserName,
    Version,
    WireguardKey,
)


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


class GatewaySpec(Part):
    """What the head does for boards behind it. Nothing, unless the file says so."""

    packages: Flag = Field(
        False,
        description="Whether the head keeps Debian packages (apt-cacher-ng), so that each is"
        " fetched from the internet once. While the head is away, boards fetch them as before.",
    )
    nat: Flag = Field(
        False,
        description="Whether the head is the boards' router to the internet: it forwards and"
        " masquerades what they send, and they get a default route to it. Needs `uplink`.",
    )
    uplink: Interface = Field(
        "",
        description="The head's interface that leads to the internet, not to the boards.",
        examples=["wlan0"],
    )
    dhcp: Flag = Field(
        False,
        description="Whether the head gives the boards their addresses of this file by DHCP, and"
        " answers for their names by DNS (dnsmasq). Needs the `mac` of every other node.",
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


class FirewallSpec(Part):
    """Who may reach the boards' ports. Without it: ssh from anywhere, all else from the boards."""

    ssh: tuple[AnyNetwork, ...] = Field(
        (),
        description="Networks that may log in by ssh, besides the cluster's boards. They have to"
        " hold the machine you type on. Default: anybody may try.",
        examples=[["192.168.1.0/24"]],
    )
    open: tuple[OpenPort, ...] = Field(
        (),
        description="Ports of your own programs that anybody may reach on every board, `80` or"
        " `53/udp`.",
        examples=[["80", "443", "53/udp"]],
    )


class WireguardSpec(Part):
    """WireGuard on the head: who is in `devices` reaches it from anywhere, and nobody else does."""

    endpoint: Endpoint = Field(
        description="Name or IPv4 address where devices find the head from outside: the home's own,"
        " or that of a router which passes the port on. With a port, if it is another than `port`.",
        examples=["home.example.org", "203.0.113.7:40000"],
    )
    port: Port = Field(51820, description="UDP port that the head listens on.")
    network: Network = Field(
        "10.88.0.0/24",
        validate_default=True,
        description="Network of the tunnel, for the head and the devices; the head has its first"
        " address. No other network of the head or the devices can be the same.",
    )
    reach: Reach = Field(
        "head",
        description="`head`: devices reach SSH on the head. `cluster`: and on the other boards, to"
        " which the head passes them on under its own address.",
    )


class TailscaleSpec(Part):
    """Tailscale on the head: a tunnel by a vendor's servers, where no port can be opened."""

    tag: TailscaleTag = Field(
        "tag:wulfling",
        description="What the head is in the tailnet. A tag has an owner in the tailnet's policy,"
        " and no person's login; rules there name it.",
    )
    version: TailscaleVersion = Field(
        "",
        description="How the version of the package has to begin. Default: the newest when it is"
        " installed.",
        examples=["1.90.8"],
    )


class RemoteSpec(Part):
    """The way in from outside. None, unless the file says so."""

    wireguard: WireguardSpec | None = Field(
        None, description="A tunnel of your own, without anybody's servers. Default: none."
    )
    tailscale: Annotated[TailscaleSpec | None, Block({})] = Field(
        None,
        description="A tunnel by Tailscale's servers, which needs no open port. Default: none.",
    )


class DeviceSpec(Part):
    """A laptop or a phone. `wulfling remote add-device` writes this, and makes the key."""

    address: Address = Field(
        description="Its address in the tunnel, in `network` of `wireguard`.",
        examples=["10.88.0.2"],
    )
    key: WireguardKey = Field(
        description="Its public key. The private one is on the device alone.",
        examples=["hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="],
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
    remote: Annotated[RemoteSpec, Block({})] = Field(
        {}, validate_default=True, description="The way in from outside."
    )
    devices: Annotated[Mapping[DeviceName, DeviceSpec], Block({})] = Field(
        {}, description="Which laptops and phones may come in from outside, by name."
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
