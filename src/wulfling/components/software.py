"""One tree of programs for boards of several architectures, each of which sees its own part, and
`module load` for what is in it."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import SOFTWARE_SHARE, Cluster, Node, Role
from wulfling.model.resource import Resource
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages

TREE = f"{SOFTWARE_SHARE}/sw"
PROFILE_FILE = "/etc/profile.d/wulfling-software.sh"

# Not for root and the admin account: they have to get in while the file server is away, and
# what runs as root comes from the board's own disk. Debian's modules.sh, which defines `module`,
# comes before this file in the order of names.
PROFILE_TEXT = """if [ "$(id -u)" -ge 1000 ]; then
    case ":$PATH:" in
        *:{software}/bin:*) ;;
        *) PATH={software}/bin:$PATH ;;
    esac
    case ":${{MODULEPATH:-}}:" in
        *:{software}/modulefiles:*) ;;
        *) export MODULEPATH="{software}/modulefiles${{MODULEPATH:+:$MODULEPATH}}" ;;
    esac
fi
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Packages of the file; the tree on the file server, and on every board a link to the part
    for its architecture."""
    if node.hardware is None:
        return
    if cluster.programs and node.roles & {Role.HEAD, Role.COMPUTE, Role.LOGIN}:
        yield Packages(names=cluster.programs, why="`software:` of the cluster file (2-61)")
    if not cluster.software:
        return
    server = next(s.server for s in cluster.storage if s.path == SOFTWARE_SHARE)
    if node.name == server:
        yield from _tree(cluster)
    if node.roles & {Role.HEAD, Role.COMPUTE, Role.LOGIN}:
        yield Packages(names=("environment-modules",), why="`module load` (2-61)")
    if node.roles & {Role.HEAD, Role.LOGIN}:
        yield Packages(names=("python3-venv",), why="Python environments, on the tree and in homes")
    yield Link(
        path=cluster.software,
        target=f"{TREE}/{node.hardware.arch}",
        why="one path on all boards: srun looks a program up on the board where it is typed and"
        " starts that path everywhere",
    )
    yield File(
        path=PROFILE_FILE,
        content=PROFILE_TEXT.format(software=cluster.software),
        why="what is installed there comes before what Debian has, and `module` finds it",
    )


def _tree(cluster: Cluster) -> Iterator[Resource]:
    """Written to by the admin account, whose number is the same on all boards; the file server
    takes nobody's root for root."""
    architectures = sorted({n.hardware.arch for n in cluster.nodes if n.hardware is not None})
    paths = [TREE]
    for arch in architectures:
        paths += [f"{TREE}/{arch}", f"{TREE}/{arch}/bin", f"{TREE}/{arch}/modulefiles"]
    for path in paths:
        yield Directory(
            path=path,
            group=cluster.admin,
            mode=0o2775,
            why=f"programs for everybody, installed by {cluster.admin} (2-22)",
        )
