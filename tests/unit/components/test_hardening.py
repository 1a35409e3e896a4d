"""What hardening closes, and what it must leave open: MPI, routers, USB disks (issue 5, item 3)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from wulfling.components import compile_cluster, hardening
from wulfling.model.cluster import Cluster
from wulfling.model.resource import Resource
from wulfling.node.resources.service import Service

SETTING = re.compile(r"([a-z0-9_.-]+) = (\S+)")


def declared(cluster: Cluster, node: str = "two") -> list[Resource]:
    return list(hardening.resources(cluster, cluster.node(node)))


def settings() -> dict[str, str]:
    lines = [line for line in hardening.SYSCTL_TEXT.splitlines() if line and line[0] != "#"]
    matches = [match for line in lines if (match := SETTING.fullmatch(line))]
    assert len(matches) == len(lines)
    found = {match[1]: match[2] for match in matches}
    assert len(found) == len(lines), "no key twice"
    return found


def test_the_file_takes_all_of_it_away(cluster: Cluster) -> None:
    keys = {resource.key for resource in declared(cluster)} - {"packages:apt"}
    assert keys
    without = replace(cluster, hardening=False)
    left = {resource.key for resource in compile_cluster(without)["two"]}
    assert not keys & left


def test_our_settings_are_read_after_debians_and_leave_routers_alone() -> None:
    assert hardening.SYSCTL_FILE.rpartition("/")[2] > "99-protect-links.conf"
    assert not [key for key in settings() if "forward" in key]
    assert settings()["net.ipv4.conf.all.rp_filter"] == "2", "loose, for boards with two ways"


def test_ranks_of_one_board_may_read_each_others_memory_and_people_may_measure() -> None:
    """MPI copies between processes by process_vm_readv(2), which ptrace_scope would refuse."""
    assert not {"kernel.yama.ptrace_scope", "kernel.perf_event_paranoid"} & set(settings())


def test_whoever_looks_for_a_mistake_gets_a_core_file() -> None:
    (limit,) = [line for line in hardening.LIMITS_TEXT.splitlines() if line[0] != "#"]
    assert limit == "* soft core 0", "a hard one could not be lifted"


def test_every_setting_stands_below_its_reason() -> None:
    for paragraph in hardening.SYSCTL_TEXT.split("\n\n"):
        assert paragraph.startswith("#")


@pytest.mark.parametrize("name", ["usb-storage", "uas", "nfs", "vfat", "squashfs", "overlay"])
def test_disks_and_sticks_go_on(name: str) -> None:
    """Boards start from USB disks, and homes and backups live on them."""
    assert name not in [module for group in hardening.MODULES.values() for module in group]


def test_a_virtual_board_checks_no_programs(cluster: Cluster) -> None:
    def timer(of: Cluster) -> Service:
        (found,) = [r for r in declared(of) if r.key == "service:wulfling-debsums.timer"]
        assert isinstance(found, Service)
        return found

    assert timer(replace(cluster, virtual=False)).running
    assert not timer(replace(cluster, virtual=True)).running
