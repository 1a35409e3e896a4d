"""A way to the head by a machine in between (0-05, carrier NAT).

The head, that machine and a laptop are network namespaces, with the sshd and the ssh of this
machine: nothing leads from one lab of virtual boards to another by TCP.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from boards import ROOT
from namespaces import Head, on_a_switch

from wulfling.components import relay
from wulfling.model.cluster import Relay

pytestmark = pytest.mark.lab

PLACES = {"home": "10.0.0.1", "vps": "10.0.0.2", "laptop": "10.0.0.3"}
SSHD = """
Port {port}
ListenAddress {address}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
"""


UNPACKED = ROOT / ".cache" / "sshd"
SERVER = UNPACKED / "usr" / "sbin" / "sshd"
LIBRARIES = ":".join(str(place) for place in UNPACKED.glob("usr/lib/*-linux-gnu"))
# The account that sshd gives up its rights to, in the namespaces alone.
ACCOUNT = """
cp /etc/passwd /run/passwd
grep -q ^sshd: /run/passwd || echo sshd:x:109:65534::/run/sshd:/usr/sbin/nologin >>/run/passwd
mount --bind /run/passwd /etc/passwd
mkdir -p /run/sshd
"""


class Way:
    """The three machines, with a folder for the keys and files of each."""

    def __init__(self, net: Head, folder: Path) -> None:
        self.net = net
        self.folder = folder
        self.user = getpass.getuser()
        for side in PLACES:
            (folder / side).mkdir()
            for key in ("host", "own"):
                words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f")
                subprocess.run([*words, str(folder / side / key)], check=True)

    def public(self, side: str, key: str) -> str:
        return " ".join((self.folder / side / f"{key}.pub").read_text().split()[:2])

    def opens(self, side: str, *lines: str) -> None:
        """Which keys open that machine."""
        (self.folder / side / "authorized_keys").write_text("".join(f"{ln}\n" for ln in lines))

    @contextmanager
    def sshd(self, side: str, address: str = "0.0.0.0") -> Iterator[None]:
        folder = self.folder / side
        text = SSHD.format(port=22, address=address, folder=folder)
        (folder / "sshd_config").write_text(text)
        own = ("env", f"LD_LIBRARY_PATH={LIBRARIES}", str(SERVER))
        words = (*own, "-D", "-e", "-f", str(folder / "sshd_config"))
        with self.net.server(side, *words, ready="Server listening"):
            yield

    def ssh(self, side: str, key: str, *words: str) -> subprocess.CompletedProcess[str]:
        """ssh on one machine by one of its keys, to whatever host key there is."""
        options = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
        known = ("-o", f"UserKnownHostsFile={self.folder / side / 'known'}", "-F", "none")
        argv = ("ssh", *options, *known, "-o", "ConnectTimeout=5", "-i", key, *words)
        return subprocess.run(
            self.net.words(side, *argv), capture_output=True, text=True, check=False, timeout=30
        )

    def arrives(self) -> str:
        """What the laptop sees of the head, by way of the machine in between."""
        own = str(self.folder / "laptop" / "own")
        jump = (
            f"ssh -F none -i {own} -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        )
        jump += f" -o UserKnownHostsFile=/dev/null -W %h:%p {self.user}@{PLACES['vps']}"
        words = ("-o", f"ProxyCommand={jump}", "-p", "2222", f"{self.user}@127.0.0.1")
        return self.ssh("laptop", own, *words, "echo $SSH_CONNECTION").stdout.strip()

    def comes(self, patience: int = 60) -> bool:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.arrives():
                return True
            time.sleep(1)
        return False


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """Their sshd at work, and the laptop's key on both; the head's key is not there yet."""
    if os.getuid():
        pytest.skip("sshd takes root to log anybody in")
    if not SERVER.exists():
        pytest.skip("there is no sshd in .cache; `./dev test` brings one")
    with on_a_switch(PLACES) as net:
        net.run("head", "sh", "-euc", ACCOUNT)
        found = Way(net, tmp_path_factory.mktemp("relay"))
        for side in ("home", "vps"):
            found.opens(side, found.public("laptop", "own"))
        # The head's own listens on loopback: nobody reaches it but by the tunnel.
        with found.sshd("home", "127.0.0.1"), found.sshd("vps"):
            yield found


def program(way: Way, host_key: str) -> tuple[str, Relay]:
    """What runs on the head, with its files in the folder and no pause worth a wait."""
    to = Relay(PLACES["vps"], 22, way.user, 2222, host_key)
    home = str(way.folder / "home")
    (way.folder / "home" / "known_hosts").write_text(f"relay {host_key}\n")
    text = relay._program(to).replace(relay.HOME, home).replace("sleep 10", "sleep 1")
    place = way.folder / "home" / "program"
    place.write_text(text)
    return str(place), to


@contextmanager
def calling(way: Way, host_key: str = "") -> Iterator[Relay]:
    """While the block lasts the head calls."""
    text, to = program(way, host_key or way.public("vps", "host"))
    with subprocess.Popen(
        way.net.words("home", "sh", text), stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield to
        finally:
            os.killpg(process.pid, 15)


def key_of(way: Way) -> str:
    """The public half of what the head has made."""
    place = way.folder / "home" / "key.pub"
    for _ in range(100):
        if place.exists() and place.with_suffix("").exists():
            return place.read_text().strip()
        time.sleep(0.1)
    pytest.fail("no key was made")


def test_0_05_the_laptop_arrives_at_a_head_that_nobody_can_call(way: Way) -> None:
    with calling(way) as to:
        public = key_of(way)
        assert (way.folder / "home" / "key").stat().st_mode & 0o777 == 0o600
        assert not way.comes(patience=4), "its key is not there yet"
        line = relay.authorized_line(to, public)
        way.opens("vps", way.public("laptop", "own"), line)
        assert way.comes()
        assert way.arrives().startswith("127.0.0.1 "), "at the head's own sshd"
    assert not way.comes(patience=3), "the head has hung up"


def test_it_is_there_again_after_the_cable_was_out(way: Way) -> None:
    with calling(way):
        assert way.comes()
        way.net.run("head", "ip", "link", "set", "port0", "down")
        time.sleep(2)
        way.net.run("head", "ip", "link", "set", "port0", "up")
        assert way.comes(patience=120)
        killed = way.net.run(
            "home", "pkill", "-f", f"ssh -F none -N -T .*{way.folder}", check=False
        )
        assert killed == ""
        assert way.comes(), "a tunnel that died is there again"


def test_another_machine_in_its_place_gets_no_word(way: Way) -> None:
    with calling(way, host_key=way.public("laptop", "host")):
        assert not way.comes(patience=8)


def test_the_key_opens_one_port_there_and_does_nothing_else(way: Way) -> None:
    key = str(way.folder / "home" / "key")
    there = f"{way.user}@{PLACES['vps']}"
    assert way.ssh("home", key, there, "echo in").stdout == ""
    for words in (("-R", "127.0.0.1:2223:127.0.0.1:22"), ("-R", "0.0.0.0:2222:127.0.0.1:22")):
        fails = ("-N", "-o", "ExitOnForwardFailure=yes", *words, there)
        assert way.ssh("home", key, *fails).returncode == 255, words
    own = str(way.folder / "laptop" / "own")  # a key without these options
    with way.net.echo("vps", 3306):
        further = ("-W", "127.0.0.1:3306", there)
        assert way.ssh("home", key, *further).stdout == ""
        assert way.ssh("laptop", own, *further).stdout == "127.0.0.1"
