"""Where a lab's files are, and that names cannot lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.lab import places


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of this test alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", ".hidden", "a b", "x" * 64])
def test_a_name_that_is_no_folders_is_refused(name: str) -> None:
    with pytest.raises(WulflingError, match="cannot be called"):
        places.lab_files(name)


@pytest.mark.parametrize("folder", ["/my home", "/a,b", "/a:b", '/a"b'])
def test_a_path_that_a_kernel_command_line_cannot_hold_is_refused(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", folder)
    with pytest.raises(WulflingError, match="kernel takes no path") as caught:
        places.lab_files("guide")
    assert "XDG_STATE_HOME" in caught.value.hint


def test_folders_follow_the_xdg_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.lab_files("guide").folder == tmp_path / "state/wulfling/labs/guide"
    assert places.cache_root() == tmp_path / "cache/wulfling"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert places.state_root() == Path.home() / ".local/state/wulfling/labs"


def test_two_labs_have_two_short_folders() -> None:
    first, second = places.lab_files("a").runtime, places.lab_files("b").runtime
    assert first != second
    assert len(str(first)) < 40


def test_labs_are_listed_in_order_and_locks_are_none() -> None:
    for name in ("b", "a"):
        places.lab_files(name).folder.mkdir(parents=True)
    places.lab_files("a").lock.touch()
    assert [lab.name for lab in places.existing_labs()] == ["a", "b"]


def test_a_file_is_replaced_as_a_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    places.write_beside(path, b"one")
    places.write_beside(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
