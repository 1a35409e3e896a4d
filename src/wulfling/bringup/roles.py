"""Which board should be what, from what was measured, and why in words.

A suggestion and no more: the file decides. The rules are those of guide 002, where the board
with the most memory leads and computes (2-01), and the smallest serves files (2-05, 0-06).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wulfling.model.cluster import Hardware, Role
from wulfling.model.devices import Devices, Disk, Kind
from wulfling.spec.releases import FIRST_WITH_CGROUP_V2, PACKAGED, SLURM, understands

SMALLEST_HEAD = 900  # MiB: Slurm's daemons, MariaDB and NFS use 384 to 512 of them
BOARDS_WITH_AN_IDLE_HEAD = 5  # from so many on the head has enough to do
FAST_DISKS = (Kind.NVME, Kind.SSD, Kind.HDD)


@dataclass(frozen=True)
class Measured:
    """One board with what it told of itself."""

    name: str
    hardware: Hardware
    devices: Devices

    @property
    def slurm(self) -> str:
        """The release in its own packages, "" when that is not known."""
        return PACKAGED.get((self.hardware.os_id, self.hardware.os_version), "")

    @property
    def best_disk(self) -> Disk | None:
        """The disk that files are best kept on."""
        order = {kind: number for number, kind in enumerate(Kind)}
        disks = sorted(self.devices.disks, key=lambda disk: (order[disk.kind], -disk.gb))
        return disks[0] if disks else None

    @property
    def mbit(self) -> int:
        """The speed of the fastest cable; Wi-Fi counts as none."""
        return max((link.mbit for link in self.devices.links if not link.wireless), default=0)

    @property
    def on_wifi_only(self) -> bool:
        """Whether no cable is in."""
        links = self.devices.links
        return bool(links) and all(link.wireless for link in links)

    @property
    def computes(self) -> bool:
        """Whether its Slurm, as far as known, can hold jobs to their limits."""
        return not self.slurm or SLURM.index(self.slurm) >= SLURM.index(FIRST_WITH_CGROUP_V2)


@dataclass(frozen=True)
class Suggestion:
    """The roles of one board and the reason in words. Without any it had better stay out."""

    name: str
    roles: tuple[Role, ...]
    why: str


def suggest(boards: Sequence[Measured]) -> tuple[Suggestion, ...]:
    """A role for every board, in their order; exactly one is head."""
    if not boards:
        return ()
    head = _head(boards)
    storage = _storage(boards, head)
    return tuple(_suggestion(board, boards, head, storage) for board in boards)


def _head(boards: Sequence[Measured]) -> Measured:
    """Slurm first, because it refuses; then memory, then cores, and a cable."""

    def worth(board: Measured) -> tuple[int, bool, bool, int, int, int]:
        hardware = board.hardware
        return (
            _understood(board, boards),
            hardware.memory_mb >= SMALLEST_HEAD,
            not board.on_wifi_only,
            # Two boards of one kind differ by a few MiB, which is no reason.
            round(hardware.memory_mb / 256),
            hardware.cpus,
            board.mbit,
        )

    return max(boards, key=worth)


def _understood(board: Measured, boards: Sequence[Measured]) -> int:
    """How many boards could be computed on if this one led."""
    if not board.slurm:
        return 0
    return sum(
        other.computes and (not other.slurm or understands(board.slurm, other.slurm))
        for other in boards
    )


def _storage(boards: Sequence[Measured], head: Measured) -> Measured | None:
    """A board for files alone: of three or more the one with the best disk; where all have
    cards, the one that computes least. None: the head serves files too."""
    if len(boards) < 3:
        return None
    others = [board for board in boards if board is not head]
    able = [board for board in others if not board.on_wifi_only] or others
    fast = [board for board in able if board.best_disk and board.best_disk.kind in FAST_DISKS]
    if fast:
        order = {kind: -number for number, kind in enumerate(Kind)}
        return max(
            fast,
            key=lambda board: (
                board.best_disk is not None and order[board.best_disk.kind],
                board.mbit,
                board.best_disk.gb if board.best_disk else 0,
            ),
        )
    return min(
        able,
        key=lambda board: (_understood_by(head, board), board.hardware.memory_mb, board.mbit),
    )


def _suggestion(
    board: Measured, boards: Sequence[Measured], head: Measured, storage: Measured | None
) -> Suggestion:
    if board is storage:
        return Suggestion(board.name, (Role.STORAGE,), _why_storage(board, boards, head))
    if board is head:
        # With few boards none can be spared, and a head whose Slurm has no limits only leads.
        also = len(boards) < BOARDS_WITH_AN_IDLE_HEAD and board.computes
        roles = (Role.HEAD, Role.COMPUTE) if also else (Role.HEAD,)
        return Suggestion(board.name, roles, _why_head(board, boards, storage))
    if not _understood_by(head, board):
        reason = _why_no_jobs(board, head)
        return Suggestion(board.name, (), f"{_size(board)}, {reason}: install another release")
    return Suggestion(board.name, (Role.COMPUTE,), _size(board))


def _understood_by(head: Measured, board: Measured) -> bool:
    if not board.computes:
        return False
    return not (head.slurm and board.slurm) or understands(head.slurm, board.slurm)


def _why_head(board: Measured, boards: Sequence[Measured], storage: Measured | None) -> str:
    others = [other for other in boards if other is not board]
    reasons = [_size(board)]
    if others and all(board.hardware.memory_mb > o.hardware.memory_mb + 128 for o in others):
        reasons.append("the most memory")
    if board.slurm:
        reach = _understood(board, boards)
        reasons.append(f"its Slurm {board.slurm} understands {reach} of {len(boards)}")
    else:
        reasons.append(f"no release of Slurm is known for {_system(board)}")
    if board.hardware.memory_mb < SMALLEST_HEAD:
        reasons.append(f"less than the {SMALLEST_HEAD} MiB that a head should have")
    if board.on_wifi_only:
        reasons.append("on Wi-Fi, and a cable is better")
    if storage is None:
        disk = board.best_disk
        reasons.append(f"files lie here as well, on its {disk}" if disk else "files lie here, too")
    return ", ".join(reasons)


def _why_no_jobs(board: Measured, head: Measured) -> str:
    limits = "cannot hold jobs to their limits"
    other = f"does not go with the head's {head.slurm}"
    return f"its Slurm {board.slurm} {other if board.computes else limits}"


def _why_storage(board: Measured, boards: Sequence[Measured], head: Measured) -> str:
    disk = board.best_disk
    reasons = [_size(board)]
    if disk and disk.kind in FAST_DISKS:
        alone = sum(b.best_disk is not None and b.best_disk.kind in FAST_DISKS for b in boards) == 1
        reasons.append(f"{'the only' if alone else 'the best'} disk that is no card: {disk}")
    elif not _understood_by(head, board):
        reasons.append(_why_no_jobs(board, head))
    else:
        reasons.append("it has the least to compute with, and serving files needs little")
        reasons.append(f"its {disk} is slow for many writers" if disk else "no disk was seen")
    return ", ".join(reasons)


def _size(board: Measured) -> str:
    hardware = board.hardware
    cores = f"{hardware.cpus} core{'s' * (hardware.cpus != 1)}"
    links = " and ".join(dict.fromkeys(str(link) for link in board.devices.links))
    return f"{cores}, {hardware.memory_mb} MiB{', ' + links if links else ''}, {_system(board)}"


def _system(board: Measured) -> str:
    return f"{board.hardware.os_id.capitalize()} {board.hardware.os_version}".strip()
