"""Exports, mounts, and the names systemd has for them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest

from wulfling.components import compile_cluster
from wulfling.model.cluster import Cluster, Share
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.service import Service

PATHS = ("/home", "/nfs", "/srv/my-data", "/srv/a_b.c", "/.hidden", "/a/.b", "/A-1/--/x.y-z")


def automounts(cluster: Cluster, node: str) -> list[str]:
    services = [r for r in compile_cluster(cluster)[node] if isinstance(r, Service)]
    return [s.unit for s in services if s.unit.endswith(".automount")]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_with_a_dash_has_the_unit_name_that_systemd_gives_it(
    cluster: Cluster, path: str
) -> None:
    """fstab's generator names the unit after the path as systemd-escape(1) does."""
    (unit,) = automounts(replace(cluster, storage=(Share(path, "files"),)), "two")
    assert (
        unit
        == {
            "/home": "home.automount",
            "/nfs": "nfs.automount",
            "/srv/my-data": r"srv-my\x2ddata.automount",
            "/srv/a_b.c": "srv-a_b.c.automount",
            "/.hidden": r"\x2ehidden.automount",
            "/a/.b": "a-.b.automount",
            "/A-1/--/x.y-z": r"A\x2d1-\x2d\x2d-x.y\x2dz.automount",
        }[path]
    )
    if tool := shutil.which("systemd-escape"):
        argv = [tool, "--path", "--suffix=automount", path]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert unit == done.stdout.strip()


def test_mounts_survive_a_file_server_that_is_away(cluster: Cluster) -> None:
    blocks = [r for r in compile_cluster(cluster)["two"] if isinstance(r, Block)]
    (fstab,) = [b for b in blocks if b.path == "/etc/fstab"]
    for line in fstab.text.splitlines():
        source, path, kind, options, *_ = line.split()
        assert source == f"files:{path}"
        assert kind == "nfs4"
        assert {"nofail", "_netdev", "hard", "x-systemd.automount"} <= set(options.split(","))


def test_the_server_does_not_mount_its_own(cluster: Cluster) -> None:
    assert automounts(cluster, "files") == []


def test_a_share_that_is_somebodys_home_has_one_owner(cluster: Cluster) -> None:
    """Two declarations of one directory would change it back and forth in every apply."""
    mine = replace(cluster, storage=(Share("/home/kim", "files"),))
    for node, resources in compile_cluster(mine).items():
        homes = [r for r in resources if isinstance(r, Directory) and r.path == "/home/kim"]
        assert [home.owner for home in homes] == (["kim"] if node == "files" else [])
