"""A folder becomes a job, once, and its output comes back, also over a line that breaks."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.unit.jobs.conftest import Head

from wulfling.errors import Unreachable, WulflingError
from wulfling.jobs import again
from wulfling.jobs.door import Door
from wulfling.jobs.fetch import fetch
from wulfling.jobs.folder import packed
from wulfling.jobs.follow import State, follow
from wulfling.jobs.queue import cancel, jobs
from wulfling.jobs.submit import Submitted, submit


def quiet(words: str) -> None:
    """Nobody is told."""


async def sent(door: Door, folder: Path, token: str = "t1", script: str = "job.sh") -> Submitted:
    return await submit(door, packed(folder), token, quiet, words=[script])


async def read(door: Door, job: str) -> tuple[str, State]:
    parts: list[bytes] = []
    state = await follow(door, job, lambda stream, data: parts.append(data), quiet)
    return b"".join(parts).decode(), state


async def test_a_folder_is_sent_and_its_job_runs_in_it(
    head: Head, door: Door, folder: Path
) -> None:
    job = await sent(door, folder)
    assert job == Submitted("1", str(head.home / "wulfling-jobs" / "work-t1"))
    assert await read(door, "1") == ("42\n", State("COMPLETED", True, nodes="n1", host=HOST))
    assert (Path(job.folder) / "out.txt").read_text() == "made\n"
    assert Path(job.folder).parent.stat().st_mode & 0o777 == 0o700


HOST = os.uname().nodename


async def test_the_same_token_again_is_the_same_job(head: Head, door: Door, folder: Path) -> None:
    assert await sent(door, folder) == await sent(door, folder)
    assert len(list(head.queue.iterdir())) == 1
    await sent(door, folder, token="t2")
    assert len(list(head.queue.iterdir())) == 2


async def test_a_desk_that_dies_after_sbatch_does_not_submit_twice(
    head: Head, door: Door, folder: Path
) -> None:
    """It was killed before it could note the job's number; whoever comes next asks Slurm."""
    head.dies()
    job = await sent(door, folder)
    assert job.job == "1"
    assert [line.split()[0] for line in head.asked].count("sbatch") == 1


async def test_while_slurm_is_silent_nothing_is_submitted_again(
    head: Head, door: Door, folder: Path
) -> None:
    head.dies(then="silent")
    with pytest.raises(WulflingError, match="Unable to contact"):
        await sent(door, folder)
    (head.place / "silent").unlink()
    assert (await sent(door, folder)).job == "1"
    assert [line.split()[0] for line in head.asked].count("sbatch") == 1


async def test_what_sbatch_says_is_told(door: Door, folder: Path) -> None:
    with pytest.raises(WulflingError, match="sbatch ended with 1: .*Unable to open file no.sh"):
        await sent(door, folder, script="no.sh")


async def test_only_what_is_new_is_sent(head: Head, door: Door, folder: Path) -> None:
    """And what a job did to its copy does not come into the next one's."""
    (folder / "big").write_bytes(b"x" * 100_000)
    first = await sent(door, folder)
    await read(door, first.job)
    (Path(first.folder) / "data" / "in.txt").write_text("spoiled\n")
    (folder / "new").write_bytes(b"y" * 10)
    counts: list[int] = []
    second = await submit(
        door,
        packed(folder),
        "t2",
        quiet,
        words=["job.sh"],
        sent=lambda _, all_: counts.append(all_),
    )
    assert counts[-1] == len("42\n") + 10
    assert (Path(second.folder) / "big").read_bytes() == b"x" * 100_000
    assert (Path(second.folder) / "big").stat().st_nlink == 1
    assert await read(door, second.job) == ("42\n", (await read(door, second.job))[1])


async def test_output_goes_on_at_its_byte_after_a_cut(head: Head, door: Door, folder: Path) -> None:
    """Our ssh is killed in the middle; nothing is lost and nothing comes twice."""
    (folder / "job.sh").write_text(
        "echo first\nwhile [ ! -e go ]; do sleep 0.1; done\necho second\nexit 3\n"
    )
    job = await sent(door, folder)
    parts: list[bytes] = []
    told: list[str] = []

    def take(stream: str, data: bytes) -> None:
        if not parts:
            os.kill(head.sessions[-1], signal.SIGKILL)
            (Path(job.folder) / "go").touch()
        parts.append(data)

    state = await follow(door, job.job, take, told.append)
    assert parts == [b"first\n", b"second\n"]
    assert (state.state, state.exit_code) == ("FAILED", 3)
    assert told == ["the connection was cut; trying again", "connected again"]


async def test_a_head_that_was_never_reached_is_told_at_once(
    head: Head, door: Door, folder: Path
) -> None:
    head.say("off")
    with pytest.raises(Unreachable, match="No route to host"):
        await sent(door, folder)
    assert len(head.sessions) == 1


async def test_it_gives_up_after_its_patience(
    head: Head, door: Door, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await sent(door, folder)
    head.say("off")
    monkeypatch.setattr(again, "PATIENCE", 0.3)
    with pytest.raises(Unreachable):
        await jobs(door, quiet)
    assert job.job


async def test_who_is_not_let_in_hears_where_the_key_belongs(
    head: Head, door: Door, folder: Path
) -> None:
    head.say("refused")
    with pytest.raises(WulflingError, match="does not let kim in") as refused:
        await sent(door, folder)
    assert "keys" in refused.value.hint


async def test_results_come_back_and_inputs_stay(door: Door, folder: Path) -> None:
    job = await sent(door, folder)
    await read(door, job.job)
    first = await fetch(door, job.job, None, quiet, lambda size: None)
    assert first.folder == folder / "job-1"
    names = sorted(p.name for p in first.folder.iterdir())
    assert names == [".wulfling-job", "out.txt", "slurm-1.out"]
    assert (first.folder / "out.txt").read_text() == "made\n"
    assert (first.brought, first.bytes, first.ended) == (2, len("made\n42\n"), True)
    second = await fetch(door, job.job, None, quiet, lambda size: None)
    assert (second.files, second.brought) == (2, 0)
    assert "job-1" not in {entry["path"] for entry in packed(folder).entries}


async def test_half_a_file_goes_on_at_its_byte(head: Head, door: Door, folder: Path) -> None:
    (folder / "job.sh").write_text("head -c 3000000 /dev/zero > zeros\n")
    job = await sent(door, folder)
    await read(door, job.job)
    cut: list[int] = []

    def step(size: int) -> None:
        if not cut:
            cut.append(size)
            os.kill(head.sessions[-1], signal.SIGKILL)

    fetched = await fetch(door, job.job, None, quiet, step)
    assert cut
    assert (fetched.folder / "zeros").read_bytes() == bytes(3_000_000)
    assert fetched.bytes == 3_000_000
    assert not list(fetched.folder.glob(".*.part"))


async def test_the_list_and_an_end(head: Head, door: Door, folder: Path) -> None:
    (folder / "job.sh").write_text("sleep 100\n")
    job = await sent(door, folder)
    (row,) = await jobs(door, quiet)
    assert (row.job, row.name, row.state, row.folder) == ("1", "a | b", "RUNNING", job.folder)
    assert await cancel(door, ["1"], quiet) == {"1": ""}
    assert await cancel(door, ["1"], quiet) == {"1": "CANCELLED"}
    with pytest.raises(WulflingError, match="there is no job 7"):
        await cancel(door, ["7"], quiet)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State("COMPLETED", True), 0),
        (State("FAILED", True, code=3), 3),
        (State("FAILED", True, signal=11), 139),
        (State("TIMEOUT", True, signal=15), 124),
        (State("OUT_OF_MEMORY", True, signal=125), 137),
        (State("CANCELLED", True), 143),
        (State("NODE_FAIL", True), 1),
    ],
)
def test_exit_codes(state: State, code: int) -> None:
    assert state.exit_code == code
