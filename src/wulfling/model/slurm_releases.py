"""Slurm's releases in their order, and how far back each of them understands others."""

from __future__ import annotations

SLURM = ("20.11", "21.08", "22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11")
"""In the order of their appearance; a controller counts back in this row."""

FIRST_THAT_REACHES_THREE_BACK = "24.11"


def understands(newer: str, older: str) -> bool:
    """Whether daemons of one release ("24.11") talk to those of another, and can take over what
    those have saved: their own release and the two before, from 24.11 on the three before, and
    never a newer one (upgrades.html of Slurm)."""
    reach = 3 if SLURM.index(newer) >= SLURM.index(FIRST_THAT_REACHES_THREE_BACK) else 2
    return 0 <= SLURM.index(newer) - SLURM.index(older) <= reach


def release_of(version: str) -> str:
    """ "24.11" of "24.11.5"."""
    return ".".join(version.split(".")[:2])


def step_on_the_way(newer: str, older: str) -> str:
    """The newest release that can follow on ``older`` and comes before ``newer``."""
    between = SLURM[SLURM.index(older) + 1 : SLURM.index(newer)]
    return next(release for release in reversed(between) if understands(release, older))
