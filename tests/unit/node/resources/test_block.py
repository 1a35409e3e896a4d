"""Our lines in files of others: theirs stay as they are, whatever they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.block import Block

HOSTS = Block(
    path="/etc/hosts", text="10.0.0.1 rpnode01\n", without=(r"127\.0\.1\.1\s.*",), label="wulfling"
)
MARKED = "# BEGIN wulfling\n10.0.0.1 rpnode01\n# END wulfling\n"


@pytest.fixture
def hosts(root: Path) -> Path:
    return root / "etc/hosts"


def converged(board: Board, block: Block = HOSTS) -> Block | None:
    observed = block.observe(board)
    if observed != block:
        block.difference(observed)
        block.converge(board, observed)
    return block.observe(board)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", MARKED),
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n" + MARKED),
        ("no end of line", "no end of line\n" + MARKED),
        ("127.0.0.1 localhost\n127.0.1.1\tpi\n", "127.0.0.1 localhost\n" + MARKED),
        ("127.0.1.1 pi\r\nx\n", "x\n" + MARKED),
        ("a\n# BEGIN wulfling\nold\n# END wulfling\nb\n", "a\n" + MARKED + "b\n"),
        ("a\n# BEGIN wulfling\nold\n# END wulfling", "a\n" + MARKED),
        (MARKED + "127.0.1.1 pi\n", MARKED),
        ("127.0.1.1 pi\n" + MARKED, MARKED),
        (MARKED + "a\n" + MARKED + "b\n", MARKED + "a\nb\n"),
        (MARKED, MARKED),
        # Our own line, typed by hand at some time, is not yet ours to change.
        ("10.0.0.1 rpnode01\n", "10.0.0.1 rpnode01\n" + MARKED),
    ],
)
def test_converges(board: Board, hosts: Path, before: str, after: str) -> None:
    hosts.write_bytes(before.encode())
    assert converged(board) == HOSTS
    assert hosts.read_bytes().decode() == after


def test_a_missing_file_is_made(board: Board, hosts: Path) -> None:
    assert converged(board) == HOSTS
    assert hosts.read_text() == MARKED
    assert hosts.stat().st_mode & 0o777 == 0o644


def test_bytes_that_are_no_utf8_stay(board: Board, hosts: Path) -> None:
    hosts.write_bytes(b"10.9.9.9 caf\xe9\n")
    assert converged(board) == HOSTS
    assert hosts.read_bytes() == b"10.9.9.9 caf\xe9\n" + MARKED.encode()


def test_mode_stays(board: Board, hosts: Path) -> None:
    hosts.write_text("")
    hosts.chmod(0o640)
    converged(board)
    assert hosts.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(board: Board, root: Path, hosts: Path) -> None:
    (root / "etc/hosts.real").write_text("a\n")
    hosts.symlink_to("hosts.real")
    assert converged(board) == HOSTS
    assert hosts.is_symlink()
    assert (root / "etc/hosts.real").read_text() == "a\n" + MARKED


@pytest.mark.parametrize(
    "text",
    [
        "# BEGIN wulfling\nours\ntheirs\n",
        "# END wulfling\n",
        "# BEGIN wulfling\n# BEGIN wulfling\n# END wulfling\n",
        "# END wulfling\ntheirs\n# BEGIN wulfling\n",
    ],
)
def test_marks_without_their_partner_are_not_guessed_at(
    board: Board, hosts: Path, text: str
) -> None:
    """With the second block appended, all of their lines in between would have become ours."""
    hosts.write_text(text)
    with pytest.raises(WulflingError, match="# BEGIN wulfling"):
        HOSTS.observe(board)
    assert hosts.read_text() == text


def test_no_text_means_no_block(board: Board, hosts: Path) -> None:
    gone = Block(path="/etc/hosts", text="")
    hosts.write_text("a\n" + MARKED + "b\n")
    assert converged(board, gone) == gone
    assert hosts.read_text() == "a\nb\n"
    hosts.unlink()
    assert gone.observe(board) == gone


def test_two_labels_do_not_touch_each_other(board: Board, hosts: Path) -> None:
    other = Block(path="/etc/hosts", text="x\n", label="other")
    converged(board)
    converged(board, other)
    assert (HOSTS.observe(board), other.observe(board)) == (HOSTS, other)


def test_the_difference_is_that_of_the_whole_file(board: Board, hosts: Path) -> None:
    hosts.write_text("127.0.1.1 pi\n")
    assert HOSTS.difference(HOSTS.observe(board)) == (
        "--- a/etc/hosts",
        "+++ b/etc/hosts",
        "@@ -1 +1,3 @@",
        "-127.0.1.1 pi",
        "+# BEGIN wulfling",
        "+10.0.0.1 rpnode01",
        "+# END wulfling",
    )


ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
LINES = some.lists(some.text(max_size=9).filter(lambda line: not set(line) & set(ENDS)))


@given(LINES, LINES)
def test_lines_of_others_come_through(above: list[str], below: list[str]) -> None:
    block = Block(path="/x", text="ours\n")
    whole = "".join(f"{line}\n" for line in above)
    rest = "".join(f"{line}\n" for line in below)
    marked = "# BEGIN wulfling\nours\n# END wulfling\n"
    assert block._edited(whole) == whole + marked
    assert block._edited(whole + marked + rest) == whole + marked + rest
