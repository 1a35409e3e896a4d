"""One version of Slurm on all boards: the cluster's own apt repository, and what makes apt obey it.

Only where the file has `slurm: {build: ...}`. The repository lies on the head, and a Python that
every board has anyway serves it to the others; docs/explanation/slurm-from-source.md says why.
"""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node, Repository, Role, SlurmBuild
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.blob import Blob
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.service import Service
from wulfling.node.resources.slurm_upgrade import SlurmUpgrade

FOLDER = "/var/lib/wulfling/apt"
KEYRING = "/etc/apt/keyrings/wulfling.asc"
UNIT = "wulfling-apt.service"
PORT = 8100
SLURM_ID = 64030  # what Debian's packages give to slurm: the number is the same on every board

UNIT_TEXT = """[Unit]
Description=Packages that were built for this cluster
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 -I -m http.server --bind {address} --directory {folder} {port}
DynamicUser=yes
CapabilityBoundingSet=
IPAddressDeny=any
IPAddressAllow={network}
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET
RestrictNamespaces=yes
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
"""


def before(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """All of it comes before the packages, and first of all the question whether Slurm can go
    from what is installed to what is asked for."""
    build = cluster.slurm.build if cluster.slurm else None
    if build is None or cluster.secrets is None:
        return
    if node.name == cluster.head:
        yield SlurmUpgrade(
            version=build.version,
            database="slurm_acct_db",
            why="upgrades.html of Slurm: how far an upgrade may go, and a dump before it",
        )
        yield from _repositories(cluster, build)
    elif node.roles & {Role.COMPUTE, Role.LOGIN}:
        yield SlurmUpgrade(version=build.version, why="upgrades.html of Slurm")
    else:
        return
    repository = build.repository(node.hardware)
    if repository is None:
        yield _debians_own(build)
    else:
        yield from _built(cluster, node, build, repository)


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Nothing more."""
    yield from ()


def _repositories(cluster: Cluster, build: SlurmBuild) -> Iterator[Resource]:
    """The files on the head, and who serves them."""
    if not build.repositories:
        return
    yield Directory(path=FOLDER)
    for repository in build.repositories:
        folder = f"{FOLDER}/{repository.name}"
        yield Directory(path=folder)
        for name, sha256 in repository.packages:
            yield Blob(path=f"{folder}/{name}", sha256=sha256, why="built by `wulfling build`")
        yield File(path=f"{folder}/Packages", content=repository.index, why="what there is")
        yield File(
            path=f"{folder}/InRelease",
            content=repository.release,
            why="the hash of that list, signed by the operator's key (apt-secure(8))",
        )
    unit = File(
        path=f"/etc/systemd/system/{UNIT}",
        content=UNIT_TEXT.format(
            address=cluster.address(cluster.head),
            folder=FOLDER,
            port=PORT,
            network=cluster.network,
        ),
        why="to the cluster's network alone, by a user that exists while it runs",
    )
    yield unit
    yield Service(
        unit=UNIT,
        configured=digest(unit.content),
        watches=(unit.key,),
        ready=("bash", "-c", f"exec 3<>/dev/tcp/{cluster.address(cluster.head)}/{PORT}"),
        why="the other boards fetch their packages here",
    )


def _built(
    cluster: Cluster, node: Node, build: SlurmBuild, repository: Repository
) -> Iterator[Resource]:
    """What makes apt take our packages, and the account that Debian's would have made."""
    head = cluster.address(cluster.head)
    place = f"file:{FOLDER}" if node.name == cluster.head else f"http://{head}:{PORT}"
    yield Directory(path="/etc/apt/keyrings")
    yield File(path=KEYRING, content=build.key, why="the only key that this repository may use")
    yield File(
        path="/etc/apt/sources.list.d/wulfling.sources",
        content=f"Types: deb\nURIs: {place}/{repository.name}\nSuites: ./\nSigned-By: {KEYRING}\n",
        why="sources.list(5): the cluster's own repository",
    )
    yield File(
        path="/etc/apt/apt.conf.d/90wulfling",
        content=f'Acquire::http::Proxy::{head} "DIRECT";\n',
        why="apt.conf(5): no proxy knows the head",
    )
    yield File(
        path="/etc/apt/preferences.d/wulfling",
        content="Package: slurm-smd*\nPin: release o=wulfling\nPin-Priority: 1001\n\n"
        "Package: slurm-client slurm-wlm* slurmctld slurmd slurmdbd\n"
        "Pin: release *\nPin-Priority: -1\n",
        why="apt_preferences(5): what was built, and never what the distribution has",
    )
    yield Group(group="slurm", gid=SLURM_ID)
    yield User(
        user="slurm",
        uid=SLURM_ID,
        gid=SLURM_ID,
        home="/nonexistent",
        shell="/usr/sbin/nologin",
        system=True,
        why="Slurm's own packaging makes no account; Debian's gives it this number",
    )
    for path in ("/var/log/slurm", "/var/lib/slurm"):
        yield Directory(path=path, owner="slurm", group="slurm", why="its daemons are no root")


def _debians_own(build: SlurmBuild) -> File:
    return File(
        path="/etc/apt/preferences.d/wulfling",
        content=f"Package: src:slurm-wlm\nPin: version {build.version}-*\nPin-Priority: 1001\n",
        why="apt_preferences(5): this board's own release has the version that was asked for",
    )
