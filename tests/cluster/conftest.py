"""The cluster that the tests of this folder share: three boards, converged once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from boards import Cluster, cluster_file


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """Three boards, converged. After a failure the boards and their consoles are kept, and
    with WULFLING_KEEP=1 the next run goes on with them."""
    cluster = Cluster(cluster_file(tmp_path_factory.mktemp("cluster"), "test-guide"))
    if not os.environ.get("WULFLING_KEEP"):
        cluster.wulfling("lab", "destroy")
    cluster.wulfling("lab", "up")
    cluster.wulfling("apply", "-y")
    cluster.wait_idle()
    failed_before = request.session.testsfailed
    yield cluster
    if request.session.testsfailed == failed_before and not os.environ.get("WULFLING_KEEP"):
        cluster.wulfling("lab", "destroy")
