"""The four boards of ``strangers``, adopted as a person would. In file order."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from strangers import NEW, NODES, SECRET, Strangers, four_strangers

from wulfling.transport import pins

pytestmark = pytest.mark.crash  # it kills adopt, and takes eight minutes

NAME = "test-adopt"


@pytest.fixture(scope="module")
def strangers(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Strangers]:
    failed_before = request.session.testsfailed
    found = four_strangers(tmp_path_factory.mktemp("adopt"), NAME)
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
