"""Bytes to a document: what cannot be read at all, and where each piece of the rest stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wulfling.errors import BadFile
from wulfling.spec import document
from wulfling.spec.document import LARGEST_FILE, LONGEST_LINE
from wulfling.spec.problem import Place

GOOD = b"wulfling: 1\ncluster: c\n"


def refused(content: bytes) -> list[tuple[str, str]]:
    with pytest.raises(BadFile) as caught:
        document.parse(content, Path("cluster.yaml"))
    return [(problem.where, problem.message) for problem in caught.value.problems]


def test_every_piece_has_its_place() -> None:
    text = b"a: 1\nb:\n  c: [x, 'y']\n  d: {e: f}\n  g:\nh: |\n  two\n  lines\n"
    found = document.parse(text, Path("f"))
    assert found.data == {
        "a": "1",
        "b": {"c": ["x", "y"], "d": {"e": "f"}, "g": None},
        "h": "two\nlines\n",
    }
    assert found.place(("a",)) == Place(1, 4)
    assert found.place(("a",), key=True) == Place(1, 1)
    assert found.place(("b",)) == Place(3, 3)
    assert found.place(("b", "c", 1)) == Place(3, 10)
    assert found.place(("b", "d", "e"), key=True) == Place(4, 7)
    assert found.place(("b", "d", "e")) == Place(4, 10)
    assert found.where(("b", "g")) == "f:5:3"


def test_what_is_not_there_is_placed_where_it_belongs() -> None:
    found = document.parse(b"a:\n  b: {c: 1}\nl: [{x: 1}, 2]\n", Path("f"))
    assert found.place(("a", "b", "missing")) == Place(2, 3)
    assert found.place(("a", "b", "missing"), key=True) == Place(2, 3)
    assert found.place(("l", 0, "missing")) == Place(3, 5)
    assert found.place(("missing",)) == Place(1, 1)
    assert found.place(()) == Place(1, 1)


def test_plain_words_stay_what_they_are() -> None:
    text = b"a: NO\nb: 1.10\nc: 01:02:03\nd: 1e999\ne: 0o7\nf: 2026-01-01\ng: true\nh: '~'\ni: ~\n"
    assert document.parse(text, Path("f")).data == {
        "a": "NO",
        "b": "1.10",
        "c": "01:02:03",
        "d": "1e999",
        "e": "0o7",
        "f": "2026-01-01",
        "g": "true",
        "h": "~",
        "i": None,
    }


def test_aliases_are_copies() -> None:
    found = document.parse(b"a: &x {b: [1]}\nc: *x\n", Path("f"))
    assert found.data["a"] == found.data["c"]
    assert found.data["a"] is not found.data["c"]
    assert not found.problems


@pytest.mark.parametrize(
    "text",
    [GOOD, b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"), b"%YAML 1.2\n---\n" + GOOD],
    ids=["plain", "BOM", "CRLF", "directive"],
)
def test_the_same_text_in_other_clothes(text: bytes) -> None:
    found = document.parse(text, Path("f"))
    assert found.data == {"wulfling": "1", "cluster": "c"}
    assert not found.problems


def test_korean_and_emoji_are_text() -> None:
    assert document.parse("a: 보드 🐧\n".encode(), Path("f")).data == {"a": "보드 🐧"}


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        (GOOD.decode().encode("utf-16"), "1:1", "the file is UTF-16, not UTF-8"),
        (b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), "1:1", "the file is UTF-16, not UTF-8"),
        (GOOD.decode().encode("utf-32"), "1:1", "the file is UTF-32, not UTF-8"),
        (GOOD + b"domain: caf\xe9\n", "3:12", "byte 0xe9 is not UTF-8 here"),
        (GOOD + b"a: \xed\xa0\x80\n", "3:4", "byte 0xed is not UTF-8 here"),
        (GOOD + b"a: b\x00c\n", "3:5", "a NUL byte does not belong in a cluster file"),
        (b"a: \x1b[31m\n", "1:4", "the control character 0x1b does not belong in a cluster file"),
        (b"\xef\xbb\xbf", "1:1", "the file is empty"),
        (b"---\n...\n", "1:1", "the file is empty"),
        (b"a: " + b"x" * LONGEST_LINE, f"1:{LONGEST_LINE + 1}", "characters"),
        (b"[{" * 20, "1:17", "nested more than 16 levels deep"),
        (b"? " + b"[" * 20, "1:18", "nested more than 16 levels deep"),
        (b"a: [" + b"b,\n" * 20_001, "19998:1", "the file has more than 20000 values"),
        (b"%YAML 1.99\n---\na: b\n", "1:1", "this is not YAML"),
    ],
)
def test_what_cannot_be_read(content: bytes, where: str, message: str) -> None:
    found = refused(content)
    assert any(at == f"cluster.yaml:{where}" and message in words for at, words in found), found


def test_what_was_found_before_the_parser_gave_up_is_told_too() -> None:
    assert refused(b"a: 1\na: 2\nb: {c\n") == [
        ("cluster.yaml:2:1", "'a' is said twice, first in line 1"),
        ("cluster.yaml:3:4", "this is not YAML: expected ',' or '}', but got '<stream end>'"),
    ]


def test_private_keys_and_nothing_else_is_told() -> None:
    said = refused(b"a: 1\na: 2\nk: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  c2VjcmV0\n")
    assert said == [("cluster.yaml:4:3", said[0][1])]
    assert "PRIVATE key" in said[0][1]


def reading(path: Path) -> str:
    with pytest.raises(BadFile) as caught:
        document.read(path)
    return caught.value.message


def test_files_that_are_none(tmp_path: Path) -> None:
    missing, folder, fifo, large = (tmp_path / name for name in ("no", "d", "fifo", "large"))
    folder.mkdir()
    os.mkfifo(fifo)
    large.write_bytes(b"# " + b"x\n# " * LARGEST_FILE)
    link = tmp_path / "loop"
    link.symlink_to(link)
    assert reading(missing) == f"there is no file {missing}"
    assert reading(folder) == f"{folder} cannot be read: it is a directory"
    assert reading(fifo) == f"{fifo} cannot be read: it is not a regular file"
    assert reading(large) == f"{large} cannot be read: it is larger than 1024 KiB"
    assert reading(Path("/dev/zero")) == "/dev/zero cannot be read: it is not a regular file"
    assert "symbolic links" in reading(link)
    assert "null" in reading(tmp_path / "a\0b")
    assert reading(missing / "below") == f"there is no file {missing / 'below'}"
    assert "Not a directory" in reading(large / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.touch(mode=0)
    assert reading(file) == f"{file} cannot be read: Permission denied"


def test_a_file_name_that_is_not_utf_8_can_be_told() -> None:
    path = Path(os.fsdecode(b"/nowhere/\xff.yaml"))
    assert reading(path).encode() == "there is no file /nowhere/\ufffd.yaml".encode()
