"""A way to the head by a machine in between, which is told nothing but how to be reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wulfling.components import compile_cluster, relay
from wulfling.model.cluster import Cluster, Relay
from wulfling.node.resources.account import User
from wulfling.node.resources.file import File

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1a7vYcnVqDLJ5Gmrkb4fB5VwDnnOn9bGIhlw8mWUgW"


@pytest.fixture
def away(cluster: Cluster) -> Cluster:
    return replace(cluster, relay=Relay("vps.example.org", 2200, "reverse", 2222, KEY))


def text(cluster: Cluster, path: str) -> str:
    declared = compile_cluster(cluster)["one"]
    (found,) = [r for r in declared if isinstance(r, File) and r.path == path]
    return found.content


def test_without_a_word_in_the_file_nothing_is_declared(cluster: Cluster) -> None:
    assert [r for node in cluster.nodes for r in relay.resources(cluster, node)] == []


def test_only_the_head_calls(away: Cluster) -> None:
    assert [bool(list(relay.resources(away, node))) for node in away.nodes] == [True, False, False]


def test_s14_the_machine_is_pinned(away: Cluster) -> None:
    assert text(away, relay.KNOWN_HOSTS) == f"relay {KEY}\n"
    program = text(away, relay.PROGRAM)
    for option in ("StrictHostKeyChecking=yes", "HostKeyAlias=relay", "BatchMode=yes"):
        assert f"-o {option}" in program
    assert "-R 127.0.0.1:2222:127.0.0.1:22 reverse@vps.example.org" in program
    assert "-p 2200 " in program


def test_s12_the_key_is_made_there_and_the_caller_is_not_root(away: Cluster) -> None:
    assert "PRIVATE KEY" not in "".join(text(away, p) for p in (relay.PROGRAM, relay.UNIT_FILE))
    assert "\nUser=wulfling-relay\n" in text(away, relay.UNIT_FILE)
    (account,) = [r for r in relay.resources(away, away.node("one")) if isinstance(r, User)]
    assert account.shell == "/usr/sbin/nologin"


def test_the_key_may_open_one_port_there_and_do_nothing_else(away: Cluster) -> None:
    assert away.relay
    line = relay.authorized_line(away.relay, "ssh-ed25519 AAAA x")
    options = line.split(" ssh-ed25519 ")[0].split(",")
    assert options == [
        *("restrict", "port-forwarding", 'permitlisten="127.0.0.1:2222"'),
        *('permitopen="127.0.0.1:1"', 'command="/bin/false"'),
    ]
