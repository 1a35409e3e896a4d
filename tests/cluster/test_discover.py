"""Boards that nobody has written down are found, written down, and made a cluster. In file order.

The network is that of virtual boards: the sweep runs in it as it would on a table at home.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from boards import Cluster
from strangers import NEW, NODES, Strangers, estrange, four_strangers

from wulfling import lab as labs
from wulfling.transport import pins

pytestmark = pytest.mark.crash

NAME = "test-discover"
MULTICAST = "224.0.0.251"
SECRET = "correct horse battery"
FILE = f"""wulfling: 1
cluster: {NAME}
boards: virtual
nodes:
  n1: {{address: 10.0.0.7, memory: 192M, roles: [head, compute]}}
  n2: {{address: 10.0.0.101, memory: 192M}}
  n3: {{address: 10.0.0.250, memory: 192M}}
slurm: false
"""
# As Raspberry Pi OS has it.
AVAHI = """
apt-get -qq update && apt-get -qq -y install avahi-daemon >/dev/null 2>&1
sed -i s/.*publish-workstation.*/publish-workstation=yes/ /etc/avahi/avahi-daemon.conf
systemctl restart avahi-daemon
"""
# Frames that leave the lab's own interface, by their IPv4 target: ARP, and what is in IP.
COUNTER = """
import collections, json, socket, sys
plug = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
plug.bind(("lab0", 0))
plug.settimeout(4)
counts = collections.defaultdict(lambda: [0, 0])
print("listening", flush=True)
try:
    while True:
        frame, (_, _, going, *_) = plug.recvfrom(2048)
        if going == 4 and frame[12:14] == b"\\x08\\x06":
            counts[socket.inet_ntoa(frame[38:42])][0] += 1
        if going == 4 and frame[12:14] == b"\\x08\\x00":
            counts[socket.inet_ntoa(frame[30:34])][1] += 1
except TimeoutError:
    print(json.dumps(counts))
"""


@pytest.fixture(scope="module")
def unknown(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """Three strangers and a cluster file that is not there. n1 announces itself."""
    folder = tmp_path_factory.mktemp("discover")
    made = Cluster(folder / "lab.yaml")
    made.file.write_text(FILE, encoding="utf-8")
    made.wulfling("lab", "destroy")
    made.wulfling("lab", "up")
    failed_before = request.session.testsfailed
    for node in ("n1", "n2", "n3"):
        estrange(made, node, "pi", SECRET, AVAHI if node == "n1" else "")
    pins.known_hosts(NAME).unlink()
    yield Cluster(folder / "cluster.yaml")
    if request.session.testsfailed == failed_before and not os.environ.get("WULFLING_KEEP"):
        made.wulfling("lab", "destroy")


@contextmanager
def counted() -> Iterator[dict[str, tuple[int, int]]]:
    """ARP questions and IP packets by their target, complete when the block has ended."""
    argv = [*labs.inside(NAME), sys.executable, "-c", COUNTER]
    counts: dict[str, tuple[int, int]] = {}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as counter:
        assert counter.stdout
        assert counter.stdout.readline() == "listening\n"
        yield counts
        counts.update(json.loads(counter.stdout.read()))


def test_a_sweep_is_short_and_gentle(unknown: Cluster) -> None:
    """A /24 in less than 10 s, and fewer than 4 packets to an address."""
    began = time.monotonic()
    with counted() as counts:
        out = unknown.wulfling("discover", "--lab", NAME, "-o", "json", code=2)
        took = time.monotonic() - began
    told = json.loads(out)
    assert not unknown.file.exists()
    assert [row["address"] for row in told] == ["10.0.0.7", "10.0.0.101", "10.0.0.250"]
    assert took < 10
    assert len(counts) > 250
    boards = {row["address"] for row in told}
    assert {counts[address][1] for address in boards} == {3}, "SYN, ACK, RST"
    assert all(packets < 4 for _, packets in counts.values())
    assert all(arp < 4 for arp, _ in counts.values())
    assert not any(packets for a, (_, packets) in counts.items() if a not in boards | {MULTICAST})


def test_the_file_is_written(unknown: Cluster) -> None:
    out = unknown.wulfling("discover", "--lab", NAME, "--yes", "--names", "rpnode[01-09]")
    text = unknown.file.read_text(encoding="utf-8")
    note = "  # virtual board, Debian 12"
    assert text.splitlines()[1:] == [
        "wulfling: 1",
        f"cluster: {NAME}",
        "boards: virtual",
        "nodes:",
        f"  n1: {{address: 10.0.0.7, mac: 02:57:0a:00:00:07}}{note}",
        f"  rpnode01: {{address: 10.0.0.101, mac: 02:57:0a:00:00:65}}{note}",
        f"  rpnode02: {{address: 10.0.0.250, mac: 02:57:0a:00:00:fa}}{note}",
    ]
    assert re.search(r"10\.0\.0\.101 +02:57:0a:00:00:65 +\+ rpnode01 +virtual board, Debian", out)
    assert unknown.wulfling("discover") and unknown.file.read_text(encoding="utf-8") == text


def test_a_real_network_is_swept_by_the_same_words(unknown: Cluster) -> None:
    """What runs here is what runs at home: `ip` says which network, nobody says `--lab`. And a
    file that is there gets the new board and keeps its lines."""
    file = unknown.file.with_name("real.yaml")
    text = "wulfling: 1\ncluster: real\n\nnodes:\n  a: {address: 10.0.0.7}\n\n# who\nlogin: k\n"
    file.write_text(text)
    argv = [*labs.inside(NAME), sys.executable, "-m", "wulfling", "-f", str(file), "discover"]
    env = {**os.environ, "HOME": str(file.parent), "XDG_STATE_HOME": str(file.parent)}
    done = subprocess.run(
        [*argv, "--yes"], capture_output=True, text=True, check=False, timeout=60, env=env
    )
    assert done.returncode == 0, done.stderr
    note = "  # virtual board, Debian 12"
    assert file.read_text() == text.replace(
        "  a: {address: 10.0.0.7}\n",
        "  a: {address: 10.0.0.7, mac: 02:57:0a:00:00:07}\n"
        f"  node01: {{address: 10.0.0.101, mac: 02:57:0a:00:00:65}}{note}\n"
        f"  node02: {{address: 10.0.0.250, mac: 02:57:0a:00:00:fa}}{note}\n",
    )
    file.unlink()
    other = subprocess.run(
        [*argv, "-o", "json"], capture_output=True, text=True, check=False, timeout=60, env=env
    )
    assert other.returncode == 2, other.stderr
    assert len(json.loads(other.stdout)) == 3


def test_adopt_and_plan_go_on_with_that_file(unknown: Cluster) -> None:
    file = unknown.file.with_name("answers.yaml")
    boards = {"n1": "n1", "rpnode01": "n2", "rpnode02": "n3"}
    prints = {node: pins.fingerprint(labs.host_key(NAME, board)) for node, board in boards.items()}
    answers = {
        node: {"user": "pi", "password": SECRET, "fingerprint": fingerprint}
        for node, fingerprint in prints.items()
    }
    file.write_text(json.dumps(answers))
    file.chmod(0o600)
    unknown.wulfling("adopt", "--answers", str(file))
    assert "rpnode02" in unknown.wulfling("plan", code=2)


def test_adopted_boards_are_measured_and_roles_suggested(unknown: Cluster) -> None:
    told = json.loads(unknown.wulfling("discover", "-o", "json"))
    assert [row["node"] for row in told] == ["n1", "rpnode01", "rpnode02"]
    for row in told:
        assert row["measured"]["cores"] == 1
        assert row["measured"]["os_version"] == "12"
        assert row["measured"]["disks"][0]["root"]
        assert [link["mac"] for link in row["measured"]["links"]] == [row["mac"]]
    roles = sorted(role for row in told for role in row["suggested"]["roles"])
    assert roles == ["compute", "compute", "head", "storage"]


def test_from_strangers_to_a_cluster_in_four_commands(tmp_path: Path) -> None:
    """Password-only admin everywhere, no Python and 1970 on n2, n3 and n4 with the identity of
    n1: discover, adopt, apply, verify; and nobody is asked anything."""
    name = "test-strangers"
    boards = four_strangers(tmp_path, name)
    answers = boards.answers(*NODES, n3={"new_password": NEW}, n4={"new_password": NEW})
    cluster = Strangers(tmp_path / "found.yaml")
    cluster.wulfling("discover", "--lab", name, "--names", "n[1-4]", "--yes")
    assert cluster.file.read_text(encoding="utf-8").count("{address: 10.0.0.") == 4
    with cluster.file.open("a", encoding="utf-8") as file:
        file.write("slurm: false\n")  # four small boards, and a test of minutes
    cluster.wulfling("adopt", "--answers", answers)
    cluster.wulfling("apply", "-y")
    findings = json.loads(cluster.wulfling("verify", "-o", "json"))
    assert {finding["verdict"] for finding in findings} == {"good"}
    assert cluster.wulfling("plan") == "0 changes on 4 nodes\n"
    boards.wulfling("lab", "destroy")
