"""``verify`` and ``status``: their exit codes, and JSON that is nothing but JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.cli import proof
from wulfling.components import compile_cluster
from wulfling.converge.session import NOT_MADE_YET
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


def test_status(run: Run, answers: Say) -> None:
    answers()
    assert run("status") == (
        0,
        "NODE  ADDRESS   ROLES         STATE  LOAD  MEMORY           UP\n"
        "one   10.9.9.1  head,compute  idle   0.50  500 of 1000 MiB  9 min\n"
        "two   10.9.9.2  compute       idle   0.50  500 of 1000 MiB  9 min\n",
        "",
    )


def test_status_of_a_node_that_is_down_exits_with_4(run: Run, answers: Say) -> None:
    down = SlurmNode("two", "DOWN+NOT_RESPONDING", "Not responding", "slurm")
    answers(slurm=(IDLE[0], down))
    code, out, _ = run("status")
    assert code == 4
    assert "down* (Not responding)" in out


def test_status_of_a_board_that_is_away_exits_with_3(run: Run, answers: Say) -> None:
    answers(away={"two": GONE})
    code, out, _ = run("status")
    assert code == 3
    assert "unreachable: 10.9.9.2: No route to host" in out


def test_status_in_json(run: Run, answers: Say) -> None:
    answers(away={"two": GONE})
    told = json.loads(run("status", "-o", "json")[1])
    assert [(node["node"], node["reachable"]) for node in told] == [("one", True), ("two", False)]
