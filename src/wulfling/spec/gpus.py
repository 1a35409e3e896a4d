"""The GPUs of nodes: their device files, and what they have to do with the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wulfling.model.cluster import Gpu, Role

if TYPE_CHECKING:
    from wulfling.spec.draft import Draft
    from wulfling.spec.problem import Problem


def gpus_of(declared: Mapping[str, int | tuple[str, ...]]) -> tuple[Gpu, ...]:
    """Every GPU of a board. Those that were only counted are NVIDIA's, whose driver counts them
    through, whatever their kind."""
    found: list[Gpu] = []
    number = 0
    for kind, devices in declared.items():
        if isinstance(devices, tuple):
            found += (Gpu(kind, device) for device in devices)
        else:
            first, number = number, number + devices
            found += (Gpu(kind, f"/dev/nvidia{n}") for n in range(first, number))
    return tuple(found)


def gpus(draft: Draft) -> Iterator[Problem]:
    """GPUs belong to compute nodes of a cluster with Slurm, and each is there once."""
    for key, node in draft.spec.nodes.items():
        loc = ("nodes", key, "gpus")
        if not node.gpus or not draft.sound(*loc):
            continue
        devices = [gpu.device for gpu in gpus_of(node.gpus)]
        for device in sorted({each for each in devices if devices.count(each) > 1}):
            yield draft.problem(
                loc, f"{device} is two GPUs of {key}", "each has a device file of its own", key=True
            )
        known = draft.sound("nodes", key, "roles") and node.roles is not None
        if known and Role.COMPUTE not in (node.roles or ()):
            yield draft.problem(
                loc,
                f"{key} has GPUs and does not have the role compute: no job could use them",
                f"add compute to the roles of {key}, or delete `gpus:`",
                key=True,
            )
        elif draft.spec.slurm is None and draft.sound("slurm"):
            yield draft.problem(
                loc,
                "without Slurm nobody hands out GPUs: every program may open them",
                "delete `gpus:`, or `slurm: false`",
                key=True,
                warning=True,
            )
