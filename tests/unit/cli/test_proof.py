"""``verify`` and ``status``: their exit codes, and JSON that is nothing but JSON."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.cli import proof, status
from wulfling.cli.main import main
from wulfling.components import compile_cluster
from wulfling.converge.session import NOT_MADE_YET
from wulfling.converge.status import Glance, Watch
from wulfling.converge.verify import probes
from wulfling.errors import Unreachable, WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.health import Health, SlurmNode
from wulfling.model.plan import Status
from wulfling.proc import Finished
from wulfling.transport.fake import Answers, Fake

Run = Callable[..., tuple[int, str, str]]
Say = Callable[..., None]

GONE = Unreachable("10.9.9.2: No route to host", hint="is it on?", where="two")
GOOD = {
    "clock": "0A090901,10.9.9.1,11,1.0,0.000001,0,0,0,0,0,0,0,16.3,Normal\n",
    "mount": "nfs\n",
    "nodes": "one idle none\ntwo idle none\n",
    "mpi": "rank 0 2 1 one\nrank 1 2 1 two\n",
}
MEASURED = Health(load=0.5, memory_mb=1000, free_mb=500, up_seconds=543, clock=0.0)


IDLE = (SlurmNode("one", "IDLE"), SlurmNode("two", "IDLE"))
EXPORTS = (("/home", "10.9.9.2"), ("/nfs", "10.9.9.2"))


@pytest.fixture
def answers(file: Path, board: Hardware, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Boards that say what is right, but for the checks that are named here."""

    def _as_declared(node: str) -> dict[str, Status]:
        hardware = dict.fromkeys(("one", "two"), board)
        known = spec.resolve(spec.load(file), hardware, NOT_MADE_YET, ())
        return {resource.key: Status.OK for resource in compile_cluster(known)[node]}

    def say(
        away: dict[str, WulflingError] | None = None,
        slurm: tuple[SlurmNode, ...] = IDLE,
        **other: str,
    ) -> None:
        cluster = spec.resolve(spec.load(file), {}, None, ())
        commands: dict[str, dict[tuple[str, ...], Finished]] = {"one": {}, "two": {}}
        for probe in probes(cluster):
            text = {**GOOD, **other}[probe.check]
            done = Finished(probe.argv, int(text.startswith("error")), text, "")
            commands[probe.node][probe.argv] = done
        nodes: dict[str, Answers | WulflingError] = {}
        for node, own in commands.items():
            head = replace(MEASURED, slurm_nodes=slurm, exports=EXPORTS)
            told = asdict(head if node == "one" else MEASURED)
            identity = replace(board, machine_id=node)
            nodes[node] = Answers(
                hardware=identity, steps=_as_declared(node), commands=own, health=told
            )
        fake = Fake({**nodes, **(away or {})})
        monkeypatch.setattr(proof, "Ssh", lambda: fake)
        monkeypatch.setattr(status, "Ssh", lambda: fake)

    return say


def test_proven(run: Run, answers: Say) -> None:
    answers()
    code, out, err = run("verify")
    assert code == 0
    assert all(line.startswith("ok ") for line in out.splitlines())
    assert "c: mpi: 2 ranks in 1 world: 1 on one, 1 on two" in out
    assert err.startswith(f"proven by {len(out.splitlines())} checks in ")


def test_what_is_bad_exits_with_4(run: Run, answers: Say) -> None:
    answers(mpi="rank 0 1 0 one\nrank 0 1 0 two\n")
    code, out, err = run("verify")
    assert code == 4
    assert "BAD  c: mpi: 2 ranks in 2 worlds" in out
    assert "       hint: " in out
    assert err.startswith("1 of ")


def test_what_is_bad_brings_its_cause(run: Run, answers: Say) -> None:
    down = SlurmNode("two", "IDLE+DRAIN", "a new fan", "root")
    answers(nodes="one idle none\ntwo drained a new fan\n", slurm=(IDLE[0], down))
    code, out, err = run("verify")
    assert code == 4
    assert "BAD  two: node: two was taken out of service by root: a new fan" in out
    assert err.endswith("next: wulfling -f cluster.yaml doctor\n")


def test_a_command_that_fails_exits_with_4_and_shows_what_it_said(run: Run, answers: Say) -> None:
    answers(nodes="error: slurmctld is away\n")
    code, out, _ = run("verify")
    assert code == 4
    assert "slurmctld is away" in out


def test_a_board_that_is_away_exits_with_3(run: Run, answers: Say) -> None:
    answers(away={"two": GONE})
    code, out, _ = run("verify")
    assert code == 3
    assert "?    two: clock: 10.9.9.2: No route to host\n       hint: is it on?\n" in out


def test_verify_in_json(run: Run, answers: Say) -> None:
    answers(away={"two": GONE})
    code, out, _ = run("verify", "-o", "json")
    assert code == 3
    told = json.loads(out)
    assert {finding["verdict"] for finding in told} == {"good", "unknown"}
    assert not [f for f in told if f["verdict"] == "good" and f["hint"]]


WELL = """\
c: 2 of 2 well

NODE  ROLES         ADDRESS   STATE  LOAD         MEMORY      UP
one   head,compute  10.9.9.1  idle   █░░░░░ 0.50  ███░░░ 50%  9 min
two   compute       10.9.9.2  idle   █░░░░░ 0.50  ███░░░ 50%  9 min

queue  no jobs
"""


def test_status(run: Run, answers: Say) -> None:
    answers()
    assert run("status") == (0, WELL, "")


def test_status_on_a_terminal_without_such_letters(
    file: Path, answers: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers()
    said = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", said)
    assert main(["status"]) == 0
    said.seek(0)
    assert "one   head,compute  10.9.9.1  idle   #..... 0.50" in said.read()


def test_status_of_a_node_that_is_down_exits_with_4(run: Run, answers: Say) -> None:
    down = SlurmNode("two", "DOWN+NOT_RESPONDING", "Not responding", "slurm")
    answers(slurm=(IDLE[0], down))
    code, out, _ = run("status")
    assert code == 4
    assert "  down*  " in out
    assert "    takes no new jobs: Not responding\n" in out


def test_status_of_a_board_that_is_away_exits_with_3(run: Run, answers: Say) -> None:
    answers(away={"two": GONE})
    code, out, _ = run("status")
    assert code == 3
    assert out.startswith("c: 1 of 2 well, 1 away\n")
    assert "    unreachable: 10.9.9.2: No route to host\n" in out


def test_status_in_json(run: Run, answers: Say) -> None:
    answers(away={"two": GONE})
    told = json.loads(run("status", "-o", "json")[1])
    assert [(node["node"], node["reachable"]) for node in told] == [("one", True), ("two", False)]


@pytest.mark.parametrize(("words", "shown"), [(["-o", "json"], "[{"), ([], "c: 2 of 2 well")])
def test_watching_goes_on_until_ctrl_c(
    run: Run, answers: Say, words: list[str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130 as documented, and nothing but what was asked for."""
    answers()
    looks: list[float] = []
    look = Watch.glance

    def glance(self: Watch) -> Glance:
        looks.append(0.0)
        if len(looks) == 3:
            raise KeyboardInterrupt
        return look(self)

    monkeypatch.setattr(Watch, "glance", glance)
    real = asyncio.wait
    monkeypatch.setattr(asyncio, "wait", lambda tasks, timeout: real(tasks, timeout=0.05))
    code, out, err = run("status", "--watch", "--every", "1", *words)
    assert (code, err) == (130, "")
    assert out.count(shown) == 2
    if words:
        assert [len(json.loads(line)) for line in out.splitlines()] == [2, 2]


def test_the_view_says_what_to_install(
    run: Run, answers: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers()
    for name in [name for name in sys.modules if name.split(".")[0] == "textual"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "wulfling.cli.tui", raising=False)
    monkeypatch.setitem(sys.modules, "textual", None)
    code, out, err = run("status", "--tui")
    assert (code, out) == (1, "")
    assert "hint: pip install 'wulfling[tui]'" in err


def test_the_view_is_no_json(run: Run, answers: Say) -> None:
    answers()
    assert run("status", "--tui", "-o", "json")[0] == 64
