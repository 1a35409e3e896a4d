"""Quotas are held by the board with the homes; and what an apply about people is about."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from wulfling.components import PEOPLE, compile_cluster
from wulfling.components.quota import SCRIPT, SCRIPT_FILE
from wulfling.model.cluster import Cluster
from wulfling.node.resources.quota import SERVICE


def limited(cluster: Cluster) -> Cluster:
    return replace(cluster, people=(replace(cluster.people[0], quota_mb=1024),))


def test_a_quota_is_held_where_the_homes_are(cluster: Cluster) -> None:
    declared = compile_cluster(limited(cluster))
    holding = [node for node, own in declared.items() if any(r.kind == "quota" for r in own)]
    assert holding == ["files"]
    # A disk that cannot do it is told last, when all else is done.
    assert [r.key for r in declared["files"][-2:]] == [f"service:{SERVICE}", "quota:kim"]


def test_homes_that_are_not_shared_have_a_quota_on_each_board(cluster: Cluster) -> None:
    for own in compile_cluster(replace(limited(cluster), storage=())).values():
        assert own[-1].key == "quota:kim"


def test_a_share_for_one_home(cluster: Cluster) -> None:
    first = cluster.storage[0]
    alone = replace(limited(cluster), storage=(replace(first, path="/home/kim"),))
    declared = compile_cluster(alone)
    assert [node for node, own in declared.items() if own[-1].key == "quota:kim"] == ["files"]


def test_without_a_quota_nothing_is_counted(cluster: Cluster) -> None:
    for own in compile_cluster(cluster).values():
        assert not any("quota" in resource.key for resource in own)


def test_what_an_apply_about_people_is_about(cluster: Cluster) -> None:
    """All that a person adds to a cluster or changes in it, or a plan after ``user add`` would
    not be empty; and nothing of the rest but the account of wulfling itself, which has to be
    declared or it would count as somebody who left."""
    with_kim = compile_cluster(limited(cluster))
    without = compile_cluster(replace(cluster, people=()))
    # The first quota of a cluster needs a package and a daemon, and so a whole apply.
    tools = {f"file:{SCRIPT_FILE}", f"file:/etc/systemd/system/{SERVICE}", "packages:apt"}
    for node, own in with_kim.items():
        before = {resource.key: resource for resource in without[node]}
        news = {r.key for r in own if before.get(r.key) != r} - tools
        about = {resource.key for resource in own if resource.key.startswith(PEOPLE)}
        assert news <= about
        assert about - news <= {"group:wulfling", "user:wulfling", "accounting:c"}


def test_the_script_is_one(cluster: Cluster) -> None:
    subprocess.run(["sh", "-n"], input=SCRIPT, text=True, check=True)
