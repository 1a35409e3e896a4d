"""A new munge key: on the head first, then everywhere at once, while no controller listens.

A message that a board signs with one key and the controller checks with the other is refused for
good, and the end of a job is such a message: Slurm would take the job for lost. While slurmctld is
stopped, slurmstepd keeps what it has to say and tries again, so jobs that end just then are
counted as ended.
"""

from __future__ import annotations

from wulfling.day2.rack import Rack
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster
from wulfling.node.board import STATE
from wulfling.node.program import SECRETS

KEY = f"{SECRETS}/munge_key"
KEYS = (f"file:{KEY}", "file:/etc/munge/", "service:munge.service")
"""The scope of the apply that brings the key to all boards and restarts munge."""

CONTROLLER = ("service:slurmctld.service",)

FOLDER = f"{STATE}/rotate"
STAGED = f"{FOLDER}/munge_key"
BACK = "wulfling-controller-back"  # a timer, for when nobody comes back to end what was begun
PATIENCE = 600  # seconds until it starts the controller

# Made on the head, so that it passes through nobody's hands but those of the boards.
_STAGE = f"""set -eu
umask 077
mkdir -p {FOLDER}
if [ ! -s {STAGED} ]; then
    od -An -v -tx1 -N64 /dev/urandom | tr -d ' \\n' >{STAGED}.part
    sync {STAGED}.part
    mv {STAGED}.part {STAGED}
    sync {FOLDER}
    echo new
elif cmp -s {STAGED} {KEY}; then
    echo in use
else
    echo laid out
fi
"""
_DISCARD = f"rm -f {STAGED}; rmdir {FOLDER} 2>/dev/null || :\n"
_INSTALL = f"""set -eu
umask 077
cp {STAGED} {SECRETS}/.munge_key.new
sync {SECRETS}/.munge_key.new
mv {SECRETS}/.munge_key.new {KEY}
sync {SECRETS}
"""
_REST = f"""set -eu
systemctl stop {BACK}.timer 2>/dev/null || :
systemd-run --quiet --collect --unit={BACK} --on-active={PATIENCE} \
    systemctl start slurmctld.service
systemctl stop slurmctld.service
"""
_END = f"systemctl stop {BACK}.timer 2>/dev/null || :\n{_DISCARD}"


def check_has_munge(cluster: Cluster) -> None:
    """Raises ``WulflingError`` for a cluster without Slurm, which has no munge either."""
    if cluster.slurm is None:
        raise WulflingError(f"{cluster.name} has no Slurm, and so no munge key")


async def begin(rack: Rack, *, all_alike: bool) -> bool:
    """Lay out a new key on the head; whether it is that of a run that was cut off. ``all_alike``
    says that every board has the head's key: then a run that has come so far has ended."""
    head = rack.cluster.head
    found = (await rack.said(head, "sh", "-s", stdin=_STAGE)).strip()
    if found == "in use" and all_alike:
        await rack.said(head, "sh", "-s", stdin=_DISCARD)
        found = (await rack.said(head, "sh", "-s", stdin=_STAGE)).strip()
    return found != "new"


async def switch(rack: Rack) -> None:
    """Stop the controller, and make the new key the head's. From here on any apply ends it."""
    head = rack.cluster.head
    rack.tell(head, "the controller rests; jobs run on")
    await rack.said(head, "sh", "-s", stdin=_REST, timeout=180)
    await rack.said(head, "sh", "-s", stdin=_INSTALL)


async def end(rack: Rack) -> None:
    """Take away what a run leaves for the next one."""
    await rack.said(rack.cluster.head, "sh", "-s", stdin=_END)
