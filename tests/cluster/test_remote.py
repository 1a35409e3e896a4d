"""Devices on another network than the cluster's (0-07 to 0-12): a laptop and a tablet, which are
virtual boards of another lab, behind a router that passes one UDP port on and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from boards import Cluster, own_lab
from forward import port_forward

from wulfling.transport import pins

pytestmark = pytest.mark.crash

HEAD, TUNNEL, ROUTER = "10.0.0.1", "10.88.0.1", "192.168.77.254"
HOME = """\
wulfling: 1
cluster: test-remote
boards: virtual
nodes:
  home: {address: 10.0.0.1, memory: 256M, roles: [head]}
storage: false
slurm: false
people:
  # kim goes to a cafe, and takes the laptop along.
  kim: {keys: [key.pub]}
"""
CAFE = """\
wulfling: 1
cluster: test-remote-cafe
boards: virtual
network: 192.168.77.0/24
nodes:
  laptop: {address: 192.168.77.1, memory: 192M}
  tablet: {address: 192.168.77.2, memory: 192M}
storage: false
slurm: false
"""
INSTALL = """
export DEBIAN_FRONTEND=noninteractive
dpkg-query -W wireguard-go >/dev/null 2>&1 || {
    apt-get -qq update
    apt-get -qq -y install --no-install-recommends wireguard-go wireguard-tools >/dev/null
}
echo tun >/etc/modules-load.d/tun.conf
install -m 700 -d /root/.ssh
(umask 077; cat >/root/.ssh/id_ed25519) <<'EOF'
KEY
EOF
"""
# The device's own system starts it at each boot: wg-quick(8).
CONNECT = """
(umask 077; cat >/etc/wireguard/home.conf) <<'EOF'
CONFIG
EOF
modprobe tun
systemctl enable -q wg-quick@home
systemctl restart wg-quick@home
"""
# What stands in arguments while the head takes its key, again and again, and what is in its logs.
LOOK = r"""
(for _ in $(seq 60); do cat /proc/[0-9]*/cmdline 2>/dev/null || :; done | tr '\0' ' ') &
for _ in 1 2 3; do systemctl reload wulfling-wireguard; done
wait
journalctl
"""
LOGIN = (
    "timeout 5 ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=4"
    " kim@{} hostname 2>/dev/null || echo nobody"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head at home, without a way in from outside."""
    file = tmp_path_factory.mktemp("home") / "cluster.yaml"
    file.write_text(HOME)
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file.with_name("key"))]
    subprocess.run(words, check=True)
    with own_lab(file) as cluster:
        cluster.wulfling("apply", "-y")
        yield cluster


@pytest.fixture(scope="module")
def cafe(home: Cluster) -> Iterator[Cluster]:
    """The network of a cafe, whose router leads to one port at home, with two devices."""
    file = home.file.with_name("cafe.yaml")
    file.write_text(CAFE)
    key = home.file.with_name("key").read_text().strip()
    with own_lab(file) as devices:
        for name in ("laptop", "tablet"):
            devices.on(name, INSTALL.replace("KEY", key))
        with port_forward("test-remote-cafe", "test-remote", HEAD, 51820):
            yield devices


def comes_in(cafe: Cluster, device: str, address: str = TUNNEL) -> str:
    """Where kim's ssh on a device ends up: ``home``, or ``nobody`` is there."""
    return cafe.on(device, LOGIN.format(address)).strip()


def reaches(cafe: Cluster, device: str, patience: int = 120) -> bool:
    """Whether a device gets to the head within that many seconds; nobody types anything there."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if comes_in(cafe, device) == "home":
            return True
    return False


def listed(home: Cluster) -> dict[str, dict[str, object]]:
    """What the head knows of the devices."""
    found = json.loads(home.wulfling("remote", "list", "-o", "json"))
    return {device["name"]: device for device in found}


def connect(home: Cluster, cafe: Cluster, device: str) -> str:
    """Add a device, take its file to it, and have it connect at each boot; its private key."""
    place = home.file.with_name(f"{device}.conf")
    home.wulfling("remote", "add-device", device, "--endpoint", ROUTER, "--out", str(place))
    assert place.stat().st_mode & 0o777 == 0o600
    config = place.read_text()
    cafe.on(device, CONNECT.replace("CONFIG", config))
    found = re.search("PrivateKey = (.*)", config)
    assert found
    return found[1]


def power_cut(cluster: Cluster, board: str) -> None:
    """Pull the plug of a board and put it back."""
    cluster.wulfling("lab", "cut", board)
    cluster.wulfling("lab", "up", board)


def test_0_07_a_laptop_reaches_the_head_only_after_add_device(home: Cluster, cafe: Cluster) -> None:
    for address in (HEAD, TUNNEL):
        assert comes_in(cafe, "laptop", address) == "nobody"
    private = connect(home, cafe, "laptop")
    assert reaches(cafe, "laptop")
    assert comes_in(cafe, "laptop", HEAD) == "home", "the address of the cluster file"
    assert comes_in(cafe, "tablet") == "nobody", "it has no keys"
    assert private not in home.file.read_text()
    assert "# kim goes to a cafe" in home.file.read_text()


def test_a_second_time_changes_nothing(home: Cluster, cafe: Cluster) -> None:
    place = home.file.with_name("laptop.conf")
    before = (home.file.read_text(), place.read_text())
    home.wulfling("remote", "add-device", "laptop", "--out", str(place))
    assert (home.file.read_text(), place.read_text()) == before
    assert home.wulfling("plan", code=0).startswith("0 changes")
    assert comes_in(cafe, "laptop") == "home"


def test_0_12_it_survives_a_power_cut_of_either(home: Cluster, cafe: Cluster) -> None:
    power_cut(home, "home")
    assert reaches(cafe, "laptop"), "the head started anew, and nobody typed anything"
    power_cut(cafe, "laptop")
    assert reaches(cafe, "laptop"), "so did the laptop"


def test_a_second_device_the_same(home: Cluster, cafe: Cluster) -> None:
    connect(home, cafe, "tablet")
    assert reaches(cafe, "tablet")
    assert comes_in(cafe, "laptop") == "home", "the first one stays connected"
    power_cut(cafe, "tablet")
    assert reaches(cafe, "tablet")
    found = listed(home)
    assert list(found) == ["laptop", "tablet"]
    assert all(device["admitted"] and device["last_seen"] for device in found.values())


def test_a_tunnel_that_dies_is_there_again(home: Cluster, cafe: Cluster) -> None:
    home.on("home", "kill -9 $(systemctl show -P MainPID wulfling-wireguard.service)")
    assert reaches(cafe, "tablet")


def test_private_keys_are_where_they_belong(home: Cluster, cafe: Cluster) -> None:
    """Not in an argument, a journal, a plan, an explanation or the cluster file."""
    config = home.file.with_name("laptop.conf").read_text()
    own = home.on("home", "cat /etc/wireguard/wulfling.key").strip()
    keys = [line.split()[-1] for line in config.splitlines() if "PrivateKey" in line]
    said = home.on("home", LOOK)
    said += home.wulfling("explain", "home") + home.wulfling("plan") + home.file.read_text()
    said += home.wulfling("remote", "list", "-o", "json")
    assert "wulfling-wireguard" in said
    for key in (own, *keys):
        assert len(key) == 44
        assert key not in said
    assert home.on("home", "stat -c '%U %a' /etc/wireguard/wulfling.key") == "root 600\n"


def test_after_a_rotation_only_new_keys_come_in(home: Cluster, cafe: Cluster) -> None:
    """Issue 5, item 4: killed in the middle and run again."""
    old = home.on("home", "cat /etc/wireguard/wulfling.key")
    for seconds in (1.5, 3.0):
        home.killed("rotate", "wireguard", "-y", after=seconds)
    home.wulfling("rotate", "wireguard", "-y")
    assert home.on("home", "cat /etc/wireguard/wulfling.key") != old
    for device in ("laptop", "tablet"):
        assert not reaches(cafe, device, patience=15), "it has its old file"
        place = pins.state_directory("test-remote") / "devices" / f"{device}.conf"
        cafe.on(device, CONNECT.replace("CONFIG", place.read_text()))
        assert reaches(cafe, device)
    assert home.wulfling("plan", code=0).startswith("0 changes")


def test_not_after_revoke(home: Cluster, cafe: Cluster) -> None:
    assert reaches(cafe, "laptop")
    home.wulfling("remote", "remove-device", "laptop")
    assert comes_in(cafe, "laptop") == "nobody"
    assert reaches(cafe, "tablet"), "the other one does not notice"
    power_cut(home, "home")
    assert reaches(cafe, "tablet")
    assert comes_in(cafe, "laptop") == "nobody"
    assert list(listed(home)) == ["tablet"]
    assert home.wulfling("plan", code=0).startswith("0 changes")


def test_a_device_that_was_revoked_comes_back_with_other_keys(home: Cluster, cafe: Cluster) -> None:
    place = home.file.with_name("laptop.conf")
    old = place.read_text()
    place.unlink()
    connect(home, cafe, "laptop")
    assert reaches(cafe, "laptop")
    cafe.on("laptop", CONNECT.replace("CONFIG", old))
    assert not reaches(cafe, "laptop", patience=30)


def test_0_12_the_second_device_the_same_when_all_lose_power_and_not_after_revoke(
    home: Cluster, cafe: Cluster
) -> None:
    power_cut(cafe, "laptop")
    home.wulfling("lab", "cut", "home")
    cafe.wulfling("lab", "cut", "tablet")
    home.wulfling("lab", "up", "home")
    cafe.wulfling("lab", "up", "tablet")
    assert reaches(cafe, "tablet")
    home.wulfling("remote", "remove-device", "tablet")
    assert comes_in(cafe, "tablet") == "nobody"
    for board in ("home", "tablet"):
        power_cut(home if board == "home" else cafe, board)
    assert not reaches(cafe, "tablet", patience=30)
    assert list(listed(home)) == ["laptop"]


def test_without_a_way_in_the_head_listens_no_more(home: Cluster, cafe: Cluster) -> None:
    text = home.file.read_text()
    home.file.write_text(text.partition("\nremote:")[0] + "\n")
    home.wulfling("apply", "-y")
    assert home.on("home", "ss -Hlun sport = 51820; ls /sys/class/net | grep wulfling || :") == ""
    assert comes_in(cafe, "tablet") == "nobody"
    assert home.wulfling("plan", code=0).startswith("0 changes")


def test_a_way_in_that_was_closed_opens_again(home: Cluster, cafe: Cluster) -> None:
    """Its key is left on the head, and nothing else of it."""
    connect(home, cafe, "tablet")
    assert reaches(cafe, "tablet")
    assert home.wulfling("plan", code=0).startswith("0 changes")
