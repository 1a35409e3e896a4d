"""The way to the head by a machine in between, on boards: each as its own system has it, switched
off and on (0-05, 0-12). What the tunnel refuses is in test_relay.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from boards import Cluster, own_lab

pytestmark = pytest.mark.crash

NAME = "test-relay"
ONLY_BOARDS = f"""\
wulfling: 1
cluster: {NAME}
boards: virtual
network: 10.0.0.0/24
storage: false
slurm: false
nodes:
  head: {{address: 10.0.0.1, memory: 384M, roles: [head]}}
"""
MACHINE = "  vps: {address: 10.0.0.9, memory: 256M}\n"
RELAY = """\
remote:
  relay:
    host: 10.0.0.9
    host_key: {}
"""
HOST_KEY = "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub"
# Who answers at the port that is to lead to the head.
ARRIVES = "ssh-keyscan -t ed25519 -p 2222 127.0.0.1 2>/dev/null | cut -d' ' -f2,3"
LET_IN = """
id relay > /dev/null 2>&1 || useradd -m relay
install -d -o relay -g relay -m 700 /home/relay/.ssh
cat > /home/relay/.ssh/authorized_keys
"""


@dataclass(frozen=True)
class Way:
    """A cluster of one board, and the machine that is none of its nodes."""

    home: Cluster
    network: Cluster

    def leads_to(self, key: str, seconds: int = 180) -> None:
        """Return when the machine's port leads to whoever has this key ("" is nobody)."""
        said = "nothing yet"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said = self.network.on("vps", ARRIVES).strip()
            if said == key:
                return
            time.sleep(2)
        pytest.fail(f"after {seconds} s it leads to {said!r}, and not to {key!r}")

    @property
    def head(self) -> str:
        return self.home.on("head", HOST_KEY).strip()


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    file = tmp_path_factory.mktemp("relay") / "cluster.yaml"
    everyone = file.with_name("network.yaml")
    everyone.write_text(ONLY_BOARDS + MACHINE)
    with own_lab(everyone) as network:
        file.write_text(ONLY_BOARDS + RELAY.format(network.on("vps", HOST_KEY).strip()))
        yield Way(Cluster(file), network)


def test_0_05_what_is_printed_lets_the_head_in(way: Way) -> None:
    way.home.wulfling("apply", "-y")
    way.leads_to("", 5)
    line, said = way.home.start("remote", "relay").communicate(timeout=300)
    way.network.on("vps", f"{LET_IN.strip()} <<'X'\n{line}X")
    way.network.on("vps", said.partition(" there type:\n")[2])
    way.leads_to(way.head)
    way.home.wulfling("plan")


def test_the_tunnel_of_a_head_without_power_does_not_hold_the_port(way: Way) -> None:
    """Nobody calls there meanwhile: the answer to that would end the old tunnel as well."""
    held = "ss -Hltn 'sport = :2222'"
    way.network.wulfling("lab", "cut", "head")
    assert way.network.on("vps", held)
    for _ in range(30):
        if not way.network.on("vps", held):
            break
        time.sleep(3)
    assert not way.network.on("vps", held)


@pytest.mark.parametrize("board", ["head", "vps"])
def test_0_12_after_a_power_cut_nobody_types_anything(way: Way, board: str) -> None:
    way.network.wulfling("lab", "cut", board)
    way.network.wulfling("lab", "up", board)
    way.leads_to(way.head)


def test_it_is_gone_when_the_file_has_it_no_more(way: Way) -> None:
    way.home.file.write_text(ONLY_BOARDS)
    way.home.wulfling("apply", "-y")
    way.leads_to("")
    way.home.wulfling("plan")
