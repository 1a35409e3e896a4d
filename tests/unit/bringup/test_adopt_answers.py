"""The file of answers: everything wrong with it at once, and no password in any message."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.bringup.adopt_answers import Answer, read
from wulfling.errors import BadFile, WulflingError

NODES = ("rpnode01", "rpnode02", "rpnode03")
PRINT = "SHA256:" + "a" * 43


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "answers.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def refused(file: Path) -> list[str]:
    with pytest.raises(BadFile) as caught:
        read(file, NODES)
    assert caught.value.exit_code == 6
    assert all(problem.hint for problem in caught.value.problems)
    return [f"{p.where.removeprefix(str(file))} {p.message}".strip() for p in caught.value.problems]


def test_answers_by_node_and_folded(tmp_path: Path) -> None:
    text = f"""
rpnode01: {{password: 'no: #1', fingerprint: '{PRINT}', user: ubuntu}}
rpnode[02-03]: {{password_command: echo it, new_password: 0123456789}}
"""
    answers = read(written(tmp_path, text), NODES)
    assert answers["rpnode01"] == Answer("ubuntu", "no: #1", fingerprint=PRINT)
    assert answers["rpnode02"] == answers["rpnode03"]
    assert answers["rpnode02"].new_password == "0123456789", "text, as it stands there"
    assert "no: #1" not in repr(answers)
    assert "0123456789" not in repr(answers)


def test_every_problem_at_once(tmp_path: Path) -> None:
    text = """\
rpnode01: {pasword: hunter2, fingerprint: MD5:00}
rpnode04: {password: hunter2}
rpnode02: hunter2
rpnode[01-02]: {user: "-oX", password: [hunter2], new_password: "a\\nb"}
rpnode03: {password: hunter2, password_command: cat it}
"""
    said = refused(written(tmp_path, text))
    assert said == [
        ":1:12 unknown key 'pasword'",
        ":1:43 'MD5:00' is no fingerprint",
        ":2:1 the cluster file has no node 'rpnode04'",
        ":3:1 'rpnode02' has to be a mapping of answers",
        ":4:1 rpnode01 is answered for twice",
        ":4:23 '-oX' is no name of an account",
        ":4:40 `password` has to be text",
        ":4:65 `new_password` has to be one line",
        ":5:31 `password` is here already",
    ]
    assert "hunter2" not in "".join(said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1:1 the file is empty"),
        ("- a\n", ":1:1 the file is a list, not a mapping of keys to values"),
        ('rpnode01: {password: "hunter2\\x01"}', ":1:22 a value has a control character in it"),
        ("rpnode01: {password: 'hunter2}", ":1:22 this is not YAML: found unexpected end of"),
        ("rpnode01: {password: hunter2: 2}", "this is not YAML"),
        ("rpnode01: {}\n---\nrpnode02: {}\n", "a file of answers is one"),
        ("rpnode01: {password: \udcff}".encode("utf-8", "surrogateescape"), "is not UTF-8"),
    ],
)
def test_what_is_no_file_of_answers(tmp_path: Path, text: str | bytes, message: str) -> None:
    file = written(tmp_path, "")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(file)
    assert message in said[0]
    assert "hunter2" not in "".join(said)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_may_read_is_not_read(tmp_path: Path, mode: int) -> None:
    file = written(tmp_path, "not: [read", mode)
    (said,) = refused(file)
    assert f"its mode is 0{mode:o}" in said


def test_a_file_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none")[0]
    assert "it is a directory" in refused(tmp_path)[0]


def test_a_password_comes_from_a_command(tmp_path: Path) -> None:
    answer = Answer(password_command="printf 'a b\\nmore\\n'").with_password("rpnode01")
    assert answer.password == "a b"
    for command, words in (
        ("echo hunter2; echo no >&2; exit 3", "ended with 3: no"),
        (":", "printed nothing"),
    ):
        with pytest.raises(WulflingError, match=words) as caught:
            Answer(password_command=command).with_password("rpnode01")
        assert caught.value.message.count("hunter2") == command.count("hunter2")
