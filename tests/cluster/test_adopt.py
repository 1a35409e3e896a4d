"""Four boards as nobody should trust them, adopted as a person would. In file order.

All have an account with a password, no key of ours, and sudo that asks. n2 has no Python, lives
in 1970, and another apt is at work on it; n3 and n4 are copies of n1's card; the password of n3
has expired, and that of n4 is the maker's.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest
from boards import Cluster

from wulfling.transport import pins

pytestmark = pytest.mark.crash  # it kills adopt, and takes eight minutes

NAME = "test-adopt"
NODES = ("n1", "n2", "n3", "n4")
USERS = {"n1": "pi", "n2": "pi", "n3": "ubuntu", "n4": "pi"}
SECRET = 'correct horse\'s "battery" $7'
NEW = "staple-0123456789"
PASSWORDS = {"n1": SECRET, "n2": SECRET, "n3": SECRET, "n4": "raspberry"}
FILE = f"""wulfling: 1
cluster: {NAME}
boards: virtual
nodes:
  n1: {{address: 10.0.0.1, memory: 192M, roles: [head, compute]}}
  n[2-4]: {{address: 10.0.0.2, memory: 192M}}
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


@pytest.fixture(scope="module")
def strangers(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Strangers]:
    file: Path = tmp_path_factory.mktemp("adopt") / "cluster.yaml"
    release = os.environ.get("WULFLING_RELEASE", "bookworm")  # as for the other tests here
    text = FILE.replace("{address:", f"{{release: {release}, address:")
    file.write_text(text, encoding="utf-8")
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
        password = base64.b64encode(PASSWORDS[node].encode()).decode()
        found.on(node, STRANGE.format(user=USERS[node], password=password, more=more[node]))
    key = pins.pinned(NAME, "10.0.0.1")[0]
    found.prints.update(dict.fromkeys(NODES, pins.fingerprint(key)))
    found.prints["n2"] = pins.fingerprint(pins.pinned(NAME, "10.0.0.2")[0])
    pins.known_hosts(NAME).unlink()
    failed_before = request.session.testsfailed
    yield found
    if request.session.testsfailed == failed_before and not os.environ.get("WULFLING_KEEP"):
        found.wulfling("lab", "destroy")


@contextmanager
def watched(*secrets: str) -> Iterator[list[str]]:
    """Looks at every process of this machine, and at its variables, as fast as it can."""
    found: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for place in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):  # of all users, if we are root
                    try:
                        said = (place / name).read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    found.extend(said for secret in secrets if secret in said)
            time.sleep(0.05)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def test_nobody_is_trusted_without_a_fingerprint(strangers: Strangers) -> None:
    said = strangers.refused("adopt", code=3)
    assert strangers.prints["n2"] in said
    assert "a copy of n1's card" in said
    assert "adopt --answers FILE" in said


def test_another_fingerprint_stops_everything(strangers: Strangers) -> None:
    other = "SHA256:" + "A" * 43
    answers = strangers.answers(*NODES, n2={"fingerprint": other})
    said = strangers.refused("adopt", "--answers", answers, code=8)
    assert f"and the answers say {other}" in said
    assert pins.pinned(NAME, "10.0.0.1") == ()


def test_a_person_at_the_terminal(strangers: Strangers) -> None:
    """n2: no Python, 1970, and an unattended upgrade that has the lock of apt."""
    argv = ["-m", "wulfling", "-f", str(strangers.file), "adopt", "n2", "--user", "pi"]
    with watched(SECRET) as seen:
        child = pexpect.spawn(
            sys.executable,
            argv,
            encoding="utf-8",
            timeout=120,
            dimensions=(40, 160),
            env={**os.environ, "COLUMNS": "160"},
        )
        child.expect_exact(strangers.prints["n2"])
        child.expect_exact("(yes/no)")
        child.sendline("yes")
        child.expect_exact("Password of pi on n2")
        child.waitnoecho()
        child.sendline(SECRET)
        child.expect_exact("waits for unattended-upgr (process ")
        child.expect_exact("which is changing packages")
        child.expect_exact("n2: adopted (clock, packages python3, admin account, passwords off)")
        said = child.read()
        child.close()
    assert child.exitstatus == 0
    assert "apply" in said
    assert seen == []
    assert strangers.on("n2", "python3 -c 'print(6 * 7)'") == "42\n"
    assert abs(int(strangers.on("n2", "date +%s")) - time.time()) < 60


def test_a_wrong_password_is_tried_once(strangers: Strangers) -> None:
    answers = strangers.answers("n1", n1={"password": "mistyped it"})
    said = strangers.refused("adopt", "n1", "--answers", answers, code=4)
    assert "does not take this password for pi; it was offered once" in said
    assert "mistyped it" not in said


def test_the_makers_password_is_refused(strangers: Strangers) -> None:
    said = strangers.refused("adopt", "n4", "--answers", strangers.answers("n4"), code=4)
    assert "the maker's password still opens pi" in said
    assert "raspberry" not in said


@pytest.mark.parametrize("seconds", [1.5, 3, 5])
def test_it_is_killed(strangers: Strangers, seconds: float) -> None:
    answers = strangers.answers(
        "n1", "n3", "n4", n3={"new_password": NEW}, n4={"new_password": NEW}
    )
    process = strangers.start("adopt", "n1", "n4", "--answers", answers)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_all_the_rest_without_a_question(strangers: Strangers) -> None:
    answers = strangers.answers(*NODES, n3={"new_password": NEW}, n4={"new_password": NEW})
    with watched(SECRET, NEW) as seen:
        out = strangers.wulfling("adopt", "-o", "json", "--answers", answers)
    assert seen == []
    assert SECRET not in out and NEW not in out
    rows = {row["node"]: row for row in json.loads(out)}
    assert all(row["adopted"] for row in rows.values()), rows
    assert rows["n2"]["changed"] == []
    assert len({row["fingerprint"] for row in rows.values()}) == 4
    assert rows["n1"]["fingerprint"] == strangers.prints["n1"], "the first keeps its identity"
    for what in ("hostname", "cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub"):
        assert len({strangers.on(node, what) for node in NODES}) == 4, what


def test_a_second_run_changes_nothing(strangers: Strangers) -> None:
    state = "stat -c '%n %Y %Z' /etc/ssh/* /etc/shadow /etc/passwd /etc/sudoers.d/* /etc/machine-id"
    before = [strangers.on(node, state) for node in NODES]
    out = strangers.wulfling("adopt", "--answers", strangers.answers(*NODES))
    assert out.splitlines() == [f"{node}: is adopted" for node in NODES]
    assert [strangers.on(node, state) for node in NODES] == before


def test_no_password_opens_a_board_and_none_is_written_anywhere(strangers: Strangers) -> None:
    for node in NODES:
        said = strangers.on(node, "journalctl --no-pager; ps -e -o args; cat /root/.*history || :")
        for secret in (SECRET, NEW):
            assert secret not in said, node
        sshd = strangers.on(node, "sshd -T").splitlines()
        assert {"passwordauthentication no", "kbdinteractiveauthentication no"} <= set(sshd)
    said = strangers.on("n1", "journalctl --no-pager -u ssh")
    assert said.count("Failed password") == 1, "the wrong one, once"
    for place in pins.state_directory(NAME).rglob("*"):
        if place.is_file():
            kept = place.read_text()
            assert SECRET not in kept and NEW not in kept, place
    hashes = strangers.on("n4", "getent shadow pi | cut -d: -f2").strip()
    made = strangers.on("n4", f"perl -e 'print crypt(\"{NEW}\", $ARGV[0])' '{hashes}'").strip()
    assert made == hashes, "the new password is the one that was given"


def test_apply_and_verify(strangers: Strangers) -> None:
    strangers.wulfling("apply", "-y")
    findings = json.loads(strangers.wulfling("verify", "-o", "json"))
    assert {finding["verdict"] for finding in findings} == {"good"}
    assert strangers.wulfling("plan") == "0 changes on 4 nodes\n"
    out = strangers.wulfling("adopt", "--answers", strangers.answers(*NODES))
    assert out.splitlines() == [f"{node}: is adopted" for node in NODES]


def test_a_host_key_that_changed_is_refused(strangers: Strangers) -> None:
    strangers.on(
        "n1",
        "rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f"
        " /etc/ssh/ssh_host_ed25519_key; systemctl reload ssh",
    )
    said = strangers.refused("adopt", "--answers", strangers.answers(*NODES), code=8)
    assert f"pinned is {strangers.prints['n1']}" in said
