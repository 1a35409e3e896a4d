"""Where a backup may go: to a board of this cluster, and off the disk that it is to outlive."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Role
from wulfling.spec.draft import Draft
from wulfling.spec.problem import Problem, did_you_mean
from wulfling.spec.resolution import shares

LOC = ("backup", "to")
OTHER_DISKS = ("/mnt/", "/media/")  # where other disks are mounted (FHS 3.0, 3.11 and 3.12)


def place(draft: Draft) -> Iterator[Problem]:
    """The board is there, and the folder is none that people see or that is saved itself."""
    backup = draft.spec.backup
    if backup is None or not draft.sound(*LOC):
        return
    node, path = backup.to
    if node not in draft.names:
        if draft.names_known:
            hint = did_you_mean(node, tuple(draft.names), "the nodes are")
            yield draft.problem(LOC, f"there is no node {node}", hint)
        return
    served = [share for share, server in shares(draft.spec, draft.nodes).items() if server == node]
    for share in dict.fromkeys((*served, "/home")):
        if f"{path}/".startswith(f"{share}/") and draft.sound("storage"):
            yield draft.problem(
                LOC,
                f"{path} is in {share}, where people have their files",
                f"write a folder of its own: {node}:/srv/backup",
            )
            return
    yield from _same_disk(draft, node, served)


def _same_disk(draft: Draft, node: str, served: list[str]) -> Iterator[Problem]:
    """What a board loses with its disk is not to be restored from that disk."""
    if draft.spec.backup and draft.spec.backup.to[1].startswith(OTHER_DISKS):
        return
    lost = []
    if any(head.name == node for head in draft.having(Role.HEAD)):
        lost.append("the queue and the accounts")
    if any(f"{share}/".startswith("/home/") for share in served):
        lost.append("the homes")
    if lost:
        yield draft.problem(
            LOC,
            f"{' and '.join(lost)} are on {node} themselves: this backup is of use when its folder"
            " is on another disk",
            "a disk on USB, mounted below /mnt, or another board",
            warning=True,
        )


RULES = (place,)
