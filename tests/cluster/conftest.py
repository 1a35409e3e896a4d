"""The boards that the tests of this folder share: first without Slurm, then with it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from boards import MIXED, RELEASE, Cluster, cluster_file


@pytest.fixture(scope="session")
def boards(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """Three boards. After a failure they and their consoles are kept, and with
    WULFLING_KEEP=1 the next run goes on with them."""
    cluster = Cluster(cluster_file(tmp_path_factory.mktemp("cluster"), "test-guide"))
    keep = bool(os.environ.get("WULFLING_KEEP"))
    if not keep:
        cluster.wulfling("lab", "destroy")
    cluster.wulfling("lab", "up")
    failed_before = request.session.testsfailed
    yield cluster
    if request.session.testsfailed == failed_before and not keep:
        cluster.wulfling("lab", "destroy")


@pytest.fixture(scope="session")
def plain(boards: Cluster) -> Cluster:
    """The boards as guide 001 has them: MPI and a machinefile, no Slurm."""
    text = boards.file.read_text(encoding="utf-8")
    start, end = text.index("slurm:"), text.index("people:")
    boards.file.write_text(f"{text[:start]}slurm: false\n{text[end:]}", encoding="utf-8")
    boards.wulfling("apply", "-y")
    boards.file.write_text(text, encoding="utf-8")
    return boards


@pytest.fixture(scope="session")
def cluster(boards: Cluster) -> Cluster:
    """The boards as guide 002 has them: one line of the file and one apply later."""
    if RELEASE == MIXED:
        boards.wulfling("build")
    boards.wulfling("apply", "-y")
    boards.wait_idle()
    return boards
