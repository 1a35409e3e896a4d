"""How a board is at one moment, as it told itself: the facts that checks judge, and no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Mount:
    """A share as a client sees it. ``state`` is ``ok``, ``hangs``, or the name of an error
    (errno(3)), ``ESTALE`` for one; ``kind`` is the file system that is there, ``nfs4``."""

    path: str
    state: str
    kind: str = ""

    @property
    def well(self) -> bool:
        """Whether it is the file server's folder, and answers."""
        return self.state == "ok" and self.kind.startswith("nfs")


@dataclass(frozen=True)
class Space:
    """One local file system. ``state`` is ``ok`` when a file could be begun there, else the name
    of the error: a kernel that has given up a disk goes on showing it as writable."""

    path: str
    state: str
    mb: int
    free_mb: int
    inodes: int
    free_inodes: int
    largest: tuple[str, ...] = ()  # what takes the most, looked for only when it is full


# sinfo(1), NODE STATE CODES, as %T writes them.
WELL = ("idle", "mixed", "allocated", "completing", "planned", "reserved")
# Flags of scontrol(1) that say more than the state before them.
TELLING = ("fail", "maint", "reboot_issued", "reboot_requested", "invalid_reg", "powering_up")


def takes_jobs(state: str) -> bool:
    """Whether Slurm sends jobs to a node of this state.

    A ``-`` at the end says that the node is planned for a job; the other signs that sinfo(1)
    may add, ``*`` for one, say that it takes none.
    """
    return state.removesuffix("-") in WELL


@dataclass(frozen=True)
class SlurmNode:
    """A node as its controller sees it (scontrol(1), show node). Memory is in MiB."""

    name: str
    state: str  # what it does, and flags behind plus signs: IDLE+DRAIN
    reason: str = ""
    by: str = ""  # who gave the reason
    version: str = ""
    memory_mb: int = 0

    @property
    def brief(self) -> str:
        """The state in one word, as sinfo(1) has it: ``drained``, ``draining``, ``down*``."""
        does, *flags = self.state.lower().split("+")
        silent = "*" if "not_responding" in flags and not does.endswith("*") else ""
        if "drain" in flags and not does.startswith("down"):
            return ("drained" if does.rstrip("*") == "idle" else "draining") + silent
        for flag in flags:
            if flag in TELLING:
                return flag + silent
        return ("completing" if "completing" in flags else does) + silent


@dataclass(frozen=True)
class Health:
    """One board now.

    ``now`` is its clock, in seconds since 1970. ``clock`` is chrony's offset in seconds, and
    None while it follows nobody; it has looked for somebody for ``asking_seconds``. ``ctld`` says
    what came of a TCP connection to the controller: ``open`` or the name of an error. ``munge``
    is ``ok`` or why no credential could be made; ``decoded`` what each other board's credential
    came to. The last three are the head's.
    """

    now: float = 0.0
    load: float = 0.0
    up_seconds: int = 0
    memory_mb: int = 0
    free_mb: int = 0
    temperature: float | None = None  # degrees Celsius
    throttled: int | None = None  # bits of vcgencmd's get_throttled; None: the board has none
    disk_errors: tuple[tuple[str, int], ...] = ()  # ext4 devices with errors, and how many
    spaces: tuple[Space, ...] = ()
    written: tuple[tuple[str, int], ...] = ()  # ext4 devices, and GiB written to them ever
    worn: tuple[tuple[str, int], ...] = ()  # disks that tell it, and percent of their life gone
    unread: tuple[str, ...] = ()  # what could not be read, and why
    links: tuple[tuple[str, int], ...] = ()  # wired interfaces that are up, and Mbit/s
    half_duplex: tuple[str, ...] = ()  # those of them that send or receive, never both
    stuck: int = 0  # processes in an uninterruptible wait
    job_cgroups: int = 0  # cgroups of jobs, of those that are over as well
    names: tuple[tuple[str, str], ...] = ()  # of the cluster, and what they resolve to here
    dns: tuple[tuple[str, bool], ...] = ()  # name servers, and whether they answer
    clock: float | None = None
    asking_seconds: int = 0
    half_done: tuple[str, ...] = ()  # packages that dpkg has not finished
    versions: tuple[tuple[str, str], ...] = ()  # "slurmd" and what it says it is, "22.05.8"
    munge: str = "ok"
    exposed: str = ""  # the version of munge that could have given the key away, and is gone
    decoded: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    exports: tuple[tuple[str, str], ...] = ()  # path and client, as the kernel's server has them
    ctld: str = ""
    ended: tuple[tuple[str, str], ...] = ()  # declared daemons that do not run, and last words
    reached: tuple[tuple[str, bool], ...] = ()  # other boards, and whether port 22 answers
    # What this board saves or drills, when that last went well, and why not since ("": it did).
    backups: tuple[tuple[str, float, str], ...] = ()
    slurm_nodes: tuple[SlurmNode, ...] = ()
    partitions: tuple[tuple[str, str], ...] = ()  # and their states
    queue: tuple[tuple[str, str, int], ...] = ()  # states and reasons of jobs, and how many
    updates: tuple[int, int] | None = None  # newer packages, and those of them for security

    def version(self, program: str) -> str:
        """What version a program says it is, "" when it is not there."""
        return dict(self.versions).get(program, "")


_NESTED: Mapping[str, type] = MappingProxyType(
    {"mounts": Mount, "spaces": Space, "slurm_nodes": SlurmNode}
)


def from_json(values: Any) -> Health | None:
    """A board's health as it was told; None when it was told by another version of us."""
    try:
        told = {name: _read(name, value) for name, value in values.items()}
        known = {item.name for item in fields(Health)}
        return Health(**told) if told.keys() <= known else None
    except (AttributeError, TypeError):
        return None


def _read(name: str, value: Any) -> Any:
    if name in _NESTED:
        return tuple(_NESTED[name](**_frozen_values(part)) for part in value)
    return _frozen(value)


def _frozen_values(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _frozen(value) for name, value in part.items()}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
