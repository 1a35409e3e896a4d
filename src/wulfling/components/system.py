"""Every board: its name, the others' names, one clock, and the kernel flags that Slurm needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.hostname import Hostname
from wulfling.node.resources.kernel import KernelFlags
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

HARDWARE_FILE = "/var/lib/wulfling/cluster/hardware.json"
CHRONY_FILE = "/etc/chrony/conf.d/wulfling.conf"


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """Name, hosts, clock and kernel flags; on the head also what is known of every board."""
    yield Packages(names=("chrony", "dbus"), why="one clock; slurmd asks systemd over D-Bus")
    yield Hostname(value=node.name, why="Slurm and MPI know this board by its name")
    yield _hosts(cluster)
    yield from _clock(cluster, node)
    yield from _kernel(node)
    if node.name == cluster.head:
        yield from _memory_of_boards(cluster)


def _hosts(cluster: Cluster) -> Resource:
    lines = [f"{n.address} {n.name} {n.name}.{cluster.domain}" for n in cluster.nodes]
    return Block(
        path="/etc/hosts",
        text="\n".join(lines) + "\n",
        without=(r"127\.0\.1\.1\s.*",),
        why="every board finds every other one without DNS (2-11); a line for 127.0.1.1 would"
        " make MPI and Slurm offer an address that no other board can reach",
    )


def _clock(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """munge refuses credentials of a board whose clock is five minutes off (munged(8))."""
    if node.name == cluster.head:
        text = (
            "# The head is the cluster's clock, also when the internet is away.\n"
            f"allow {cluster.network}\nlocal stratum 10\nmakestep 1 3\n"
        )
    else:
        text = (
            "# Stepped at any time, because a board without a battery wakes in 1970.\n"
            f"server {cluster.address(cluster.head)} iburst prefer trust minpoll 4 maxpoll 6\n"
            "makestep 1 -1\n"
        )
    file = File(path=CHRONY_FILE, content=text, why="chrony.conf(5): whom this board asks the time")
    yield file
    yield Service(
        unit="chrony.service",
        configured=digest(text),
        watches=(file.key,),
        why="the clocks agree, or munge calls every credential expired",
    )


def _kernel(node: Node) -> Iterator[Resource]:
    """Raspberry Pi kernels start with the memory controller off (2-10); one flag turns it on."""
    hardware = node.hardware
    if hardware and hardware.cmdline_file and "memory" not in hardware.cgroup_controllers:
        yield KernelFlags(
            file=hardware.cmdline_file,
            flags=("cgroup_enable=memory",),
            why="without the memory controller Slurm cannot hold a job to its memory",
        )


def _memory_of_boards(cluster: Cluster) -> Iterator[Resource]:
    known = {n.name: asdict(n.hardware) for n in cluster.nodes if n.hardware is not None}
    yield Directory(path="/var/lib/wulfling/cluster", mode=0o700)
    yield File(
        path=HARDWARE_FILE,
        content=json.dumps(known, indent=1, sort_keys=True) + "\n",
        mode=0o600,
        why="a board that is switched off keeps its place in slurm.conf",
    )
