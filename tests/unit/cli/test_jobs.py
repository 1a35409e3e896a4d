"""``run`` and the other verbs for jobs, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.jobs.conftest import Head, head

__all__ = ["head"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def work(home: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that we are in, with a script; the cluster file's homes are shared."""
    file.write_text(f"{file.read_text()}storage: {{/home: one}}\n")
    place = home / "work"
    place.mkdir()
    (place / "job.sh").write_text("echo out $1; echo made > made; exit ${2:-0}\n")
    monkeypatch.chdir(place)
    monkeypatch.setenv("WULFLING_FILE", str(file))
    return place


def test_run_shows_brings_back_and_ends_like_the_job(run: Run, work: Path, head: Head) -> None:
    code, out, err = run("run", "job.sh", "of kim", "7")
    assert (code, out) == (7, "out of kim\n")
    said = err.splitlines()
    assert said[0] == "work: 1 file, 44 bytes, as kim on one"
    assert said[1].startswith(f"job 1 in {head.home}/wulfling-jobs/work-")
    assert said[-1] == f"{work}/job-1: 2 files, 16 bytes"
    assert (work / "job-1" / "made").read_text() == "made\n"


def test_the_verbs_one_by_one(run: Run, work: Path, head: Head) -> None:
    code, out, err = run("submit", "job.sh", "x")
    assert (code, out) == (0, "1\n")
    assert err.splitlines()[-1].endswith("cluster.yaml logs -f 1")
    assert run("logs", "-f", "1")[:2] == (0, "out x\n")
    assert run("logs", "1")[:2] == (0, "out x\n")
    code, out, _ = run("jobs", "-o", "json")
    (row,) = json.loads(out)
    assert (row["job"], row["state"]) == ("1", "COMPLETED")
    code, out, _ = run("jobs")
    assert out.splitlines()[1].split()[0] == "1"
    assert run("cancel", "1")[:2] == (0, "job 1: had ended, COMPLETED\n")
    assert run("fetch", "1", "--to", "there")[0] == 0
    assert (work / "there" / "made").exists()


def test_a_token_is_one_job(run: Run, work: Path, head: Head) -> None:
    for _ in range(2):
        assert run("submit", "--token", "abc", "job.sh")[:2] == (0, "1\n")


def test_a_failed_submission_says_its_token(run: Run, work: Path, head: Head) -> None:
    head.say("off")
    code, _, err = run("submit", "--token", "abc", "job.sh")
    assert code == 3
    assert "token: abc" in err
    assert "No route to host" in err


@pytest.mark.parametrize("word", ["x", "4 2", "-1", "1;id"])
def test_no_number(run: Run, work: Path, head: Head, word: str) -> None:
    code, _, err = run("cancel", "--", word)
    assert code == 1
    assert "is no job's number" in err


def test_homes_that_are_not_shared(run: Run, work: Path, file: Path) -> None:
    file.write_text(file.read_text().replace("/home: one", "/nfs: one"))
    code, _, err = run("submit", "job.sh")
    assert code == 1
    assert "/home/kim is not shared" in err
    assert "storage: {/home: one}" in err


def test_a_cluster_without_slurm(run: Run, work: Path, file: Path) -> None:
    file.write_text(f"{file.read_text()}slurm: false\n")
    assert "has no Slurm" in run("jobs")[2]


def test_somebody_else(run: Run, work: Path) -> None:
    code, _, err = run("jobs", "--as", "bob")
    assert (code, "there is no bob" in err) == (1, True)
