"""The desktop (0-13 to 0-15, S6): on the head alone, at no address that the house or the internet
can reach, and for whoever has made a password of the own."""

from __future__ import annotations

import configparser
from dataclasses import replace

import pytest
from tests.unit.components.test_remote import WAY

from wulfling.components import compile_cluster, desktop, firewall
from wulfling.model.cluster import Cluster
from wulfling.model.ports import PORTS, Port, Who
from wulfling.node.desktop import PROGRAM
from wulfling.node.resources.file import File


@pytest.fixture
def asked(cluster: Cluster) -> Cluster:
    return replace(cluster, desktop=True, wireguard=WAY)


def text(cluster: Cluster, path: str) -> str:
    (found,) = [
        r for r in compile_cluster(cluster)["one"] if isinstance(r, File) and r.path == path
    ]
    return found.content


def ini(cluster: Cluster, path: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.read_string(text(cluster, path))
    return found


def test_without_a_word_in_the_file_nothing_is_declared(cluster: Cluster) -> None:
    assert [r for node in cluster.nodes for r in desktop.resources(cluster, node)] == []


def test_only_the_head_has_it(asked: Cluster) -> None:
    found = [bool(list(desktop.resources(asked, node))) for node in asked.nodes]
    assert found == [True, False, False]


def test_s06_it_listens_in_the_tunnel_and_on_loopback_alone(asked: Cluster) -> None:
    found = ini(asked, desktop.XRDP_FILE)["Globals"]
    assert found["port"] == "tcp://127.0.0.1:3389 tcp://10.88.0.1:3389"
    assert found["security_layer"] == "tls"
    without = ini(replace(asked, wireguard=None), desktop.XRDP_FILE)["Globals"]
    assert without["port"] == "tcp://127.0.0.1:3389"
    assert ini(asked, desktop.SESMAN_FILE)["Globals"]["ListenAddress"] == "127.0.0.1"
    unit = text(asked, "/etc/systemd/system/xrdp.service.d/wulfling.conf").splitlines()
    assert {"IPAddressDeny=any", "IPAddressAllow=localhost 10.88.0.0/24"} <= set(unit)
    # Not by XRDP_OPTIONS, which /etc/default/xrdp empties: it listened at every address.
    assert {"ExecStart=", f"ExecStart=/usr/sbin/xrdp --config {desktop.XRDP_FILE}"} <= set(unit)


def test_s06_no_account_of_the_system_and_no_other_machine_by_way_of_it(asked: Cluster) -> None:
    """The package's own file offers to call any address that somebody types."""
    kinds = set(ini(asked, desktop.XRDP_FILE).sections())
    assert kinds == {"Globals", "Logging", "Channels", "Xorg"}
    pam = text(asked, desktop.PAM_FILE)
    assert "common-auth" not in pam
    assert f"auth required pam_exec.so quiet expose_authtok {PROGRAM} --check" in pam
    assert ini(asked, desktop.SESMAN_FILE)["Security"]["AllowRootLogin"] == "false"


def test_the_firewall_opens_it_to_the_tunnel_alone(asked: Cluster) -> None:
    lines = [
        line for line in firewall.rules(asked, asked.node("one")).splitlines() if "3389" in line
    ]
    assert [line.strip() for line in lines] == [
        'iifname "wulfling" tcp dport 3389 accept comment "xrdp"'
    ]
    assert "3389" not in firewall.rules(asked, asked.node("two"))
    alone = replace(asked, wireguard=None)
    assert "3389" not in firewall.rules(alone, alone.node("one"))


def test_a_device_reaches_it_where_there_is_one(asked: Cluster) -> None:
    rules = "/etc/wireguard/wulfling.nft"
    assert "tcp dport { 22, 3389 } accept" in text(asked, rules)
    assert "3389" not in text(replace(asked, desktop=False), rules)


PAGES = ("80", "443", "3000", "3389", "5900", "8000", "8080", "8443", "8787", "8888", "9090")


@pytest.mark.parametrize("port", PORTS, ids=lambda port: f"{port.program}-{port.number}")
def test_6_what_shows_people_something_is_bound_to_loopback_or_the_tunnel(port: Port) -> None:
    """Browsers' and screens' usual ports are such, whoever adds one."""
    assert port.shows or port.number not in PAGES
    assert not port.shows or port.who in (Who.ITSELF, Who.TUNNEL)
