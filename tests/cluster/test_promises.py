"""What ``plan`` and ``apply`` promise: nothing twice, exactly the drift, and those who answer."""

from __future__ import annotations

import json

import pytest
from boards import Cluster

pytestmark = pytest.mark.lab

NODES = ("rpnode01", "rpnode02", "filenode01")
STARTED = "systemctl show -p Id,ActiveEnterTimestampMonotonic,MainPID --all '*.service'"


def test_second_apply_changes_nothing_and_restarts_nothing(cluster: Cluster) -> None:
    before = [cluster.on(node, f"{STARTED} | grep -v -e ssh -e user -e session") for node in NODES]
    result = json.loads(cluster.wulfling("apply", "-y", "-o", "json"))
    after = [cluster.on(node, f"{STARTED} | grep -v -e ssh -e user -e session") for node in NODES]
    assert result["changes"] == 0
    assert {step["node"] for step in result["steps"]} == set(NODES)
    assert _services(before) == _services(after)


def _services(said: list[str]) -> list[list[str]]:
    """The daemons' start times; transient units of our own logins come and go."""
    ours = ("slurm", "munge", "chrony", "mariadb", "nfs-server")
    return [
        [part for part in text.split("\n\n") if any(name in part for name in ours)] for text in said
    ]


def test_plan_shows_exactly_the_drift_and_apply_repairs_exactly_that(cluster: Cluster) -> None:
    hosts = "/etc/hosts"
    original = cluster.on("rpnode02", f"cat {hosts}")
    cluster.on("rpnode02", f"sed -i s/10.0.0.3/10.0.0.4/ {hosts}")
    plan = json.loads(cluster.wulfling("plan", "-o", "json", code=2))
    (step,) = [step for step in plan["steps"] if step["status"] != "ok"]
    assert (step["node"], step["key"]) == ("rpnode02", f"block:{hosts}")
    assert [line for line in step["diff"] if line[:1] in "+-" and line[1:2] not in "+-"] == [
        "-10.0.0.4 filenode01 filenode01.home.local",
        "+10.0.0.3 filenode01 filenode01.home.local",
    ]
    applied = json.loads(cluster.wulfling("apply", "-y", "-o", "json"))
    changed = [(s["node"], s["key"]) for s in applied["steps"] if s["status"] != "ok"]
    assert changed == [("rpnode02", f"block:{hosts}")]
    assert cluster.on("rpnode02", f"cat {hosts}") == original


def test_a_changed_daemon_file_restarts_that_daemon_alone(cluster: Cluster) -> None:
    cluster.on("rpnode02", "echo '# drift' >> /etc/default/slurmd")
    applied = json.loads(cluster.wulfling("apply", "-y", "-o", "json"))
    changed = [(s["node"], s["key"]) for s in applied["steps"] if s["status"] != "ok"]
    assert changed == [
        ("rpnode02", "file:/etc/default/slurmd"),
        ("rpnode02", "service:slurmd.service"),
    ]
    cluster.wait_idle(60)


def test_no_secret_in_plan_logs_or_arguments(cluster: Cluster) -> None:
    key = cluster.on("rpnode01", "cat /etc/munge/munge.key").strip()
    cluster.on("rpnode02", "echo other > /etc/munge/munge.key")
    plan = cluster.wulfling("plan", code=2)
    assert "sha256" in plan
    assert key not in plan
    cluster.wulfling("apply", "-y")
    for node in NODES:
        said = cluster.on(
            node, "journalctl --no-pager; ps -e -o args; cat /var/log/slurm/* || true"
        )
        assert key[:40] not in said, node
    cluster.wait_idle(60)


def test_verify_proves_it(cluster: Cluster) -> None:
    findings = json.loads(cluster.wulfling("verify", "-o", "json"))
    assert {finding["verdict"] for finding in findings} == {"good"}
    (mpi,) = [finding for finding in findings if finding["check"] == "mpi"]
    assert mpi["words"].startswith("2 ranks in 1 world:")


def test_a_board_that_is_off_catches_up(cluster: Cluster) -> None:
    cluster.wulfling("lab", "cut", "rpnode02")
    cluster.on("rpnode01", "chmod 0600 /etc/ssh/ssh_known_hosts")
    applied = json.loads(cluster.wulfling("apply", "-y", "-o", "json", code=3))
    assert list(applied["unreachable"]) == ["rpnode02"]
    assert [s["key"] for s in applied["steps"] if s["status"] == "changed"] == [
        "file:/etc/ssh/ssh_known_hosts"
    ]
    cluster.wulfling("lab", "up", "rpnode02")
    assert json.loads(cluster.wulfling("apply", "-y", "-o", "json"))["unreachable"] == {}
    cluster.wait_idle()
    cluster.wulfling("plan")
