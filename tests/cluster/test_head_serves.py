"""What the head does for its boards: packages and addresses (2-03)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from boards import Cluster

pytestmark = pytest.mark.crash  # packages for the head, and minutes

MAC = "dc:a6:32:01:02:03"
LOG = "/var/log/apt-cacher-ng/apt-cacher.log"
FETCH = "cd $(mktemp -d) && apt-get -qq download hello && ls"

# A client as a new board has one, on a card of its own beside the board's.
ASK_FOR_AN_ADDRESS = f"""
apt-get -qq -y install udhcpc >/dev/null
ip netns add new
ip link add new0 link vec0 type macvlan mode bridge
ip link set new0 address {MAC} netns new up
printf '#!/bin/sh\\n[ "$1" != bound ] || echo "$ip ${{router:-none}} $dns $hostname"\\n' >/run/told
chmod +x /run/told
ip netns exec new udhcpc -i new0 -n -q -s /run/told 2>/dev/null || :
ip netns del new
"""


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[Cluster]:
    """The shared boards with a head that serves them; afterwards as they were."""
    text = cluster.file.read_text(encoding="utf-8")
    better = text
    for number, mac in ((2, "dc:a6:32:01:02:02"), (3, MAC)):
        address = f"address: 10.0.0.{number},"
        better = better.replace(address, f"{address} mac: {mac},")
    assert better.count("mac:") == 2
    better += "gateway: {packages: true, dhcp: true}\n"
    cluster.file.write_text(better, encoding="utf-8")
    cluster.wulfling("apply", "-y")
    yield cluster
    cluster.file.write_text(text, encoding="utf-8")
    cluster.wulfling("apply", "-y")
    stopped = cluster.on("rpnode01", "systemctl is-active apt-cacher-ng wulfling-dnsmasq || :")
    assert stopped.split() == ["inactive", "inactive"]
    assert cluster.on("rpnode02", "apt-config shell ask Acquire::http::Proxy-Auto-Detect") == ""


def fetched(cluster: Cluster) -> list[tuple[str, str]]:
    """From the cache's log, for the package hello: "I" came in, "O" went out, and to whom."""
    lines = [line.split("|") for line in cluster.on("rpnode01", f"cat {LOG}").splitlines()]
    whole = [line for line in lines if "/hello_" in line[-1] and int(line[2]) > 10_000]
    return [(line[1], line[3]) for line in whole]  # smaller ones are questions, not packages


def test_a_package_is_fetched_once_for_all_boards(served: Cluster) -> None:
    for node in ("rpnode02", "filenode01"):
        assert served.on(node, FETCH).startswith("hello_")
    log = fetched(served)
    assert [way for way, _ in log].count("I") == 1
    assert log[-2:] == [("O", "10.0.0.2"), ("O", "10.0.0.3")]


@pytest.mark.parametrize("end", ["kill -s STOP", "stop"])
def test_without_the_cache_apt_goes_on(served: Cluster, end: str) -> None:
    """It hangs, with its port open; then it is gone."""
    served.on("rpnode01", f"systemctl {end} apt-cacher-ng")
    try:
        before = fetched(served)
        assert served.on("rpnode02", FETCH).startswith("hello_")
        assert fetched(served) == before
    finally:
        served.on("rpnode01", "systemctl kill -s CONT apt-cacher-ng || :")
        served.on("rpnode01", "systemctl start apt-cacher-ng")


def test_the_cache_listens_to_the_cluster_alone(served: Cluster) -> None:
    listening = served.on("rpnode01", "ss -Hltn 'sport = :3142 or sport = :53'").split("\n")
    assert {line.split()[3] for line in listening if line} == {"10.0.0.1:3142", "10.0.0.1:53"}


def test_2_03_a_board_gets_the_address_of_the_file(served: Cluster) -> None:
    said = served.on("rpnode02", ASK_FOR_AN_ADDRESS)
    assert said.strip() == "10.0.0.3 none 10.0.0.1 filenode01"


def test_a_second_apply_changes_nothing(served: Cluster) -> None:
    assert json.loads(served.wulfling("apply", "-y", "-o", "json"))["changes"] == 0
