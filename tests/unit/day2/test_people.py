"""What is known of people, and what becomes of somebody who leaves."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.day2 import people
from wulfling.day2.people import ARCHIVE_SCRIPT, standings
from wulfling.errors import NodeFailed, Unreachable
from wulfling.model.cluster import Cluster

if TYPE_CHECKING:
    from tests.unit.day2.conftest import Answering

QUEUE = "kim R\nkim R\nkim PD\nkim CG\nroot R\n"
REPORT = (
    "User,BlockStatus,FileStatus,BlockUsed,BlockSoftLimit,BlockHardLimit,BlockGrace,FileUsed,"
    "FileSoftLimit,FileHardLimit,FileGrace\nkim,ok,ok,3145728,10485760,10485760,,1,0,0,\n"
)
GONE = Unreachable("10.9.9.2: No route to host", where="files")


async def test_everybody(cluster: Cluster, answering: Answering) -> None:
    ask, _ = answering({("one", "squeue"): QUEUE, ("files", "repquota"): REPORT})
    (kim, lee), errors = await standings(cluster, ask)
    assert errors == {}
    assert kim.cells() == (
        *("kim", "2001", "school", "cpu=4,mem=1G", "10G", "3G"),
        *("3 run, 1 wait", "none"),
    )
    assert lee.cells() == ("lee", "2002", "compute", "-", "-", "-", "0 run, 0 wait", "none")
    assert kim.as_json()["limits"] == {"cpu": 4, "mem": 1024}


async def test_what_cannot_be_asked_is_not_known(cluster: Cluster, answering: Answering) -> None:
    ask, _ = answering({("one", "squeue"): "error: slurmctld is away", ("files", "repquota"): GONE})
    (kim, _), errors = await standings(cluster, ask)
    assert (kim.used_mb, kim.running, kim.pending) == (None, None, None)
    assert kim.cells()[5:7] == ("-", "?")
    assert set(errors) == {"one", "files"}


async def test_without_slurm_nobody_has_jobs(without_slurm: Cluster, answering: Answering) -> None:
    ask, dial = answering({("files", "repquota"): REPORT})
    found, _ = await standings(without_slurm, ask)
    assert found[0].running is None
    assert await people.unfinished(without_slurm, "kim", ask) == ()
    assert len(dial.said) == 1


async def test_jobs_of_somebody(cluster: Cluster, answering: Answering) -> None:
    ask, _ = answering({("one", "--user=kim"): "41\n42\n42\n"})
    assert await people.unfinished(cluster, "kim", ask) == ("41", "42")
    unknown = "error: squeue: error: Invalid user: kim"
    assert await people.unfinished(cluster, "kim", answering({("one", "squeue"): unknown})[0]) == ()
    with pytest.raises(NodeFailed, match="slurm_load_jobs"):
        await people.unfinished(
            cluster, "kim", answering({("one", "squeue"): "error: slurm_load_jobs"})[0]
        )


async def test_the_home_is_packed_where_it_is(cluster: Cluster, answering: Answering) -> None:
    ask, dial = answering({("files", "tar"): "/home/.archive/kim-1.tar.gz\n"})
    assert await people.archive(cluster, "kim", ask) == {"files": "/home/.archive/kim-1.tar.gz"}
    assert [node for node, _ in dial.said] == ["files"]


class Board:
    """A folder in which the archive script runs for real; only getent(1) is not the system's."""

    def __init__(self, folder: Path) -> None:
        self.homes = folder / "home"
        self.ours = folder / "accounts"
        (self.homes / "kim/deep").mkdir(parents=True)
        (self.homes / "kim/deep/data").write_text("three years\n")
        self.ours.mkdir()
        (self.ours / "kim").touch()
        self.tools = folder / "bin"
        self.tools.mkdir()
        self.shell("/usr/sbin/nologin")

    def shell(self, shell: str) -> None:
        self.tool("getent", f"echo kim:x:2001:2001::/home/kim:{shell}")

    def tool(self, name: str, text: str) -> None:
        place = self.tools / name
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        text = ARCHIVE_SCRIPT.format(
            name="kim",
            homes=self.homes,
            archive=self.homes / ".archive",
            ours=self.ours,
            shell="/usr/sbin/nologin",
        )
        return subprocess.run(
            ["sh", "-s"],
            input=text,
            capture_output=True,
            text=True,
            env={"PATH": f"{self.tools}:{os.environ['PATH']}"},
            check=False,
        )

    @property
    def there(self) -> set[str]:
        return {place.name for place in self.homes.iterdir()}


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_packed_compared_and_deleted(board: Board) -> None:
    done = board.run()
    assert done.returncode == 0, done.stderr
    place = Path(done.stdout.strip())
    assert place.parent == board.homes / ".archive"
    assert (place.parent.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o700, 0o600)
    assert board.there == {".archive"}
    with tarfile.open(place) as tar:
        data = tar.extractfile("kim/deep/data")
        assert data is not None and data.read() == b"three years\n"
    again = board.run()
    assert (again.returncode, again.stdout) == (0, ""), "there is no home any more"


@pytest.mark.parametrize("shell", ["/bin/bash", ""])
def test_the_home_of_somebody_who_gets_in_stays(board: Board, shell: str) -> None:
    board.shell(shell)
    done = board.run()
    assert done.returncode == 1 and "the home stays" in done.stderr
    assert board.there == {"kim"}


def test_the_home_of_an_account_that_is_not_ours_stays(board: Board) -> None:
    (board.ours / "kim").unlink()
    assert board.run().returncode == 1
    assert board.there == {"kim"}


def test_a_disk_that_is_full_leaves_the_home_and_nothing_half(board: Board) -> None:
    board.tool("tar", "echo 'tar: write error: No space left on device' >&2; exit 2")
    done = board.run()
    assert done.returncode == 2 and "No space left" in done.stderr
    assert list((board.homes / ".archive").iterdir()) == []
    assert "kim" in board.there


def test_a_file_that_changes_meanwhile_leaves_the_home(board: Board) -> None:
    data = board.homes / "kim/deep/data"
    board.tool("tar", f'/bin/tar "$@"; code=$?; echo more >> {data}; exit $code')
    done = board.run()
    assert done.returncode == 1 and "differs" in done.stdout + done.stderr
    assert data.exists()
