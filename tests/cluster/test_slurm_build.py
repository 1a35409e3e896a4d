"""A head of Debian 12 with boards of Debian 12 and 13, and one Slurm on all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import Cluster, own_lab

pytestmark = [pytest.mark.lab, pytest.mark.crash]  # building Slurm takes minutes, once

NODES = ("rpnode01", "rpnode02", "rpnode03")
FILE = """wulfling: 1
cluster: test-built
boards: virtual
nodes:
  rpnode01: {address: 10.0.0.1, roles: [head, compute], memory: 512M}
  rpnode02: {address: 10.0.0.2, release: trixie}
  rpnode03: {address: 10.0.0.3}
slurm:
  build: {version: 24.11.5, source: trixie}
  partitions:
    twelve: {nodes: "rpnode[01,03]", default: true}
    thirteen: {nodes: rpnode02}
people:
  pi: {account: compute}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file: Path = tmp_path_factory.mktemp("built") / "cluster.yaml"
    file.write_text(FILE, encoding="utf-8")
    with own_lab(file) as cluster:
        cluster.wulfling("build")
        cluster.wulfling("apply", "-y")
        yield cluster


def test_it_is_built_once(built: Cluster) -> None:
    assert "is built already" in built.wulfling("build")


def test_every_board_has_the_same_version(built: Cluster) -> None:
    said = {node: built.on(node, "slurmd -V").split()[-1] for node in NODES}
    assert said == dict.fromkeys(NODES, "24.11.5")
    assert built.on("rpnode02", "slurmd -V").startswith("slurm-wlm ")  # so Debian calls it
    assert built.on("rpnode01", "slurmctld -V; slurmdbd -V").split() == ["slurm", "24.11.5"] * 2


def test_the_packages_came_from_the_signed_repository_of_the_head(built: Cluster) -> None:
    said = built.on("rpnode03", "apt-cache policy slurm-smd-slurmd")
    assert "24.11.5-1~wulfling12+1 1001" in said
    assert "http://10.0.0.1:8100/bookworm-amd64" in said
    assert "Candidate: (none)" in built.on("rpnode03", "apt-cache policy slurmd")


def test_apt_refuses_a_list_that_somebody_changed(built: Cluster) -> None:
    index = "/var/lib/wulfling/apt/bookworm-amd64/Packages"
    built.on("rpnode01", f"cp -p {index} /root/kept; echo >> {index}")
    update = "rm -rf /var/lib/apt/lists/10.0.0.1*; apt-get update"
    said = built.on("rpnode03", f"{update} -o APT::Update::Error-Mode=any 2>&1 || echo refused")
    built.on("rpnode01", f"cp -p /root/kept {index}")
    built.on("rpnode03", "apt-get update")
    assert said.strip().endswith("refused")
    assert "Hash Sum" in said or "unexpected size" in said


def test_the_private_key_is_on_no_board(built: Cluster) -> None:
    for node in NODES:
        asked = "grep -rl 'PGP PRIVATE KEY' /etc /var/lib/wulfling /root || echo nowhere"
        assert built.on(node, asked).strip() == "nowhere"


def test_verify_proves_it_and_nothing_is_left_to_do(built: Cluster) -> None:
    for _ in range(60):
        if set(built.on("rpnode01", "sinfo -hN -o %T").split()) == {"idle"}:
            break
        time.sleep(1)
    built.wulfling("verify")
    built.wulfling("plan", code=0)


def test_a_version_that_is_not_built_is_named_with_the_command(built: Cluster) -> None:
    built.file.write_text(FILE.replace("24.11.5", "24.11.4"), encoding="utf-8")
    process = built.start("plan")
    said = "".join(process.communicate(timeout=300))
    built.file.write_text(FILE, encoding="utf-8")
    assert process.returncode == 1
    assert "Slurm 24.11.4 is not built yet for Debian 12 amd64" in said
    assert "hint: wulfling build" in said
