"""The firewall that wulfling renders, executed: a namespace for each board, and a stranger.

Virtual boards' kernel has no nftables of family inet (issue 5, item 3). Here the kernel and nft(8)
are this machine's own; systemd's timer is tried on a board (test_ports.py).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from namespaces import Head, on_a_switch
from tests.golden.test_golden import SHAPES, cluster_of

from wulfling.components import compile_cluster
from wulfling.components.firewall import rules
from wulfling.converge.apply import apply
from wulfling.converge.observe import plan
from wulfling.converge.outcome import Outcome
from wulfling.converge.session import CONTACT_PATIENCE, Errand
from wulfling.errors import Unreachable
from wulfling.model.cluster import Cluster, Firewall
from wulfling.model.plan import Status
from wulfling.model.resource import Resource
from wulfling.node.dead_man import PATIENCE
from wulfling.node.resources import as_json
from wulfling.node.resources.firewall import NO_FIREWALL
from wulfling.node.resources.firewall import Firewall as Rules
from wulfling.transport.link import Address, Dial, Link

pytestmark = pytest.mark.lab

SRC = Path(__file__).parents[2] / "src"
CLUSTER = cluster_of("head-worker-storage")
ADDRESSES = {node.name: str(node.address) for node in CLUSTER.nodes} | {"stranger": "10.0.0.99"}
REFUSED = "TimeoutError"  # dropped, and not answered

# Who gets through to what: the port, the board it is on, from a member, from a stranger.
TRIED = (
    (22, "rpnode01", True, True),
    (22, "rpnode02", True, True),
    (22, "filenode01", True, True),
    (6817, "rpnode01", True, False),
    (6819, "rpnode01", True, False),
    (3306, "filenode01", False, False),
    (6818, "rpnode02", True, False),
    (50123, "rpnode02", True, False),  # a rank of MPI
    (29500, "rpnode02", True, False),  # and what people's programs choose themselves
    (2049, "filenode01", True, False),
    (111, "filenode01", False, False),
    (6818, "filenode01", False, False),  # it does not compute
    (50123, "filenode01", False, False),
    (111, "rpnode02", False, False),
    (80, "rpnode01", False, False),
    (25, "rpnode02", False, False),
)


@pytest.fixture(scope="module")
def boards() -> Iterator[Head]:
    with on_a_switch(ADDRESSES) as found:
        for node in CLUSTER.nodes:
            load(found, node.name, CLUSTER)
        yield found


def load(boards: Head, node: str, cluster: Cluster) -> None:
    text = rules(cluster, cluster.node(node))
    boards.run(node, "nft", "-c", "-f", "-", stdin=text)
    boards.run(node, "nft", "-f", "-", stdin=text)


@pytest.mark.parametrize(("port", "board", "member", "stranger"), TRIED)
def test_5_each_port_is_open_to_whom_the_table_says(
    boards: Head, port: int, board: str, *, member: bool, stranger: bool
) -> None:
    other = "rpnode01" if board != "rpnode01" else "rpnode02"
    with boards.echo(board, port):
        for caller, through in ((other, member), ("stranger", stranger)):
            wanted = ADDRESSES[caller] if through else REFUSED
            assert boards.call(caller, ADDRESSES[board], port) == wanted, caller


@pytest.mark.parametrize("shape", SHAPES)
def test_nft_takes_the_rules_of_every_board(boards: Head, shape: str) -> None:
    cluster = cluster_of(shape)
    for node in cluster.nodes:
        boards.run("head", "nft", "-c", "-f", "-", stdin=rules(cluster, node))


def test_it_is_the_rules_that_refuse(boards: Head) -> None:
    """Taken away, the stranger is in: the drill fails without the protection."""
    with boards.echo("filenode01", 2049):
        assert boards.call("stranger", ADDRESSES["filenode01"], 2049) == REFUSED
        boards.run("filenode01", "nft", "delete", "table", "inet", "wulfling")
        assert boards.call("stranger", ADDRESSES["filenode01"], 2049) == ADDRESSES["stranger"]
        load(boards, "filenode01", CLUSTER)
        assert boards.call("stranger", ADDRESSES["filenode01"], 2049) == REFUSED


def test_a_board_reaches_itself_and_everybody_it_asks(boards: Head) -> None:
    with boards.echo("rpnode01", 80):
        assert boards.call("rpnode01", "127.0.0.1", 80) == "127.0.0.1"
        assert boards.call("rpnode01", ADDRESSES["rpnode01"], 80) == ADDRESSES["rpnode01"]
    with boards.echo("stranger", 80):
        assert boards.call("rpnode01", ADDRESSES["stranger"], 80) == ADDRESSES["rpnode01"]


def test_the_file_narrows_ssh_and_opens_ports(boards: Head) -> None:
    narrow = Firewall(ssh=(IPv4Network("192.168.1.0/24"),), open=(("tcp", 80),))
    load(boards, "rpnode02", replace(CLUSTER, firewall=narrow))
    address = ADDRESSES["rpnode02"]
    with boards.echo("rpnode02", 22), boards.echo("rpnode02", 80):
        assert boards.call("stranger", address, 22) == REFUSED
        assert boards.call("rpnode01", address, 22) == ADDRESSES["rpnode01"]
        assert boards.call("stranger", address, 80) == ADDRESSES["stranger"]
    load(boards, "rpnode02", CLUSTER)


def test_a_routers_table_and_ours_live_side_by_side(boards: Head) -> None:
    """wulfling_nat and wulfling replace themselves and never each other."""
    cluster = cluster_of("private-network")
    declared = {r.name: r for r in compile_cluster(cluster)["laptop"]}
    nat = getattr(declared["/etc/nftables.d/wulfling-nat.nft"], "content", "")
    ours = rules(cluster, cluster.node("laptop"))
    for text in (nat, ours, nat, ours):
        boards.run("head", "nft", "-f", "-", stdin=text)
    tables = boards.run("head", "nft", "list", "tables").splitlines()
    assert tables == ["table ip wulfling_nat", "table inet wulfling"]
    boards.run("head", "nft", "delete", "table", "inet", "wulfling")
    assert "masquerade" in boards.run("head", "nft", "list", "ruleset")
    boards.run("head", "nft", "flush", "ruleset")


# The dead-man switch: the real node program, session and nft(8); only systemd is played.

PROGRAM = f"""
import sys
sys.path.insert(0, {str(SRC)!r})
from pathlib import Path
from wulfling.node.board import Board
from wulfling.node.program import main
sys.exit(main(sys.stdin.buffer, sys.stdout.buffer, board=Board(Path("/run/board"))))
"""
SYSTEMD_RUN = """#!/bin/sh
for word; do
    case $word in --on-active=*) seconds=${word#*=} ;; --*) ;; *) break ;; esac
    shift
done
setsid sh -c 'sleep "$0"; rm /run/armed; "$@"' "$seconds" "$@" >/dev/null 2>&1 &
echo $! >/run/armed
"""
SYSTEMCTL = """#!/bin/sh
cd /run/board/etc/systemd/system/sysinit.target.wants
case "$*" in
    "stop wulfling-firewall-revert.timer")
        kill "$(cat /run/armed)" && rm /run/armed || exit 5 ;;
    *enable*) ln -sfn ../x wulfling-firewall.service ;;
    *disable*) rm -f wulfling-firewall.service ;;
esac
"""
FOLDERS = "run var/lib/dpkg/updates etc/systemd/system/sysinit.target.wants etc/nftables.d"


class Session:
    """One run of the node program in the board's namespace, as ``transport.link.Link``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(dict(message)).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            yield json.loads(line)

    async def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


class Operator:
    """Comes to the board's port 22 from the stranger's address, each time by a new connection."""

    def __init__(self, boards: Head) -> None:
        self._boards = boards

    async def open(self, to: Address) -> Link:
        said = await asyncio.to_thread(self._boards.call, "stranger", to.host, 22)
        if said != ADDRESSES["stranger"]:
            raise Unreachable(f"{to.host} port 22: {said}", where=to.node)
        words = self._boards.words(to.node, sys.executable, "-c", PROGRAM)
        pipe = asyncio.subprocess.PIPE
        return Session(await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe))

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def board(boards: Head) -> Iterator[Head]:
    """rpnode02 without a firewall, an sshd of sorts, and systemd's two commands."""
    boards.run("head", "mount", "-t", "tmpfs", "none", "/usr/local/sbin")
    boards.run("head", "rm", "-rf", "/run/board")
    boards.run("head", "mkdir", "-p", *(f"/run/board/{folder}" for folder in FOLDERS.split()))
    files = {"board/etc/passwd": "root:x:0:0::/:/bin/sh\n", "board/etc/group": "root:x:0:\n"}
    boards.write(files)
    for name, text in {"systemd-run": SYSTEMD_RUN, "systemctl": SYSTEMCTL}.items():
        boards.run("head", "tee", f"/usr/local/sbin/{name}", stdin=text)
        boards.run("head", "chmod", "+x", f"/usr/local/sbin/{name}")
    boards.run("rpnode02", "nft", "flush", "ruleset")
    with boards.echo("rpnode02", 22):
        yield boards
    boards.run("head", "umount", "/usr/local/sbin")
    load(boards, "rpnode02", CLUSTER)


def errand(*declared: Resource) -> Errand:
    node = "rpnode02"
    return Errand(
        addresses=(Address(node=node, host=ADDRESSES[node], users=("pi",)),),
        head=node,
        operator="test",
        compile=lambda known: {node: declared},
        blob=lambda sha256: b"",
    )


def applied(board: Head, *declared: Resource) -> Outcome:
    dial: Dial = Operator(board)
    return asyncio.run(apply(errand(*declared), dial))


def wish(firewall: Firewall, **changed: Any) -> Rules:
    cluster = replace(CLUSTER, firewall=firewall)
    return Rules(rules=rules(cluster, cluster.node("rpnode02")), **changed)


def table(board: Head) -> str:
    return board.run("rpnode02", "nft", "-s", "list", "ruleset")


GOOD = Firewall()
LOCKS_OUT = Firewall(ssh=(IPv4Network("192.168.1.0/24"),))


def test_rules_are_kept_once_the_operator_has_come_in_anew(board: Head) -> None:
    assert applied(board, wish(GOOD)).plan.steps[0].status is Status.CHANGED
    assert "policy drop" in table(board)
    assert not board.run("head", "sh", "-c", "ls /run/armed 2>/dev/null || true"), "disarmed"
    kept = board.run("head", "cat", "/run/board/etc/nftables.d/wulfling-firewall.nft")
    assert kept == wish(GOOD).rules.strip()
    again = applied(board, wish(GOOD))
    assert [step.status for step in again.plan.steps] == [Status.OK]
    board.run("rpnode02", "nft", "-f", "/run/board/etc/nftables.d/wulfling-firewall.nft")
    assert planned(board, wish(GOOD)) is Status.OK, "as after a boot"


def planned(board: Head, declared: Resource) -> Status:
    dial: Dial = Operator(board)
    outcome = asyncio.run(plan(errand(declared), dial))
    return outcome.plan.steps[0].status


@pytest.mark.parametrize("before", [None, GOOD])
def test_rules_that_cut_the_operator_off_are_taken_back_and_told(
    board: Head, before: Firewall | None
) -> None:
    """The session that is open goes on through the new rules; a new one proves them wrong."""
    if before is not None:
        applied(board, wish(before))
    was = table(board)
    outcome = applied(board, wish(LOCKS_OUT))
    (step,) = outcome.plan.steps
    assert step.status is Status.FAILED
    assert "no new connection got through (10.0.0.2 port 22: TimeoutError)" in step.message
    assert "firewall: {ssh: ...}" in step.message
    assert table(board) == was
    assert board.call("stranger", ADDRESSES["rpnode02"], 22) == ADDRESSES["stranger"]
    rules_kept = "cat /run/board/etc/nftables.d/wulfling-firewall.nft 2>/dev/null || true"
    kept = board.run("head", "sh", "-c", rules_kept)
    assert kept == (wish(before).rules.strip() if before else ""), "nor at the next boot"


def test_rules_come_back_by_themselves_when_everybody_is_gone(board: Head) -> None:
    """Even the open session is lost here: nobody is left to take anything back."""
    applied(board, wish(GOOD))
    was = table(board)
    declared = wish(LOCKS_OUT, patience=3)
    assert PATIENCE > CONTACT_PATIENCE
    with subprocess.Popen(
        board.words("rpnode02", sys.executable, "-c", PROGRAM),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        said = {"resources": [as_json(declared)], "retire": False}
        for message in ({"do": "apply", "operator": "test"}, said):
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        while json.loads(process.stdout.readline())["event"] != "contact":
            pass
        assert table(board) != was
        process.kill()
    assert board.call("stranger", ADDRESSES["rpnode02"], 22) == REFUSED
    deadline = time.monotonic() + 30
    while table(board) != was and time.monotonic() < deadline:
        time.sleep(0.2)
    assert table(board) == was
    assert board.call("stranger", ADDRESSES["rpnode02"], 22) == ADDRESSES["stranger"]


def test_an_apply_that_was_cut_off_is_run_again(board: Head) -> None:
    """A rule added by hand is a difference, too; `firewall: false` takes all of it away."""
    applied(board, wish(GOOD))
    board.run("rpnode02", *"nft add rule inet wulfling input tcp dport 80 accept".split())
    assert planned(board, wish(GOOD)) is Status.CHANGE
    assert applied(board, wish(GOOD)).plan.steps[0].status is Status.CHANGED
    assert "dport 80" not in table(board)
    assert applied(board, NO_FIREWALL).plan.steps[0].status is Status.CHANGED
    assert table(board) == ""
    assert planned(board, NO_FIREWALL) is Status.OK
