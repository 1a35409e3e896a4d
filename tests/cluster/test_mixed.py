"""Boards of several releases: what Slurm would refuse, plan does, and the rest is a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import Cluster, own_lab

pytestmark = pytest.mark.crash

FILE = """wulfling: 1
cluster: test-mixed
boards: virtual
nodes:
  head: {address: 10.0.0.1, memory: 192M}
  newer: {address: 10.0.0.2, memory: 192M, release: trixie}
"""

UBUNTU = """wulfling: 1
cluster: test-ubuntu
boards: virtual
nodes:
  head: {address: 10.0.0.1, release: trixie, roles: [head, storage], memory: 640M}
  vim4: {address: 10.0.0.2, release: noble, cpus: 2, memory: 512M}
people:
  pi: {account: compute}
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file: Path = tmp_path_factory.mktemp("mixed") / "cluster.yaml"
    file.write_text(FILE, encoding="utf-8")
    with own_lab(file) as cluster:
        yield cluster


@pytest.mark.parametrize("verb", [("plan",), ("apply", "-y")])
def test_a_mix_that_slurm_refuses_is_refused_by_name(mixed: Cluster, verb: tuple[str, ...]) -> None:
    process = mixed.start(*verb)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 4
    assert "newer has Debian 13 with Slurm 24.11, and the head's 22.05" in said
    assert "hint: install Debian 12 on newer, or take the roles compute and login" in said


def test_nothing_was_changed_on_the_boards(mixed: Cluster) -> None:
    asked = "command -v munged slurmd chronyd || cat /var/lib/wulfling/manifest.json /etc/hosts"
    said = mixed.on("newer", f"{asked} 2>&1 || :")
    assert "manifest.json: No such file" in said
    assert "BEGIN wulfling" not in said


def test_without_slurm_the_same_boards_are_taken(mixed: Cluster) -> None:
    mixed.file.write_text(FILE + "slurm: false\n", encoding="utf-8")
    mixed.wulfling("plan", code=2)


@pytest.fixture(scope="module")
def ubuntu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file: Path = tmp_path_factory.mktemp("ubuntu") / "cluster.yaml"
    file.write_text(UBUNTU, encoding="utf-8")
    with own_lab(file) as cluster:
        cluster.wulfling("apply", "-y")
        yield cluster


def test_a_khadas_of_ubuntu_works_for_a_head_of_debian_13(ubuntu: Cluster) -> None:
    """Slurm 24.11 takes daemons that are up to two major releases older (slurm.conf(5))."""
    assert "24.04" in ubuntu.on("vim4", "cat /etc/os-release")
    assert ubuntu.on("vim4", "slurmd -V").split()[-1].startswith("23.11.")
    ubuntu.wulfling("verify")
    said = ubuntu.pi("srun -n 2 hostname", node="head")
    assert said.split() == ["vim4", "vim4"]


def test_a_second_apply_has_nothing_to_do_on_ubuntu(ubuntu: Cluster) -> None:
    ubuntu.wulfling("plan")
