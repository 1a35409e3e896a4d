"""MPICH, compilers, and an mpi4py that talks to that MPICH and to Slurm."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Hardware, Node, Role
from wulfling.model.resource import Resource
from wulfling.model.wheels import pinned
from wulfling.node.resources.block import Block
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.wheel import Wheel

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """MPI on every board, so that a machinefile may name any of them (1-25); compilers where
    people log in, because a compute board's card has better uses for 200 MB (0-16, 0-24)."""
    hardware = node.hardware
    if hardware is None:
        return
    yield Packages(names=("mpich", "python3-numpy"), why="MPI, and arrays for Python")
    if node.roles & {Role.HEAD, Role.LOGIN}:
        yield Packages(
            names=("g++", "gcc", "gfortran", "libmpich-dev", "make"),
            why="mpicc, mpicxx and mpifort",
        )
    yield from _mpi4py(hardware)
    yield Block(
        path="/etc/environment",
        text="".join(f'{name}="{value}"\n' for name, value in _environment(cluster).items()),
        why="what MPI has to know of these boards (docs/explanation/mpi.md)",
    )


def _environment(cluster: Cluster) -> dict[str, str]:
    """Ranks that share a CPU starve each other when they poll shared memory; over TCP they
    sleep while they wait. MPICH before 4.2 waits in MPI_Finalize without answering peers that
    still have to say goodbye (pmodels/mpich#6596), so mpi4py leaves it out at exit."""
    variables = {"MPI4PY_RC_FINALIZE": "0"}
    return {**variables, "UCX_TLS": "tcp,self"} if _crowded(cluster) else variables


def _mpi4py(hardware: Hardware) -> Iterator[Resource]:
    pin = pinned("mpi4py", hardware.python, hardware.arch)
    triplet = TRIPLETS.get(hardware.arch)
    if pin is None or triplet is None:
        return
    yield Link(
        path=f"/usr/lib/{triplet}/libmpi.so.12",
        target="libmpich.so.12",
        why="the name under which the MPI ABI, and so mpi4py, looks for MPICH",
    )
    yield Wheel(
        distribution=pin.distribution,
        version=pin.version,
        blob=pin.sha256,
        into=f"/usr/local/lib/python{pin.python}/dist-packages",
        why="python3 -c 'import mpi4py' speaks to Debian's MPICH and to Slurm's PMI-2",
    )


def _crowded(cluster: Cluster) -> bool:
    """Whether some board is to run more ranks than it has CPUs, or has a single one."""
    return any(
        node.hardware is not None
        and (node.hardware.cpus == 1 or (node.cpus or 0) > node.hardware.cpus)
        for node in cluster.nodes
    )
