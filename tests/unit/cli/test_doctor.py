"""``doctor``: silence when all is well, exit codes, words for people and JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from wulfling.cli import doctor, job
from wulfling.converge.job import QUESTION
from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable, WulflingError
from wulfling.model.health import Health, Mount, SlurmNode
from wulfling.model.plan import Status
from wulfling.proc import Finished
from wulfling.transport.fake import Answers, Fake

Run = Callable[..., tuple[int, str, str]]
Boards = Callable[[Mapping[str, Mapping[str, Status] | WulflingError]], Fake]
Put = Callable[..., Fake]

ADDRESSES = (("one", "10.9.9.1"), ("two", "10.9.9.2"))
WELL = Health(memory_mb=3792, free_mb=3000, names=ADDRESSES, clock=0.0, up_seconds=900)
HEALTH = {
    "one": replace(
        WELL,
        exports=(("/home", "10.9.9.2"), ("/nfs", "10.9.9.2")),
        versions=(("slurmctld", "22.05.8"), ("slurmd", "22.05.8")),
        slurm_nodes=(SlurmNode("one", "IDLE"), SlurmNode("two", "IDLE")),
    ),
    "two": replace(
        WELL,
        ctld="open",
        mounts=(Mount("/home", "ok", "nfs4"), Mount("/nfs", "ok", "nfs4")),
        versions=(("slurmd", "22.05.8"),),
    ),
}
LATE = replace(HEALTH["two"], clock=700.0)
GONE = Unreachable("10.9.9.2: No route to host", hint="is it switched on?", where="two")


@pytest.fixture
def put(boards: Boards, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Boards that are well, but for what is given."""

    def answer(
        two: WulflingError | Health = HEALTH["two"],
        commands: Mapping[tuple[str, ...], Finished] | None = None,
        **differs: Mapping[str, Status],
    ) -> Fake:
        fake = boards({name: differs.get(name, {}) for name in ("one", "two")})
        for name, was in tuple(fake._nodes.items()):
            assert isinstance(was, Answers)
            facts = two if name == "two" and isinstance(two, Health) else HEALTH[name]
            fake._nodes[name] = replace(
                was,
                hardware=replace(was.hardware, machine_id=name),
                health=json.loads(json.dumps(asdict(facts))),
                commands=commands or {},
            )
        if isinstance(two, WulflingError):
            fake._nodes["two"] = two
        for module in (doctor, job):
            monkeypatch.setattr(module, "Ssh", lambda: fake)
        return fake

    return answer


def test_nothing_is_wrong(run: Run, put: Put) -> None:
    put()
    code, out, err = run("doctor")
    assert (code, out) == (0, "")
    assert err.startswith("nothing is wrong (")


def test_one_sentence_its_evidence_and_what_to_type(run: Run, put: Put) -> None:
    put(LATE)
    code, out, err = run("doctor")
    assert code == 4
    assert out.startswith("two: the clock of two is 700 s off the head's")
    assert "[clock]\n    --fix would: have chrony ask the head now" in out
    assert err == "next: wulfling -f cluster.yaml doctor --fix\n"


def test_a_board_away_is_3_and_a_wrong_host_key_is_4(run: Run, put: Put) -> None:
    put(GONE)
    code, out, err = run("doctor")
    assert code == 3
    assert "two: two does not answer: 10.9.9.2: No route to host [reach]" in out
    assert "hint: is it switched on?" in out
    assert err == ""
    put(IdentityMismatch("10.9.9.2 answered with the host key X", hint="compare", where="two"))
    assert run("doctor")[0] == 4
    put(NodeFailed("it has no sudo", hint="apt-get install sudo", where="two"))
    assert run("doctor")[0] == 4


def test_only_these_nodes(run: Run, put: Put) -> None:
    put(LATE)
    assert run("doctor", "one")[0] == 0
    assert run("doctor", "two")[0] == 4
    code, _, err = run("doctor", "three")
    assert code == 1
    assert "there is no node three" in err


def test_drift_is_evidence(run: Run, put: Put) -> None:
    put(one={"block:/etc/hosts": Status.CHANGE})
    code, out, _ = run("doctor")
    assert code == 4
    assert "--fix would: apply what the cluster file declares (block:/etc/hosts)" in out


def test_json_is_nothing_but_json(run: Run, put: Put) -> None:
    put(LATE)
    code, out, _ = run("doctor", "-o", "json")
    said: dict[str, Any] = json.loads(out)
    assert code == 4
    assert list(said) == ["findings", "mended", "failed"]
    assert said["findings"][0]["check"] == "clock"
    put()
    assert json.loads(run("doctor", "-o", "json")[1])["findings"] == []


def test_a_job(run: Run, put: Put) -> None:
    argv = ("sh", "-c", QUESTION.format(job="42"))
    row = "42|sim|kim|FAILED|127:0|00:00:01|1:00|64M|two|None|x\n"
    put(commands={argv: Finished(argv, 0, f"@sacct\n{row}@steps\n@ahead\n", "")})
    code, out, _ = run("doctor", "job", "42")
    assert code == 4
    assert "called a command that is not there (127)" in out
    code, out, _ = run("doctor", "job", "42", "-o", "json")
    assert json.loads(out)["subject"] == "job 42"


def test_a_job_that_is_no_number(run: Run, put: Put) -> None:
    put()
    code, _, err = run("doctor", "job", "$(reboot)")
    assert code == 1
    assert "is no job number" in err


def test_a_cluster_without_slurm_has_no_jobs(run: Run, put: Put, file: Path) -> None:
    put()
    file.write_text(file.read_text() + "slurm: false\n")
    code, _, err = run("doctor", "job", "42")
    assert code == 1
    assert "no Slurm" in err
