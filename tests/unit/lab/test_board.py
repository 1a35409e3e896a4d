"""The words that start a board, its disk's image, and the end of its console."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.lab.test_record import lab_spec

from wulfling.errors import WulflingError
from wulfling.lab import board
from wulfling.lab.places import BoardFiles, LabFiles
from wulfling.lab.record import Record

SPEC = lab_spec(("rpnode01", "10.0.0.1"), ("a" * 60, "10.0.0.77"))
RECORD = Record(SPEC, "token", ())


@pytest.fixture
def files(tmp_path: Path) -> LabFiles:
    """A lab whose boards have a seed."""
    found = LabFiles(tmp_path / "labs" / "guide")
    for spec in SPEC.boards:
        own = found.board(spec.name)
        own.folder.mkdir(parents=True)
        own.seed.write_bytes(b"seed")
    return found


def test_the_words_that_start_a_board(files: LabFiles) -> None:
    words = board.arguments(files, RECORD, SPEC.boards[0])
    own = files.board("rpnode01")
    assert words[0].endswith("linux.uml")
    assert f"ubd0={own.disk},{own.image}" in words
    assert f"ubd1r={own.seed}" in words
    assert "mem=192M" in words
    assert "vec0:transport=raw,ifname=vb1,depth=128,mac=02:57:0a:00:00:01" in words
    assert f"uml_dir={files.runtime}" in words
    assert len(" ".join(words[1:])) < 2048


def test_boards_differ_in_every_identity(files: LabFiles) -> None:
    first, second = (board.arguments(files, RECORD, b) for b in SPEC.boards)
    for start in ("ubd0=", "ubd1r=", "vec0:", "umid=", "systemd.machine_id="):
        mine, other = (next(w for w in words if w.startswith(start)) for words in (first, second))
        assert mine != other


def test_a_socket_path_fits_however_long_the_names_are(files: LabFiles) -> None:
    words = board.arguments(files, RECORD, SPEC.boards[1])
    umid = next(w for w in words if w.startswith("umid=")).removeprefix("umid=")
    assert len(f"{files.runtime}/{umid}/mconsole") < 108
    assert len(str(files.relay_socket)) < 108


def test_a_disk_stays_on_the_image_it_was_made_with(tmp_path: Path) -> None:
    own = BoardFiles(tmp_path / "n1")
    own.folder.mkdir()
    image = tmp_path / "x.ext4"
    image.write_text("image")
    assert board.needs_image(own)
    board.lay(own, image)
    own.disk.write_bytes(b"OOOM and more")
    image.unlink()
    assert not board.needs_image(own)
    assert own.image.read_text() == "image"


def test_a_disk_without_its_image_says_what_to_do(tmp_path: Path) -> None:
    own = BoardFiles(tmp_path)
    own.disk.write_bytes(b"OOOM and more")
    with pytest.raises(WulflingError, match=r"is gone: .*image\.ext4") as caught:
        board.needs_image(own)
    assert "wulfling lab destroy" in caught.value.hint


def test_a_disk_whose_first_moment_was_cut_short_is_made_again(tmp_path: Path) -> None:
    own = BoardFiles(tmp_path)
    own.disk.write_bytes(b"")
    assert board.needs_image(own)
    assert not own.disk.exists()


def test_the_last_lines_of_a_console(tmp_path: Path) -> None:
    own = BoardFiles(tmp_path)
    assert board.last_lines(own) == ""
    own.console.write_text("".join(f"line {n}\r\n\r\n" for n in range(100)))
    assert board.last_lines(own).splitlines() == [f"line {n}" for n in range(75, 100)]


def test_memory_is_kept_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"/dev/shm": 64 << 20, "/tmp": 1 << 30, "/var/tmp": 1 << 40}
    usage = type("Usage", (), {})

    def disk_usage(folder: str) -> object:
        found = usage()
        found.free = free[folder]
        return found

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    assert board.memory_folder(SPEC.boards[0]) == "/tmp"
    free["/tmp"] = free["/var/tmp"] = 0
    with pytest.raises(WulflingError, match="no room for 192 MB"):
        board.memory_folder(SPEC.boards[0])
