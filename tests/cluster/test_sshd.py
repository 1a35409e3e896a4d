"""The boards' rules for sshd, given to a real sshd on this machine and looked at by ssh-audit.

Boards run sshd as root; here it takes no logins, which is all that its greeting needs (issue 5,
item 3).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.golden.test_golden import SHAPES, cluster_of

from wulfling.components.sshd import HOST_KEY, rules
from wulfling.transport import pins
from wulfling.transport.entry import knock
from wulfling.transport.link import Address

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2] / ".cache" / "sshd"
SSHD = next((p for p in (Path("/usr/sbin/sshd"), ROOT / "usr/sbin/sshd") if p.exists()), None)
LIBRARIES = ":".join(map(str, ROOT.glob("**/lib/*-linux-gnu")))
AUDIT = (sys.executable, "-m", "ssh_audit.ssh_audit", "--skip-rate-test", "--json")

# As root sshd wants its own account and its folder; both are in a mount namespace of its own.
AS_ROOT = """
mount -t tmpfs none /run && mkdir /run/sshd && mount --bind "$0" /etc/passwd && exec "$@"
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where an sshd listens that has the rules of a board."""
    if SSHD is None:
        pytest.skip("no sshd, and openssh-server could not be unpacked")
    folder = tmp_path_factory.mktemp("sshd")
    config = written(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        found = int(free.getsockname()[1])
    listen = ("-o", f"ListenAddress=127.0.0.1:{found}", "-o", "PidFile=none")
    words = started(folder, str(SSHD), "-D", "-e", "-f", str(config), *listen)
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=environment()) as server:
        for _ in range(200):
            with socket.socket() as knocking:
                if server.poll() is not None or not knocking.connect_ex(("127.0.0.1", found)):
                    break
            time.sleep(0.05)
        assert server.poll() is None, server.stderr and server.stderr.read().decode()
        yield found
        server.terminate()


def written(folder: Path) -> Path:
    """The rules of a board, with a host key of this test."""
    cluster = cluster_of(next(iter(SHAPES)))
    key, config = folder / "key", folder / "sshd_config"
    pins.new_key(key, "test")
    text = rules(cluster, cluster.nodes[0])
    assert HOST_KEY in text
    config.write_text(text.replace(HOST_KEY, str(key)))
    return config


def started(folder: Path, *words: str) -> tuple[str, ...]:
    if os.getuid():
        return words
    passwd = folder / "passwd"
    own = "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    passwd.write_text(Path("/etc/passwd").read_text() + own)
    return ("unshare", "-m", "sh", "-c", AS_ROOT, str(passwd), *words)


def environment() -> dict[str, str]:
    own = {} if Path("/usr/sbin/sshd") == SSHD else {"LD_LIBRARY_PATH": LIBRARIES}
    return {**os.environ, **own}


def audited(port: int) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        (*AUDIT, "-p", str(port), "127.0.0.1"), capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


def test_ssh_audit_has_nothing_to_say(port: int) -> None:
    """Exit 0 of ssh-audit 3.3: neither a failure nor a warning. Later ones warn of each exchange
    that a quantum computer could break, and curve25519 stays for phones and for Windows."""
    code, told = audited(port)
    assert code == 0, told
    offered = [str(entry["algorithm"]) for entry in told["kex"]]  # type: ignore[attr-defined]
    assert "sntrup761x25519-sha512@openssh.com" in offered
    assert "curve25519-sha256" in offered
    assert not [name for name in offered if name.startswith(("ecdh", "diffie-hellman"))]
    keys = [str(entry["algorithm"]) for entry in told["key"]]  # type: ignore[attr-defined]
    assert keys == ["ssh-ed25519"]


@pytest.mark.parametrize("virtual", [False, True])
async def test_wulflings_own_ssh_gets_as_far_as_its_keys(
    port: int, virtual: bool, tmp_path: Path
) -> None:
    """S9: keys and trusted boards open it, and no password does."""
    board = Address(node="pi1", host="127.0.0.1", users=("pi",), port=port, virtual=virtual)
    offer = await knock(board, "pi", tmp_path)
    assert offer.key.startswith("ssh-ed25519 ")
    assert "publickey" in offer.methods
    assert not offer.takes_passwords
