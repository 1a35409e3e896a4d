"""apply is killed, and boards lose their power, at random moments of a cold run; one more
apply brings the same final state as an undisturbed run, with no command by hand."""

from __future__ import annotations

import difflib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import Cluster, cluster_file
from fingerprint import SCRIPT

pytestmark = pytest.mark.crash

NODES = ("rpnode01", "rpnode02", "filenode01")
KILLS = int(os.environ.get("WULFLING_KILLS", "20"))
CUTS = int(os.environ.get("WULFLING_CUTS", "10"))
SEED = int(os.environ.get("WULFLING_SEED", "20261123"))


def state(cluster: Cluster) -> list[str]:
    cluster.wait_idle()
    return [f"{node} {line}" for node in NODES for line in cluster.on(node, SCRIPT).splitlines()]


@pytest.fixture(scope="module")
def fresh(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """Boards for both tests. After a failure they are kept."""
    folder: Path = tmp_path_factory.mktemp("crash")
    cluster = Cluster(cluster_file(folder, "test-crash"))
    failed_before = request.session.testsfailed
    yield cluster
    if request.session.testsfailed == failed_before:
        cluster.wulfling("lab", "destroy")


@pytest.fixture(scope="module")
def undisturbed(fresh: Cluster) -> tuple[list[str], float]:
    """The final state of a run that nobody killed, and the seconds it took."""
    fresh.wulfling("lab", "destroy")
    fresh.wulfling("lab", "up")
    started = time.monotonic()
    fresh.wulfling("apply", "-y")
    return state(fresh), time.monotonic() - started


def compare(expected: list[str], found: list[str]) -> None:
    difference = list(difflib.unified_diff(expected, found, lineterm="", n=0))
    assert not difference, "\n".join(difference)


def test_apply_killed_at_random_moments(
    fresh: Cluster, undisturbed: tuple[list[str], float]
) -> None:
    expected, seconds = undisturbed
    moments = random.Random(SEED)
    fresh.wulfling("lab", "destroy")
    fresh.wulfling("lab", "up")
    for _ in range(KILLS):
        process = fresh.start("apply", "-y")
        time.sleep(moments.uniform(0.2, 2 * seconds / KILLS))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    fresh.wulfling("apply", "-y")
    compare(expected, state(fresh))
    fresh.wulfling("plan")


def test_boards_lose_power_at_random_moments(
    fresh: Cluster, undisturbed: tuple[list[str], float]
) -> None:
    expected, seconds = undisturbed
    moments = random.Random(SEED + 1)
    fresh.wulfling("lab", "destroy")
    fresh.wulfling("lab", "up")
    for _ in range(CUTS):
        process = fresh.start("apply", "-y")
        time.sleep(moments.uniform(0.2, 2 * seconds / CUTS))
        board = moments.choice(NODES)
        fresh.wulfling("lab", "cut", board)
        # Else the other boards would be done by the first cut, and the next ones find no work.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        fresh.wulfling("lab", "up", board)
    fresh.wulfling("apply", "-y")
    compare(expected, state(fresh))
    fresh.wulfling("plan")
