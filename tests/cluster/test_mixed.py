"""A head of Debian 12 and a board of Debian 13: Slurm would refuse it, so plan does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import Cluster

pytestmark = pytest.mark.lab

FILE = """wulfling: 1
cluster: test-mixed
boards: virtual
nodes:
  head: {address: 10.0.0.1, memory: 192M}
  newer: {address: 10.0.0.2, memory: 192M, release: trixie}
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file: Path = tmp_path_factory.mktemp("mixed") / "cluster.yaml"
    file.write_text(FILE, encoding="utf-8")
    cluster = Cluster(file)
    cluster.wulfling("lab", "destroy")
    cluster.wulfling("lab", "up")
    yield cluster
    cluster.wulfling("lab", "destroy")


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
