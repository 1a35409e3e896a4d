"""status on real boards (issue 4, item 2): in words, on a phone, while a board goes and comes back,
and in the view with its keys."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pexpect
import pytest
from boards import ROOT, Cluster
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, RichLog

from wulfling.cli.rack import operator
from wulfling.cli.setting import setting
from wulfling.cli.tui import Reason, View
from wulfling.converge.status import Watch
from wulfling.day2.rack import Rack
from wulfling.errors import WulflingError
from wulfling.transport.ssh import Ssh

pytestmark = pytest.mark.crash

HEAD, WORKER, FILES = "rpnode01", "rpnode02", "filenode01"
PATIENCE = 90  # lines of --watch until what was done is seen; one a second


def asked(cluster: Cluster, code: int = 0) -> dict[str, dict[str, Any]]:
    said = json.loads(cluster.wulfling("status", "-o", "json", code=code))
    return {node["node"]: node for node in said}


@contextmanager
def drained(cluster: Cluster, reason: str) -> Iterator[None]:
    cluster.wulfling("node", "drain", WORKER, "--reason", reason)
    yield
    cluster.wulfling("node", "resume", WORKER)


def test_what_boards_tell_is_what_they_are(cluster: Cluster) -> None:
    """Every key is documented, and the figures are those that the board itself has."""
    found = asked(cluster)
    assert list(found) == [HEAD, WORKER, FILES]
    page = (ROOT / "docs/reference/json.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", page.partition("\n## status\n")[2], re.MULTILINE)
    for node in found.values():
        assert set(node) <= set(documented)
        assert (node["reachable"], node["wrong"]) == (True, [])
        assert node["updates"] is not None and node["seen_seconds"] is not None
    worker = found[WORKER]
    assert worker["state"] == "idle"
    kib = int(cluster.on(WORKER, "grep MemTotal /proc/meminfo").split()[1])
    assert worker["memory_mb"] == kib // 1024
    written = cluster.on(WORKER, "cat /sys/fs/ext4/*/lifetime_write_kbytes").split()
    assert worker["written_gib"] == max(int(kb) for kb in written) >> 20
    paths = [share["path"] for share in found[FILES]["serves"]]
    assert paths == ["/home", "/nfs"]


def test_the_queue_by_reason(cluster: Cluster) -> None:
    with drained(cluster, "so that a job waits"):
        job = cluster.pi("sbatch --parsable -w rpnode02 --mem=20 -o /dev/null --wrap true").strip()
        cluster.on(HEAD, f"until squeue -h -j {job} -o %r | grep Req; do sleep 0.2; done")
        (waiting,) = asked(cluster, code=4)[HEAD]["queue"]
        assert (waiting["state"], waiting["jobs"]) == ("PENDING", 1)
        assert waiting["reason"].startswith("ReqNodeNotAvail")
        cluster.on(HEAD, f"scancel {job}")


def test_a_drained_node_says_why_on_a_phone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with drained(cluster, "new fan, says kim"):
        said = cluster.wulfling("status", code=4)
    assert max(map(len, said.splitlines())) <= 40
    assert "  ! takes no new jobs: new fan, says kim\n" in said
    assert re.search(r"^rpnode02  drained +compute$", said, re.MULTILINE)


def test_a_stopped_board_is_away_and_comes_back(cluster: Cluster) -> None:
    """--watch sees both, goes on meanwhile, and Ctrl-C ends it with 130 and no word."""
    watching = cluster.start("status", "--watch", "--every", "1", "-o", "json")
    try:
        until(watching, lambda worker: worker["reachable"] is True)
        cluster.wulfling("lab", "cut", WORKER)
        gone = until(watching, lambda worker: worker["reachable"] is False)
        assert gone["reason"] and gone["seen_seconds"] is not None
        said = cluster.wulfling("status", code=3)
        assert "1 away\n" in said.splitlines(keepends=True)[0]
        assert "    unreachable: " in said
        cluster.wulfling("lab", "up", WORKER)
        until(watching, lambda worker: worker["reachable"] is True)
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
        assert (watching.returncode, err) == (130, "")
    finally:
        watching.kill()
        watching.wait()
    cluster.wait_idle()


def until(
    watching: subprocess.Popen[str], come: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The worker as the first line has it in which it has come to that."""
    assert watching.stdout
    for _ in range(PATIENCE):
        line = watching.stdout.readline()
        assert line, "it has ended"
        (worker,) = [node for node in json.loads(line) if node["node"] == WORKER]
        if come(worker):
            return dict(worker)
    pytest.fail(f"{PATIENCE} lines later: {worker}")


def test_on_a_terminal_the_picture_is_drawn_again_until_ctrl_c(cluster: Cluster) -> None:
    words = ["-m", "wulfling", "-f", str(cluster.file), "status", "--watch", "--every", "1"]
    child = pexpect.spawn(sys.executable, words, dimensions=(40, 40), encoding="utf-8", timeout=60)
    child.expect("3 of 3 well")
    child.expect("[0-9]+ s, a look every 1 s; Ctrl-C")
    child.expect("3 of 3 well")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "interrupted" not in child.before


async def test_the_view_drains_and_resumes_a_real_node(cluster: Cluster) -> None:
    prepared = setting(cluster.file)
    boards = Rack(prepared.resolve(), prepared.addresses, Ssh(), operator())
    view = View(Watch(boards.cluster, prepared.addresses, Ssh()), boards, every=2)

    def worker() -> str:
        return str(view.screen_stack[0].query_one("#table", DataTable).get_cell(WORKER, "STATE"))

    def log() -> str:
        lines = view.screen_stack[0].query_one("#log", RichLog).lines
        return "\n".join(line.text for line in lines)

    async with view.run_test(size=(80, 50)) as pilot:
        await come(pilot, lambda: worker() == "idle")
        await pilot.press("down")
        await come(pilot, lambda: f"{WORKER} slurmd[" in log())
        await pilot.press("d")
        await come(pilot, lambda: isinstance(view.screen, Reason))
        view.screen.query_one(Input).value = "new fan, says kim"
        await pilot.press("enter")
        await come(pilot, lambda: worker() == "drained")
        assert cluster.on(HEAD, f"sinfo -hN -n {WORKER} -o %E").strip() == "new fan, says kim"
        await pilot.press("r")
        await come(pilot, lambda: worker() == "idle")
    assert cluster.on(HEAD, f"sinfo -hN -n {WORKER} -o %T").strip() == "idle"


async def come(pilot: Pilot[WulflingError], there: Callable[[], bool]) -> None:
    for _ in range(600):
        if there():
            return
        await pilot.pause(0.1)
    pytest.fail("it did not come to that")
