"""MPICH, compilers, and an mpi4py that talks to that MPICH and to Slurm."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Hardware, Node, Role
from wulfling.model.mpich import for_all
from wulfling.model.resource import Resource
from wulfling.model.wheels import pinned
from wulfling.node.resources.alternative import Alternative
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.libraries import Libraries
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.wheel import Wheel

FAREWELL = '''"""Lets all ranks meet at the end of a program that uses mpi4py. Written by wulfling.

MPICH before 4.2 waits in MPI_Finalize for an answer of each peer, and then for all of them in a
barrier in which it answers nobody (pmodels/mpich#6596). Who is still at work elsewhere in MPI
answers a peer that is there already, lets it go on to that barrier, and later waits for its
answer for ever. So all ranks meet, and then none of them listens until all have left.
"""

import atexit
import sys
import time


def meet():
    MPI = sys.modules.get("mpi4py.MPI")
    if MPI is None or not MPI.Is_initialized() or MPI.Is_finalized():
        return
    vendor, version = MPI.get_vendor()
    world = MPI.COMM_WORLD
    if vendor != "MPICH" or version >= (4, 2) or world.size == 1:
        return
    for _ in range(2):
        world.alltoall([None] * world.size)
        world.Barrier()
    time.sleep(0.5)  # as much later may the last one leave, where ranks share a CPU


atexit.register(meet)
'''

FOLDER = "/usr/local/lib/wulfling/mpich"
"""Where boards have the one MPICH for all."""

# The first of ld.so.conf.d, before that of any architecture's own folders.
LOADER = "/etc/ld.so.conf.d/00-wulfling-mpich.conf"

# mpiexec starts the last one on the other boards, in the folder where itself was found.
PROGRAMS = ("mpiexec", "mpiexec.hydra", "mpirun", "hydra_pmi_proxy")


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
    for choice, program in (("mpi", "mpicc"), ("mpirun", "mpirun")):
        yield Alternative(
            choice=choice,
            path=f"/usr/bin/{program}.mpich",
            why=f"`{program}` and its kin stay MPICH's when a program brings Open MPI along",
        )
    yield from _one_for_all(cluster, hardware)
    yield from _mpi4py(cluster, hardware)
    yield from _settings(cluster, hardware)


def _settings(cluster: Cluster, hardware: Hardware) -> Iterator[Resource]:
    """How ranks wait and part on these boards; the whole story is docs/explanation/mpi.md.

    Python programs get it from Python itself, whatever shell started them; the others from
    the places where shells, ssh and Slurm's task prolog look.
    """
    variables = {"UCX_TLS": "tcp,self"} if _crowded(cluster) else {}
    calls = [f"os.environ.setdefault({k!r}, {v!r})" for k, v in variables.items()]
    yield Directory(path=_site(hardware))
    yield File(
        path=f"{_site(hardware)}/wulfling_mpi.py",
        content=FAREWELL,
        why="MPICH before 4.2 can hang in MPI_Finalize (pmodels/mpich#6596)",
    )
    yield File(
        path=f"{_site(hardware)}/wulfling-mpi.pth",
        content="; ".join(["import os, wulfling_mpi", *calls]) + "\n",
        why="site of Python: every Python program on this board begins with this line",
    )
    if variables:
        lines = [f'{name}="{value}"\n' for name, value in variables.items()]
        yield Block(
            path="/etc/environment",
            text="".join(lines),
            why="ranks that share a CPU starve each other when they poll shared memory;"
            " over TCP each gets its turn",
        )
        yield File(
            path="/etc/profile.d/wulfling-mpi.sh",
            content="".join(f"export {line}" for line in lines),
            why="the same for login shells that do not read /etc/environment",
        )


def _one_for_all(cluster: Cluster, hardware: Hardware) -> Iterator[Resource]:
    """The same MPICH as the other boards have, found before the distribution's, whose compilers
    stay: a program of theirs asks for libmpich.so.12."""
    pin = for_all(hardware)
    if not cluster.mpich or pin is None:
        return
    yield Wheel(
        distribution=pin.distribution,
        version=pin.version,
        blob=pin.sha256,
        into=FOLDER,
        why="the MPICHs of these boards' distributions cannot share a job; this one is on all",
    )
    yield Libraries(
        path=LOADER,
        folder=f"{FOLDER}/lib",
        # mpi4py tries the last one as well, and where there are compilers would load Debian's.
        names=(("libmpich.so.12", "libmpi.so.12"), ("libmpi.so", "libmpi.so.12")),
        why="every program that asks for MPICH gets this one, by the name of the MPI ABI and by"
        " Debian's",
    )
    for name in PROGRAMS:
        yield Link(
            path=f"/usr/local/bin/{name}",
            target=f"{FOLDER}/bin/{name}",
            why="mpiexec and what it starts on the other boards are of one release",
        )


def _mpi4py(cluster: Cluster, hardware: Hardware) -> Iterator[Resource]:
    pin = pinned("mpi4py", hardware.python, hardware.arch)
    if pin is None or not hardware.triplet:
        return
    if not cluster.mpich:
        yield Link(
            path=f"/usr/lib/{hardware.triplet}/libmpi.so.12",
            target="libmpich.so.12",
            why="the name under which the MPI ABI, and so mpi4py, looks for MPICH",
        )
    yield Wheel(
        distribution=pin.distribution,
        version=pin.version,
        blob=pin.sha256,
        into=_site(hardware),
        why="python3 -c 'import mpi4py' speaks to Debian's MPICH and to Slurm's PMI-2",
    )


def _crowded(cluster: Cluster) -> bool:
    """Whether some board is to run more ranks than it has CPUs, or has a single one."""
    return any(
        node.hardware is not None
        and (node.hardware.cpus == 1 or (node.cpus or 0) > node.hardware.cpus)
        for node in cluster.nodes
    )


def _site(hardware: Hardware) -> str:
    """Where Debian's Python looks for what an administrator adds."""
    return f"/usr/local/lib/python{'.'.join(hardware.python.split('.')[:2])}/dist-packages"
