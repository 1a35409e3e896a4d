"""The shipped program: the same bytes from the same sources, and no more than it needs."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from wulfling.transport.program import STUB, Program, program

SOURCES = (
    ("wulfling/__init__.py", b""),
    ("wulfling/node/__init__.py", b""),
    (
        "wulfling/node/program.py",
        b"def main(i, o):\n    o.write(b'got ' + i.readline())\n    o.flush()\n    return 7\n",
    ),
)


def test_it_has_the_errors_the_model_and_the_node_and_nothing_else() -> None:
    names = [name for name, _ in program().sources]
    assert "wulfling/__init__.py" in names
    assert "wulfling/node/program.py" in names
    tops = {tuple(name.split("/")[:2]) for name in names}
    assert tops == {
        ("wulfling", "__init__.py"),
        ("wulfling", "errors.py"),
        ("wulfling", "model"),
        ("wulfling", "node"),
    }
    assert names == sorted(names)


def test_the_same_sources_give_the_same_bytes() -> None:
    assert Program(SOURCES).zipped == Program(SOURCES).zipped
    assert Program(SOURCES).sha256 == Program(SOURCES).sha256
    with zipfile.ZipFile(io.BytesIO(Program(SOURCES).zipped)) as archive:
        assert [(name, archive.read(name)) for name in archive.namelist()] == list(SOURCES)


def test_other_sources_have_another_name() -> None:
    moved = (*SOURCES[:2], ("wulfling/node/programm.py", SOURCES[2][1]))
    assert Program(moved).sha256 != Program(SOURCES).sha256


def test_the_stub_becomes_the_program_without_a_file() -> None:
    shipped = Program(SOURCES)
    size = b"%d\n" % len(shipped.zipped)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STUB],
        input=shipped.greeting + size + shipped.zipped + b"hello\n",
        capture_output=True,
        check=False,
    )
    greeting, said = done.stdout.splitlines()
    assert b'"have": false' in greeting
    assert (said, done.returncode, done.stderr) == (b"got hello", 7, b"")


def test_the_stub_uses_the_copy_that_an_apply_left(tmp_path: Path) -> None:
    shipped = Program(SOURCES)
    kept = tmp_path / shipped.sha256
    for name, content in SOURCES:
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).write_bytes(content)
    greeting = shipped.greeting.split(b"\n", 1)[1]
    greeting = greeting.replace(b"/var/lib/wulfling/program", str(tmp_path).encode())
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STUB],
        input=b"%d\n" % len(greeting) + greeting + b"hello\n",
        capture_output=True,
        check=False,
    )
    assert b'"have": true' in done.stdout
    assert done.stdout.endswith(b"got hello\n")


def test_a_line_that_breaks_off_ends_it_quietly() -> None:
    shipped = Program(SOURCES)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STUB],
        input=shipped.greeting + b"%d\n" % len(shipped.zipped) + shipped.zipped[:100],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_real_program_starts_from_its_zip() -> None:
    shipped = program()
    argv = [sys.executable, "-I", "-S", "-c", STUB]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(shipped.greeting + b"%d\n" % len(shipped.zipped) + shipped.zipped)
        process.stdin.write(b'{"do": "plan", "operator": "a test"}\n{"resources": []}\n')
        process.stdin.flush()
        events = [json.loads(process.stdout.readline()).get("event") for _ in range(3)]
    assert events == [None, "hello", "done"]
