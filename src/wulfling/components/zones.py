"""A shared cluster's compute boards: people come in while a job of theirs runs there."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource
from wulfling.model.zones import Logins, administrators, logins
from wulfling.node.resources.file import File
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service
from wulfling.node.resources.sshd import LoginRules

PAM_FILE = "/etc/pam.d/sshd"
ACCESS_FILE = "/etc/security/wulfling-access.conf"
LOGIND = "systemd-logind.service"

# The last of its kind in that file. Who is let in by the first line never meets the second, so that
# a board whose Slurm is ill can be mended.
RULES = f"""\
account sufficient pam_access.so accessfile={ACCESS_FILE} nodefgroup
account required pam_slurm_adopt.so action_adopt_failure=deny action_generic_failure=deny
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """pam_slurm_adopt behind a door for the administrators (pam_slurm_adopt.html of Slurm)."""
    if cluster.slurm is None or cluster.secrets is None or logins(cluster, node) is not Logins.JOB:
        return
    yield Packages(
        names=cluster.slurm.packages(node, "libpam-slurm-adopt"),
        versions=cluster.slurm.versions(node, "libpam-slurm-adopt"),
        why="a person comes in while a job of theirs runs here, and becomes a part of it",
    )
    yield File(
        path=ACCESS_FILE,
        content=f"+:{' '.join(administrators(cluster, node))}:ALL\n-:ALL:ALL\n",
        why="access.conf(5): who comes in without a job",
    )
    why = "it would take who comes in out of the job again (pam_systemd)"
    yield Service(unit=LOGIND, enabled=False, running=False, why=why)
    yield Link(path=f"/etc/systemd/system/{LOGIND}", target="/dev/null", why=f"masked, or {why}")
    yield LoginRules(
        path=PAM_FILE,
        text=RULES,
        why="profile: shared. Written so that a mistake takes itself back",
    )
