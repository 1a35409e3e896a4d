"""What is saved and how it is found again; the rest needs restic and MariaDB, and is in the lab."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.backup import BLANK, SETTINGS, Settings, read_settings
from wulfling.node.backup.command import main
from wulfling.node.backup.done import backups, note, read_done
from wulfling.node.backup.drill import Saved, check_rows, parse_listing
from wulfling.node.backup.process import Program, ask, pipe
from wulfling.node.backup.repository import Repository, newest_pair, parse_snapshot
from wulfling.node.backup.save import copy_state, save_head
from wulfling.node.board import Board
from wulfling.node.resources.restored import DONE_ONCE, Restored, StateKnown

if TYPE_CHECKING:
    from tests.unit.node.conftest import TableBoard

MINE = Settings(
    cluster="c",
    node="one",
    host="files",
    account="wulfling-backup",
    path="/srv/backup/c",
    head=True,
    homes=("/home",),
    keep=(("hourly", 24),),
)
# As restic 0.14 prints it.
LISTED = """
{"time":"2026-11-27T15:00:00Z","tree":"d5","paths":["/var/lib/wulfling/backup/stage"],"hostname":"h",
"username":"root","tags":["head"],"id":"bdfb8bef730a","short_id":"bdfb8bef"}
"""
FOUND = """\
{"time":"2026-11-27T15:00:00Z","paths":["/home"],"struct_type":"snapshot"}
{"name":"home","type":"dir","path":"/home","struct_type":"node","mtime":"2026-11-27T15:00:00Z"}
{"name":"f","type":"file","path":"/home/f","size":5,"mtime":"2001-02-03T04:05:06Z","struct_type":"node"}
{"name":"l","type":"symlink","path":"/home/l","mtime":"2026-11-27T15:00:00Z","struct_type":"node"}
"""


def snapshot(number: int, tag: str, minute: int) -> dict[str, object]:
    return {
        "time": f"2026-11-27T15:{minute:02}:00Z",
        "paths": ["/x"],
        "hostname": "one",
        "tags": [tag],
        "short_id": f"{number:08x}",
    }


def queue(folder: Path, text: str = "queue") -> None:
    (folder / "hash.1" / "job.11").mkdir(parents=True)
    (folder / "hash.1" / "job.11" / "script").write_text("#!/bin/sh\n")
    (folder / "clustername").write_text("c")
    (folder / "job_state").write_text(text)


def test_what_the_file_says_comes_back_from_the_board(root: Path, board: Board) -> None:
    assert read_settings(board) is None
    place = board.path(SETTINGS)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(MINE.as_json()))
    assert read_settings(board) == MINE


def test_a_snapshot_is_read() -> None:
    found = parse_snapshot(json.loads(LISTED))
    assert (found.id, found.time, found.host, found.tag) == (
        *("bdfb8bef", "2026-11-27T15:00:00Z"),
        *("h", "head"),
    )


def test_queue_and_accounts_are_of_one_moment() -> None:
    """The newest files alone, after a dump that was cut off, are passed over."""
    listed = [("head", 1), ("accounts", 1), ("head", 2), ("accounts", 2), ("head", 3)]
    found = [parse_snapshot(snapshot(n, *one)) for n, one in enumerate(listed)]
    files, accounts = newest_pair(found, "latest")
    assert files and accounts
    assert files.time == accounts.time == "2026-11-27T15:02:00Z"
    files, accounts = newest_pair(found, "2026-11-27T15:01")
    assert files and files.id == "00000000"
    assert newest_pair(found, "2026-11-27T15:03") == (None, None)


def test_regular_files_of_a_listing() -> None:
    assert list(parse_listing(FOUND)) == [Saved("/home/f", 5, "2001-02-03T04:05:06Z")]


@pytest.mark.parametrize(
    ("before", "restored", "now", "good"),
    [
        ({"job_table": 3}, {"job_table": 3}, {"job_table": 3}, True),
        ({"job_table": 3}, {"job_table": 4}, {"job_table": 9}, True),
        ({"job_table": 3}, {"job_table": 2}, {"job_table": 9}, False),
        ({}, {"job_table": 10}, {"job_table": 9}, False),
        ({"job_table": 3}, {}, {"job_table": 3}, False),
    ],
)
def test_rows_are_only_added(
    before: dict[str, int], restored: dict[str, int], now: dict[str, int], good: bool
) -> None:
    if good:
        check_rows(before, restored, now)
        return
    with pytest.raises(WulflingError, match="job_table"):
        check_rows(before, restored, now)


def test_the_queue_is_copied_with_its_scripts(tmp_path: Path) -> None:
    queue(tmp_path / "from")
    assert copy_state(tmp_path / "from", tmp_path / "to") == 3
    assert (tmp_path / "to" / "job_state").read_text() == "queue"
    assert (tmp_path / "to" / "hash.1" / "job.11" / "script").exists()
    assert copy_state(tmp_path / "nothing", tmp_path / "no") == 0
    assert not (tmp_path / "no").exists()


def test_a_queue_that_never_holds_still_is_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slurmctld puts another file in its place while it is copied."""
    from wulfling.node.backup import save

    queue(tmp_path / "from")

    def copy(source: Path, target: Path) -> int:
        new = tmp_path / "from" / ".new"
        new.write_text("another")
        new.replace(tmp_path / "from" / "job_state")
        os.utime(tmp_path / "from" / "job_state", ns=(1, len(copied)))
        copied.append(source)
        return 1

    copied: list[Path] = []
    monkeypatch.setattr(save, "_copy", copy)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(WulflingError, match="anew all the time"):
        copy_state(tmp_path / "from", tmp_path / "to")


def test_a_blank_head_saves_nothing_over_what_is_there(root: Path, board: Board) -> None:
    board.path(BLANK).parent.mkdir(parents=True)
    board.path(BLANK).touch()
    with pytest.raises(WulflingError, match="has not got its own state back"):
        save_head(board, MINE, Repository(MINE), lambda words: None)


def test_a_clock_that_went_back_makes_no_backup(root: Path, board: Board) -> None:
    """It would never be the newest one, and a head without a clock of its own wakes in 1970."""
    board.path(SETTINGS).parent.mkdir(parents=True)
    note(board, "head", at=1.0, facts={"moment": "2999-01-01T00:00:00Z"})
    with pytest.raises(WulflingError, match="the last backup is of 2999"):
        save_head(board, MINE, Repository(MINE), lambda words: None)


def program(script: str) -> Program:
    return Program((sys.executable, "-I", "-c", script), ("it",))


def test_what_is_piped_comes_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    writes = program("import sys; sys.stdout.write('x' * 300_000)")
    reads = program(f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())")
    pipe(writes, reads)
    assert out.read_text() == "x" * 300_000


def test_a_dump_that_is_cut_short_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    writes = program("import sys; sys.stdout.write('x' * 300_000); sys.exit(2)")
    reads = program(f"import sys; t = sys.stdin.read(); open({str(out)!r}, 'w').write(t)")
    with pytest.raises(CommandFailed) as failed:
        pipe(writes, reads)
    assert failed.value.code == 2
    assert not out.exists()


def test_who_reads_may_fail(tmp_path: Path) -> None:
    writes = program("import sys; sys.stdout.write('x' * 3_000_000)")
    with pytest.raises(CommandFailed) as failed:
        pipe(writes, program("import sys; sys.exit('no room')"))
    assert "no room" in failed.value.output
    assert ask(program("print(1)")) == (0, "1\n", "")


def test_no_secret_is_in_an_argument() -> None:
    called = Repository(MINE).program("backup", "/home")
    assert "RESTIC_PASSWORD" not in called.environment  # type: ignore[operator]
    assert called.environment and called.environment["RESTIC_PASSWORD_FILE"].startswith("/var/lib")


def test_what_came_of_it_is_kept(root: Path, board: Board) -> None:
    assert backups(board) == ()
    place = board.path(SETTINGS)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(MINE.as_json()))
    os.utime(place, (50, 50))
    assert backups(board) == (("head", 50.0, ""), ("homes", 50.0, ""), ("drill", 50.0, ""))
    note(board, "head", at=100.0, tried=100.0, error="", facts={"rows": {"job_table": 7}})
    note(board, "head", tried=200.0, error="no route")
    assert backups(board)[0] == ("head", 100.0, "no route")
    assert read_done(board)["head"]["facts"] == {"rows": {"job_table": 7}}


def test_a_board_that_saves_nothing_says_so(
    board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["head"], board) == 1
    assert "no `backup:`" in capsys.readouterr().err


# Whether a head has a queue of its own.


def test_a_blank_board_is_marked_before_anything_starts(root: Path, board: TableBoard) -> None:
    known = StateKnown()
    board.path(BLANK).parent.mkdir(parents=True)
    assert known.observe(board) is None
    assert Restored().observe(board) is None
    known.converge(board, None)
    assert known.observe(board) == known
    # ... and is blank still when a daemon's package has made folders, or a restore was cut off.
    board.path("/var/lib/mysql/slurm_acct_db").mkdir(parents=True)
    assert Restored().observe(board) is None


def test_a_head_with_a_queue_is_left_alone(root: Path, board: TableBoard) -> None:
    place = board.path("/var/lib/slurm/slurmctld/clustername")
    place.parent.mkdir(parents=True)
    place.touch()
    assert StateKnown().observe(board) == StateKnown()
    assert Restored(at="latest").observe(board) == Restored()


def test_a_new_cluster_may_begin(
    root: Path, board: TableBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = board.path(SETTINGS)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(MINE.as_json()))
    board.path(BLANK).touch()
    monkeypatch.setattr(Repository, "is_there", lambda self: False)
    Restored().converge(board, None)
    assert not board.path(BLANK).exists()
    assert board.path(DONE_ONCE).exists()
    assert Restored().observe(board) == Restored()


def test_a_head_with_a_backup_begins_nothing_unasked(
    root: Path, board: TableBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = board.path(SETTINGS)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(MINE.as_json()))
    board.path(BLANK).touch()
    found = (parse_snapshot(snapshot(1, "head", 1)),)
    monkeypatch.setattr(Repository, "is_there", lambda self: True)
    monkeypatch.setattr(Repository, "snapshots", lambda self: found)
    with pytest.raises(WulflingError, match="2026-11-27T15:01:00Z") as refused:
        Restored().converge(board, None)
    assert "wulfling restore head" in refused.value.hint
    assert board.path(BLANK).exists()
