"""Pinned files: from the cache, or from a pip that is played by the one door to processes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from wulfling import proc
from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.wheels import WheelPin
from wulfling.proc import Finished
from wulfling.transport import blobs

DATA = b"PK wheel"
PIN = WheelPin("mpi4py", "4.1.2", "3.11", "arm64", hashlib.sha256(DATA).hexdigest())

Pip = Callable[[bytes | CommandFailed], list[list[str]]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(blobs, "WHEELS", (PIN,))
    return tmp_path / "wulfling" / "blobs"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    """Makes ``proc.run`` download this, and gives the commands that it will have run."""

    def playing(brings: bytes | CommandFailed) -> list[list[str]]:
        ran: list[list[str]] = []

        def run(argv: Sequence[str], **options: Any) -> Finished:
            ran.append(list(argv))
            if isinstance(brings, CommandFailed):
                brings.hint = options["hint"]
                raise brings
            folder = Path(argv[argv.index("--dest") + 1])
            (folder / "mpi4py-4.1.2-cp311-cp311-manylinux_aarch64.whl").write_bytes(brings)
            return Finished(tuple(argv), 0, "", "")

        monkeypatch.setattr(proc, "run", run)
        return ran

    return playing


def test_fetched_once_and_then_from_the_cache(pip: Pip, cache: Path) -> None:
    ran = pip(DATA)
    assert blobs.blob(PIN.sha256) == DATA
    assert blobs.blob(PIN.sha256) == DATA
    assert len(ran) == 1
    assert [place.name for place in cache.iterdir()] == [PIN.sha256]


def test_pip_is_told_the_boards_python_and_machine_not_ours(pip: Pip) -> None:
    ran = pip(DATA)
    blobs.blob(PIN.sha256)
    (argv,) = ran
    assert argv[:4] == [sys.executable, "-m", "pip", "download"]
    assert argv[argv.index("--python-version") + 1] == "3.11"
    assert {word for word in argv if word.startswith("manylinux")} >= {"manylinux2014_aarch64"}
    assert not [word for word in argv if "x86_64" in word]
    assert {"--no-deps", "--only-binary=:all:"} <= set(argv)
    assert argv[-1] == "mpi4py==4.1.2"


def test_what_has_another_hash_is_refused_and_not_kept(pip: Pip, cache: Path) -> None:
    pip(b"PK something else")
    with pytest.raises(WulflingError, match=f"than the pinned {PIN.sha256[:12]}") as refusal:
        blobs.blob(PIN.sha256)
    assert "nothing was installed" in refusal.value.hint
    assert list(cache.iterdir()) == []


def test_a_corrupted_cache_is_fetched_anew(pip: Pip, cache: Path) -> None:
    ran = pip(DATA)
    cache.mkdir(parents=True)
    (cache / PIN.sha256).write_bytes(DATA[:-1])
    assert blobs.blob(PIN.sha256) == DATA
    assert (cache / PIN.sha256).read_bytes() == DATA
    assert len(ran) == 1


def test_without_pypi_the_error_has_pips_words_and_a_hint(pip: Pip, cache: Path) -> None:
    pip(CommandFailed(("pip", "download"), 1, "No matching distribution found"))
    with pytest.raises(CommandFailed, match="No matching distribution") as failure:
        blobs.blob(PIN.sha256)
    assert "PyPI" in failure.value.hint
    assert list(cache.iterdir()) == []


def test_nothing_is_downloaded_that_is_not_pinned(pip: Pip) -> None:
    ran = pip(DATA)
    with pytest.raises(WulflingError, match="no file with the sha256 000000000000... is pinned"):
        blobs.blob("0" * 64)
    assert ran == []


@pytest.mark.parametrize("asked", ["/dev/zero", "../../secret", "", "."])
def test_a_board_that_asks_for_a_path_makes_us_read_nothing(
    asked: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board is not trusted with this machine's files; /dev/zero would fill its memory."""

    def no_reading(place: Path) -> bytes:
        pytest.fail(f"{place} was read")

    monkeypatch.setattr(Path, "read_bytes", no_reading)
    cache.mkdir(parents=True)
    (cache.parents[1] / "secret").write_text("mine")
    with pytest.raises(WulflingError, match="is pinned"):
        blobs.blob(asked)


def test_a_relative_xdg_path_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So says the XDG base directory specification, and so do pins and labs."""
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert blobs.cache_directory() == tmp_path / ".cache/wulfling/blobs"


def test_a_cache_that_cannot_be_made_is_told_in_words(
    pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(DATA)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(WulflingError, match="cannot be kept") as refusal:
        blobs.blob(PIN.sha256)
    assert "XDG_CACHE_HOME" in refusal.value.hint
