"""Boards behind the head (2-03, 2-04): its router and its DHCP, on both of its sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from namespaces import Head, two_sided_head
from tests.golden.test_golden import cluster_of

from wulfling.components import compile_cluster
from wulfling.node.resources.file import File

pytestmark = pytest.mark.lab

INSIDE, OUTSIDE, INTERNET = "10.0.0.1", "198.51.100.1", "198.51.100.2"


def declared(node: str) -> dict[str, str]:
    """The files that wulfling writes to a node of the golden cluster, by name."""
    resources = compile_cluster(cluster_of("private-network"))[node]
    return {r.path.rpartition("/")[2]: r.content for r in resources if isinstance(r, File)}


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with two_sided_head() as found:
        leases = ("/var/lib/wulfling-dnsmasq/", "/run/")
        found.write({n: text.replace(*leases) for n, text in declared("laptop").items()})
        yield found


@pytest.fixture(scope="module")
def router(head: Head) -> Head:
    """As wulfling-nat.service starts it; and the board's unit has made its route."""
    head.run("head", "nft", "add", "table", "ip", "users")
    unit = declared("laptop")["wulfling-nat.service"]
    for line in unit.splitlines():
        if line.startswith("ExecStart="):
            words = line.removeprefix("ExecStart=").split()
            head.run("head", *words[:-1], f"/run/{words[-1].rpartition('/')[2]}")
    head.run("board", "ip", "address", "add", "10.0.0.11/24", "dev", "eth0")
    route = declared("pi1")["wulfling-route.service"]
    replace = route.partition("while :; do ")[2].partition(" 2>")[0]
    head.run("board", *replace.split())
    head.run("board", *replace.split())  # again and again, as the unit does
    return head


def test_2_03_the_boards_address_comes_from_the_file(head: Head) -> None:
    words = ("--user=root", "--group=root", "--log-facility=-")
    conf = "--conf-file=/run/wulfling-dnsmasq.conf"
    with head.server("head", "dnsmasq", "-k", *words, conf, ready="DHCP, "):
        assert head.lease("board") == f"10.0.0.11 {INSIDE} {INSIDE} pi1"
        head.run("board", "ip", "link", "set", "eth0", "address", "dc:a6:32:ff:ff:ff")
        assert head.lease("board") == "", "a board that is not in the file"
        head.run("internet", "ip", "link", "set", "eth0", "address", "dc:a6:32:01:02:04")
        assert head.lease("internet") == "", "nobody is answered on the uplink"
        head.run("board", "ip", "address", "add", "10.0.0.99/24", "dev", "eth0")
        for name in ("pi2", "pi2.home.local"):
            assert head.resolve("board", INSIDE, name) == "10.0.0.12"
            assert "Error" in head.resolve("internet", OUTSIDE, name)
        assert head.resolve("board", INSIDE, "nobody.home.local") == "code 3"  # no such name
    head.run("board", "ip", "address", "flush", "dev", "eth0")
    head.run("board", "ip", "link", "set", "eth0", "address", "dc:a6:32:01:02:03")


def test_nft_takes_the_rules_before_they_are_loaded(head: Head) -> None:
    head.run("head", "nft", "-c", "-f", "/run/wulfling-nat.nft")
    assert head.run("head", "nft", "list", "tables") == ""


def test_2_04_the_boards_reach_the_internet_by_the_heads_address(router: Head) -> None:
    """The internet has no route to 10.0.0.0/24, as at home."""
    with router.echo("internet", 80):
        assert router.call("board", INTERNET, 80) == OUTSIDE


def test_from_outside_the_boards_are_reached_by_ssh_alone(router: Head) -> None:
    router.run("internet", "ip", "route", "replace", "10.0.0.0/24", "via", OUTSIDE)
    with router.echo("board", 22), router.echo("board", 2049):
        assert router.call("internet", "10.0.0.11", 22) == INTERNET
        assert router.call("internet", "10.0.0.11", 2049) == "TimeoutError"
        assert router.call("head", "10.0.0.11", 2049) == INSIDE
    assert "packets 0" not in router.run("head", "nft", "list", "table", "ip", "wulfling_nat")


def test_the_heads_services_are_for_the_boards(router: Head) -> None:
    """Linux takes a packet for 10.0.0.1 on any interface; the table does not."""
    router.run("internet", "ip", "route", "replace", "10.0.0.0/24", "via", OUTSIDE)
    with router.echo("head", 3142), router.echo("head", 22):
        assert router.call("board", INSIDE, 3142) == "10.0.0.11"
        assert router.call("internet", INSIDE, 3142) == "TimeoutError"
        assert router.call("internet", INSIDE, 22) == INTERNET
        assert router.call("internet", OUTSIDE, 3142) == INTERNET, "the user's own business"


def test_rules_are_there_once_and_go_alone(router: Head) -> None:
    before = router.run("head", "nft", "-s", "list", "ruleset")
    router.run("head", "nft", "-f", "/run/wulfling-nat.nft")
    assert router.run("head", "nft", "-s", "list", "ruleset") == before
    stop = declared("laptop")["wulfling-nat.service"].partition("ExecStop=-")[2]
    router.run("head", *stop.splitlines()[0].split())
    assert router.run("head", "nft", "list", "tables") == "table ip users"
