"""Files on a board in a folder: what is seen, what is written, and what a failure leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.file import File, unfinished, unified, write_atomically

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

PATH = "/etc/example.conf"


@pytest.fixture
def place(root: Path) -> Path:
    return root / "etc/example.conf"


def left_behind(root: Path) -> list[str]:
    return [place.name for place in root.rglob("*wulfling-new")]


def test_absent(board: Board) -> None:
    assert File(path=PATH, content="").observe(board) is None
    assert File(path="/etc/no/such/folder", content="").observe(board) is None
    assert File(path="/etc/passwd/below-a-file", content="").observe(board) is None


def test_what_was_written_is_what_is_seen(board: Board, root: Path) -> None:
    file = File(path=PATH, content="a = 1\nä = 2\n", mode=0o640)
    file.converge(board, None)
    assert file.observe(board) == file
    assert left_behind(root) == []


@pytest.mark.parametrize(
    "content",
    ["", "no end of line", "dos\r\nlines\r\n", "old mac\r", "\x0c\u2028\n", "tab\t\0nul\n"],
)
def test_no_byte_is_translated(board: Board, place: Path, content: str) -> None:
    file = File(path=PATH, content=content)
    file.converge(board, None)
    assert place.read_bytes() == content.encode()
    assert file.observe(board) == file


def test_only_the_line_ends_differ(board: Board, place: Path) -> None:
    place.write_bytes(b"a\r\nb\r\n")
    place.chmod(0o644)
    assert File(path=PATH, content="a\nb\n").observe(board) != File(path=PATH, content="a\nb\n")


def test_content_that_is_no_utf8(board: Board, place: Path) -> None:
    place.write_bytes(b"caf\xe9\n")
    file = File(path=PATH, content="café\n")
    diff = file.difference(file.observe(board))
    assert diff[2:] == ("@@ -1 +1 @@", "-caf\\xe9", "+café")
    "\n".join(diff).encode()  # a terminal can show it


def test_a_difference_in_the_last_line_end_is_shown() -> None:
    assert unified("/etc/x", "a\nb", "a\nb\n") == [
        "--- a/etc/x",
        "+++ b/etc/x",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "\\ No newline at end of file",
        "+b",
    ]


def test_a_diff_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in "".join(unified("/etc/x", "\x1b[2Jgone\n", "here\n"))


def test_owner_and_mode_are_part_of_the_difference(board: Board, place: Path) -> None:
    place.write_text("same\n")
    place.chmod(0o600)
    file = File(path=PATH, content="same\n", owner="munge", group="munge", mode=0o400)
    assert file.difference(file.observe(board)) == (
        "  owner: root -> munge",
        "  group: root -> munge",
        "  mode: 0600 -> 0400",
    )


def test_a_secret_is_never_shown(board: Board, place: Path) -> None:
    file = File(path=PATH, content="s3cret", secret=True)
    place.write_text("0ld")
    shown = [*file.difference(file.observe(board)), *file.difference(None), *file.commands()]
    assert "s3cret" not in repr(shown)
    assert "0ld" not in repr(shown)
    assert any("sha256" in line for line in shown)


def test_a_missing_owner_is_fine_in_a_plan_and_told_in_an_apply(board: Board, place: Path) -> None:
    file = File(path=PATH, content="x", owner="slurm")
    assert file.observe(board) is None
    with pytest.raises(CommandFailed, match="there is no slurm"):
        file.converge(board, None)
    assert not place.exists()


def test_a_link_is_replaced_and_its_target_left_alone(
    board: Board, root: Path, place: Path
) -> None:
    target = root / "etc/theirs"
    target.write_text("theirs")
    place.symlink_to(target)
    file = File(path=PATH, content="ours")
    assert file.observe(board) is None
    file.converge(board, None)
    assert file.observe(board) == file
    assert target.read_text() == "theirs"


def test_a_directory_in_its_place_is_an_error_already_in_the_plan(
    board: Board, place: Path
) -> None:
    place.mkdir()
    with pytest.raises(WulflingError, match=r"/etc/example\.conf is a directory"):
        File(path=PATH, content="").observe(board)


def test_the_folder_has_to_be_there(board: Board) -> None:
    with pytest.raises(WulflingError, match="is no directory"):
        File(path="/etc/none/x", content="").converge(board, None)


def test_a_refused_file_never_takes_its_place(
    board: Board, answers: Answers, root: Path, place: Path
) -> None:
    place.write_text("good\n")
    answers["visudo", "-cf", str(unfinished(place))] = (1, "syntax error near line 1")
    with pytest.raises(CommandFailed, match="syntax error near line 1"):
        File(path=PATH, content="bad\n", validate=("visudo", "-cf")).converge(board, None)
    assert place.read_text() == "good\n"
    assert left_behind(root) == []


def test_validation_sees_the_whole_new_file(board: Board, answers: Answers, place: Path) -> None:
    new = unfinished(place)

    def visudo() -> str:
        assert new.read_text() == "good\n"
        assert new.stat().st_mode & 0o777 == 0o440
        return ""

    answers["visudo", "-cf", str(new)] = visudo
    File(path=PATH, content="good\n", mode=0o440, validate=("visudo", "-cf")).converge(board, None)
    assert place.read_text() == "good\n"


def test_a_full_disk_leaves_the_old_file(
    board: Board, root: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place.write_text("old\n")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        File(path=PATH, content="new\n").converge(board, None)
    assert place.read_text() == "old\n"
    assert left_behind(root) == []


def test_what_a_crash_left_beside_the_file_is_in_nobodys_way(board: Board, place: Path) -> None:
    unfinished(place).write_text("half")
    file = File(path=PATH, content="whole")
    file.converge(board, None)
    assert file.observe(board) == file
    assert not unfinished(place).exists()


def test_a_planted_link_is_not_followed(root: Path, place: Path) -> None:
    victim = root / "etc/shadow"
    victim.write_text("hashes")
    unfinished(place).symlink_to(victim)
    write_atomically(place, "x", mode=0o644, uid=os.getuid(), gid=os.getgid())
    assert victim.read_text() == "hashes"


def test_it_is_on_the_disk_before_it_is_renamed(
    board: Board, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        order.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    File(path=PATH, content="x").converge(board, None)
    assert order == [unfinished(place).name, "rename", "etc"]


def test_commands_are_what_a_person_would_type() -> None:
    install, tee = File(path=PATH, content="a\n", mode=0o600, owner="munge").commands()
    assert install == "sudo install -m 0600 -o munge -g root /dev/null /etc/example.conf"
    assert tee == "sudo tee /etc/example.conf > /dev/null <<'EOF'\na\nEOF"
    assert File(path=PATH, content="").undo() == ("sudo rm /etc/example.conf",)
