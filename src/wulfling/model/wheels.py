"""The Python wheels that boards get from PyPI, each pinned by the hash of its content.

Debian's python3-mpi4py is built on Open MPI: with MPICH and srun it starts as many worlds as
ranks. The wheel from PyPI finds whatever implements the MPI ABI under the name libmpi.so.12.
PyPI's mpich is MPICH itself, the same for boards of any release (manylinux_2_28).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WheelPin:
    """One file: ``python`` as "3.11", or "3" for any; ``arch`` as dpkg names it; ``sha256`` in
    hexadecimal."""

    distribution: str
    version: str
    python: str
    arch: str
    sha256: str


MPI4PY = tuple(
    WheelPin("mpi4py", "4.1.2", python, arch, sha256)
    for python, arch, sha256 in (
        ("3.10", "amd64", "1b3fc4f09e9be07a8ab9970a1f426e31b3dadb93f0bebb0559581b601aec9f7a"),
        ("3.10", "arm64", "bd98d3322c1c3d21b00ed27567a9e4cdcb0d5daf277dc2160fb864721f72e71d"),
        ("3.11", "amd64", "de484475b80f9e1ffe98cb85e1b776eb9f42bb73ae4d79449d42953f80025bf4"),
        ("3.11", "arm64", "a05ce06c564044d6a605f197ad81335af760f4294963263d953e46c38819f554"),
        ("3.12", "amd64", "00f4cce8999d19f35243c3442ea22debbe3336f69c309cd5d3176df4e51c717a"),
        ("3.12", "arm64", "0a58e164776acb7b52414548b1bf0e5caafce0ee90345deff147873a64b6b2cc"),
        ("3.13", "amd64", "085e0cb05427398fe2281856f27a87984b9f234cd6d98a2a384a6fbfe679a56f"),
        ("3.13", "arm64", "429437883b4511583d56a57bc58ad0d02965fb6c19f84f39e30c0646e6c0cab9"),
    )
)

# Not 5.0, which can hang under Slurm's PMI: docs/explanation/mpi.md.
MPICH = tuple(
    WheelPin("mpich", "4.2.3", "3", arch, sha256)
    for arch, sha256 in (
        ("amd64", "a0344298f6905db17d25a0687f08489bbaccd80b21c3d1317b0b30f0172ce3bf"),
        ("arm64", "2738625a123dedfbc86fa62c2dc426efcae64c5f914427090cae64db9d7b4f07"),
    )
)

WHEELS = (*MPI4PY, *MPICH)


def pinned(distribution: str, python: str, arch: str) -> WheelPin | None:
    """The pin for a board's Python ("3.11.2" or "3.11") and architecture, if there is one."""
    major, minor = python.split(".", 1)[0], ".".join(python.split(".")[:2])
    for pin in WHEELS:
        if (pin.distribution, pin.arch) == (distribution, arch) and pin.python in (minor, major):
            return pin
    return None
