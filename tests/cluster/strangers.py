"""Four boards as nobody should trust them, for the tests that make nodes of them.

All have an account with a password, no key of ours, and sudo that asks. n2 has no Python, lives
in 1970, and another apt is at work on it; n3 and n4 are copies of n1's card; the password of n3
has expired, and that of n4 is the maker's.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from boards import MIXED, RELEASE, Cluster

from wulfling.transport import pins

NODES = ("n1", "n2", "n3", "n4")
USERS = {"n1": "pi", "n2": "pi", "n3": "ubuntu", "n4": "pi"}
SECRET = 'correct horse\'s "battery" $7'
NEW = "staple-0123456789"
PASSWORDS = {"n1": SECRET, "n2": SECRET, "n3": SECRET, "n4": "raspberry"}
FILE = """wulfling: 1
cluster: {name}
boards: virtual
nodes:
  n1: {{release: {release}, address: 10.0.0.1, memory: 192M, roles: [head, compute]}}
  n[2-4]: {{release: {release}, address: 10.0.0.2, memory: 192M}}
slurm: false
"""

STRANGE = """
useradd -m -s /bin/bash -G sudo {user}
printf '%s:%s\\n' {user} "$(base64 -d <<<{password})" | chpasswd
{more}
rm -rf /etc/sudoers.d/lab-admin /etc/sysusers.d/lab-admin.conf /var/local/wulfling
sed -i /^wulfling:/d /etc/passwd /etc/shadow /etc/group /etc/gshadow
"""
NO_PYTHON = "apt-get -qq update && apt-get -qq -y remove python3-minimal >/dev/null"
IN_1970 = "systemctl stop systemd-timesyncd; date -s @86400"
# fcntl(2) locks, as apt takes them.
APT_AT_WORK = """
cat >/run/apt-at-work <<'EOF'
$0 = "unattended-upgr";
open F, ">>", "/var/lib/dpkg/lock-frontend";
my $lock = pack "s s x4 q q l x4", 1, 0, 0, 0, 0;
fcntl F, 6, $lock or die;
sleep 45
EOF
systemd-run -q --unit=apt-at-work perl /run/apt-at-work
"""
COPY = "base64 -d <<<{card} | tar -x -C /; hostname n1; systemctl restart ssh"


@dataclass(frozen=True)
class Strangers(Cluster):
    """The boards, and what the fingerprints were before anybody knew them."""

    prints: dict[str, str] = field(default_factory=dict)

    def answers(self, *nodes: str, name: str = "answers", **more: dict[str, str]) -> str:
        """A file of answers for these nodes: account, password, fingerprint, and ``more``."""
        file = self.file.with_name(f"{name}.yaml")
        told = {
            node: {
                "user": USERS[node],
                "password": PASSWORDS[node],
                "fingerprint": self.prints[node],
                **more.get(node, {}),
            }
            for node in nodes
        }
        file.write_text(json.dumps(told))  # which is YAML as well
        file.chmod(0o600)
        return str(file)

    def refused(self, *words: str, code: int) -> str:
        """What ``wulfling`` said on stderr when it exited with ``code``."""
        process = self.start(*words)
        out, err = process.communicate("", timeout=600)
        assert process.returncode == code, f"{out}\n{err}"
        assert "Traceback" not in err
        return err


def estrange(cluster: Cluster, node: str, user: str, password: str, more: str = "") -> None:
    """Take our key and our account from a board, and leave it one with a password."""
    secret = base64.b64encode(password.encode()).decode()
    cluster.on(node, STRANGE.format(user=user, password=secret, more=more))


def four_strangers(folder: Path, name: str) -> Strangers:
    """Boot the boards of a lab called ``name``, and forget all that is known of them."""
    file = folder / "cluster.yaml"
    release = RELEASE if RELEASE not in ("", MIXED) else "bookworm"
    file.write_text(FILE.format(name=name, release=release), encoding="utf-8")
    found = Strangers(file)
    found.wulfling("lab", "destroy")
    found.wulfling("lab", "up")
    card = found.on(
        "n1", "cd /; tar -c etc/ssh/ssh_host_* etc/machine-id etc/hostname | base64 -w0"
    ).strip()
    more = {
        "n1": "",
        "n2": f"{NO_PYTHON}\n{IN_1970}\n{APT_AT_WORK}",
        "n3": COPY.format(card=card) + "\nchage -d 0 ubuntu",
        "n4": COPY.format(card=card),
    }
    for node in ("n1", "n3", "n4", "n2"):  # last where the lock of apt is held for a while
        estrange(found, node, USERS[node], PASSWORDS[node], more[node])
    key = pins.pinned(name, "10.0.0.1")[0]
    found.prints.update(dict.fromkeys(NODES, pins.fingerprint(key)))
    found.prints["n2"] = pins.fingerprint(pins.pinned(name, "10.0.0.2")[0])
    pins.known_hosts(name).unlink()
    return found
