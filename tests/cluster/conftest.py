"""The cluster that the tests of this folder share: three boards, converged once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from boards import Cluster, cluster_file


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three boards, converged. After a failure the boards and their consoles are kept, and
    with WULFLING_KEEP=1 the next run goes on with them."""
    cluster = Cluster(cluster_file(tmp_path_factory.mktemp("cluster"), "test-guide"))
    if not os.environ.get("WULFLING_KEEP"):
        cluster.wulfling("lab", "destroy")
    cluster.wulfling("lab", "up")
    cluster.wulfling("apply", "-y")
    cluster.wait_idle()
    failed_before = _failures()
    yield cluster
    if _failures() == failed_before and not os.environ.get("WULFLING_KEEP"):
        cluster.wulfling("lab", "destroy")


_FAILED: list[str] = []


def _failures() -> int:
    return len(_FAILED)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember failures, for the fixture above."""
    if report.failed:
        _FAILED.append(report.nodeid)
