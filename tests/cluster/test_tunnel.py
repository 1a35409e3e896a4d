"""What devices reach through the tunnel (0-07 to 0-12), by the rules that virtual boards cannot
load: a head with two sides in network namespaces, WireGuard and nft(8) of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from namespaces import Head, two_sided_head
from tests.golden.test_golden import cluster_of

from wulfling.components import compile_cluster, firewall, tailscale
from wulfling.day2.wireguard import configuration, new_key, public_of
from wulfling.model.cluster import Cluster
from wulfling.node.resources.file import File

pytestmark = pytest.mark.lab

INSIDE, OUTSIDE, TUNNEL, BOARD = "10.0.0.1", "198.51.100.1", "10.88.0.1", "10.0.0.11"
LOST = "TimeoutError"
SET = ("sh", "/run/wulfling-wireguard", "set")

PRIVATE = {"tablet": new_key(), "phone": new_key()}


def cluster(*devices: str, to_boards: bool = True) -> Cluster:
    """The golden cluster with these of its devices, whose keys are known here."""
    golden = cluster_of("private-network")
    way = golden.wireguard
    assert way is not None
    admitted = tuple(
        replace(device, key=public_of(PRIVATE[device.name]))
        for device in way.devices
        if device.name in devices
    )
    endpoint = f"{OUTSIDE}:{way.port}"
    way = replace(way, devices=admitted, to_boards=to_boards, endpoint=endpoint)
    return replace(golden, wireguard=way)


def put(head: Head, found: Cluster) -> None:
    """Write what wulfling declares to the head, in the namespace's own place."""
    declared = [r for r in compile_cluster(found)["laptop"] if isinstance(r, File)]
    mine = [r for r in declared if "wireguard" in r.path and r.path.startswith(("/etc/w", "/usr"))]
    head.write(
        {r.path.rpartition("/")[2]: r.content.replace("/etc/wireguard", "/run") for r in mine}
    )


def let_in(head: Head, *devices: str, to_boards: bool = True) -> None:
    """What a reload of the unit does after an apply."""
    put(head, cluster(*devices, to_boards=to_boards))
    head.run("head", *SET)


@contextmanager
def device(head: Head, name: str) -> Iterator[None]:
    """While the block lasts the device is connected from the internet, as its file says."""
    found = cluster("tablet", "phone")
    assert found.wireguard is not None
    own = next(one for one in found.wireguard.devices if one.name == name)
    key = head.run("head", "sh", "-c", "wg pubkey </run/wulfling.key")
    head.write({f"{name}.conf": configuration(found, own, PRIVATE[name], key)})
    head.run("head", "chmod", "600", f"/run/{name}.conf")
    head.run("internet", "wg-quick", "up", f"/run/{name}.conf")
    try:
        yield
    finally:
        head.run("internet", "wg-quick", "down", f"/run/{name}.conf")


def comes_in(head: Head, address: str, port: int = 22) -> str:
    """The address under which the head sees a device, which may have to shake hands first; it
    tries that every five seconds."""
    for _ in range(8):
        if (seen := head.call("internet", address, port)) != LOST:
            break
    return seen


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """The head's tunnel with both devices, and a board whose way out is the head."""
    if not os.access("/dev/net/tun", os.W_OK) and not Path("/sys/module/wireguard").exists():
        pytest.fail("/dev/net/tun cannot be opened: sudo modprobe tun; sudo chmod 666 /dev/net/tun")
    with two_sided_head() as found:
        put(found, cluster("tablet", "phone"))
        found.run("head", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        found.run("board", "ip", "address", "add", f"{BOARD}/24", "dev", "eth0")
        found.run("board", "ip", "route", "replace", "default", "via", INSIDE)
        with found.server("head", "sh", "/run/wulfling-wireguard", "run"):
            found.run("head", *SET)
            yield found


def test_0_07_only_devices_of_the_file_come_in(head: Head) -> None:
    with head.echo("head", 22):
        let_in(head)
        with device(head, "tablet"):
            assert head.call("internet", TUNNEL, 22) == LOST
            let_in(head, "tablet")
            assert comes_in(head, TUNNEL) == "10.88.0.2"
            let_in(head, "phone")
            assert head.call("internet", TUNNEL, 22) == LOST, "revoked while it was connected"
        with device(head, "phone"):
            assert comes_in(head, TUNNEL) == "10.88.0.7"
            assert head.call("internet", INSIDE, 22) == "10.88.0.7", "the address of the file"


def test_a_device_stays_connected_while_others_come_and_go(head: Head) -> None:
    let_in(head, "phone")
    talk = "exec 3<>/dev/tcp/10.88.0.1/22; for _ in 1 2 3; do echo hi >&3; head -n1 <&3; read; done"
    echo = ("from socket import *; s = create_server(('', 22)); print('ready', flush=True)\n"
            "c, _ = s.accept()\nwhile data := c.recv(99): c.sendall(data)")  # fmt: skip
    with device(head, "phone"), head.server("head", "python3", "-c", echo, ready="ready\n"):
        words = head.words("internet", "bash", "-c", talk)
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as line:
            assert line.stdin and line.stdout
            for admitted in (("phone", "tablet"), ("phone",), ()):
                assert line.stdout.readline() == "hi\n"
                let_in(head, *admitted)
                if admitted:
                    line.stdin.write("\n")
                    line.stdin.flush()
            line.kill()


def test_a_device_reaches_ssh_and_nothing_else(head: Head) -> None:
    let_in(head, "tablet")
    with device(head, "tablet"), head.echo("head", 3142), head.echo("head", 22):
        assert head.call("internet", TUNNEL, 22) == "10.88.0.2"
        for address in (TUNNEL, INSIDE):
            assert head.call("internet", address, 3142) == LOST
        # The same call with the protection taken away: it is what stops it.
        head.run("head", "nft", "delete", "table", "ip", "wulfling_remote")
        assert head.call("internet", TUNNEL, 3142) == "10.88.0.2"
        head.run("head", *SET)
        assert head.call("internet", TUNNEL, 3142) == LOST


def test_s06_the_desktop_is_reached_by_the_tunnel_and_from_nowhere_else(head: Head) -> None:
    """Not by a board that sends to the tunnel's address over its own cable, which the kernel would
    hand to whoever listens there: the firewall stops it."""
    let_in(head, "tablet")
    found = cluster("tablet")
    head.write({"firewall": firewall.rules(found, found.node("laptop"))})
    head.run("board", "ip", "route", "replace", "10.88.0.0/24", "via", INSIDE)
    with device(head, "tablet"), head.echo("head", 3389):
        head.run("head", "nft", "-f", "/run/firewall")
        assert comes_in(head, TUNNEL, 3389) == "10.88.0.2"
        assert head.call("board", TUNNEL, 3389) == LOST
        assert head.call("board", INSIDE, 3389) == LOST
        assert head.call("internet", OUTSIDE, 3389) == LOST
        head.run("head", "nft", "delete", "table", "inet", "wulfling")
        assert head.call("board", TUNNEL, 3389) == BOARD
    head.run("board", "ip", "route", "delete", "10.88.0.0/24")


def test_boards_are_reached_only_where_the_file_says_so(head: Head) -> None:
    with device(head, "tablet"), head.echo("board", 22), head.echo("board", 2049):
        head.run("internet", "ip", "route", "replace", "10.0.0.0/24", "dev", "tablet")
        let_in(head, "tablet", to_boards=False)
        assert head.call("internet", BOARD, 22) == LOST
        head.run("head", "nft", "delete", "table", "ip", "wulfling_remote")
        assert head.call("internet", BOARD, 22) == "10.88.0.2", "by the kernel's forwarding alone"
        let_in(head, "tablet", to_boards=True)
        assert head.call("internet", BOARD, 22) == INSIDE
        assert head.call("internet", BOARD, 2049) == LOST


def test_nobody_begins_to_talk_to_a_device(head: Head) -> None:
    let_in(head, "tablet")
    with device(head, "tablet"), head.echo("internet", 22), head.echo("board", 22):
        assert head.call("internet", BOARD, 22) == INSIDE
        assert head.call("board", "10.88.0.2", 22) == LOST
        head.run("head", "nft", "delete", "table", "ip", "wulfling_remote")
        assert head.call("board", "10.88.0.2", 22) == BOARD
        head.run("head", *SET)


def test_a_second_time_changes_nothing(head: Head) -> None:
    let_in(head, "tablet", "phone")
    looks = (
        "wg show wulfling peers | sort",  # in no order of its own
        "wg pubkey </run/wulfling.key",
        "ip -4 address show wulfling",
    )
    before = [head.run("head", "sh", "-c", look) for look in looks]
    rules = head.run("head", "nft", "-s", "list", "ruleset")
    head.run("head", *SET)
    assert [head.run("head", "sh", "-c", look) for look in looks] == before
    assert head.run("head", "nft", "-s", "list", "ruleset") == rules
    assert head.run("head", "stat", "-c", "%a", "/run/wulfling.key") == "600"


def test_what_comes_by_tailscale_reaches_ssh_and_nothing_else() -> None:
    """By IPv4 and IPv6, and to no board: a cable by the name of its interface, because its servers
    are not here."""
    with two_sided_head() as head:
        for line in (
            "link set wlan0 down",
            "link set wlan0 name tailscale0",
            "link set tailscale0 up",
            "address add fd7a:115c:a1e0::1/64 dev tailscale0 nodad",
        ):
            head.run("head", "ip", *line.split())
        head.run("internet", "ip", *"address add fd7a:115c:a1e0::2/64 dev eth0 nodad".split())
        head.run("internet", "ip", *f"route replace 10.0.0.0/24 via {OUTSIDE}".split())
        head.run("board", "ip", *f"address add {BOARD}/24 dev eth0".split())
        head.run("board", "ip", *f"route replace default via {INSIDE}".split())
        head.run("head", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        head.write({"rules": tailscale.RULES_TEXT})
        places = ((OUTSIDE, "head"), ("fd7a:115c:a1e0::1", "head"), (BOARD, "board"))
        ports = [(side, port) for side in ("head", "board") for port in (22, 3142)]
        with ExitStack() as stack:
            for side, port in ports:
                stack.enter_context(head.echo(side, port))
            reached = {
                rules: {
                    (address, port)
                    for address, _ in places
                    for port in (22, 3142)
                    if head.call("internet", address, port) != LOST
                }
                for rules in (False, True)
                if not rules or head.run("head", "nft", "-f", "/run/rules") == ""
            }
            assert head.call("board", "198.51.100.2", 22) == LOST
    everything = {(address, port) for address, _ in places for port in (22, 3142)}
    assert reached == {
        False: everything,
        True: {(OUTSIDE, 22), ("fd7a:115c:a1e0::1", 22)},
    }


def test_keys_are_those_of_wg(head: Head) -> None:
    for key in (new_key() for _ in range(30)):
        assert public_of(key) == head.run("head", "wg", "pubkey", stdin=key)
