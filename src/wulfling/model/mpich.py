"""Which MPICH a board has, its distribution's or one for all, and so whose ranks it can talk to."""

from __future__ import annotations

from dataclasses import dataclass

from wulfling.model.cluster import Hardware
from wulfling.model.wheels import WheelPin, pinned

PACKAGED = {
    ("debian", "12"): "4.0",
    ("debian", "13"): "4.2",
    ("raspbian", "12"): "4.0",
    ("raspbian", "13"): "4.2",
    ("ubuntu", "22.04"): "4.0",
    ("ubuntu", "24.04"): "4.2",
}

ON_UCX = frozenset({"amd64", "arm64", "ppc64el"})
"""Where debian/rules of MPICH says `--with-device=ch4:ucx`; 32-bit systems have the device ch3."""


@dataclass(frozen=True)
class Mpich:
    """What two ranks must have in common.

    Devices differ in their addresses. Releases differ in MPI_Init: since 4.2 all ranks gather a
    number there (MPIDI_world_post_init of ch4), and those before do not take part, so that the
    newer ones wait for ever.
    """

    release: str  # "4.2"
    device: str  # "UCX" or "ch3"

    def __str__(self) -> str:
        return f"MPICH {self.release} on {self.device}"


def packaged(hardware: Hardware) -> Mpich | None:
    """What a board's distribution has; ``None`` when that is not known here."""
    release = PACKAGED.get((hardware.os_id, hardware.os_version))
    if release is None:
        return None
    return Mpich(release, "UCX" if hardware.arch in ON_UCX else "ch3")


def for_all(hardware: Hardware) -> WheelPin | None:
    """PyPI's MPICH, the same for boards of any release; ``None`` where it has none (32 bits)."""
    return pinned("mpich", hardware.python, hardware.arch)


def on_board(hardware: Hardware, one: str) -> Mpich | None:
    """What a board has where all get ``one`` release ("5.0.2"), or with "" each its own."""
    if one and for_all(hardware) is not None:
        return Mpich(".".join(one.split(".")[:2]), "UCX")
    return packaged(hardware)
