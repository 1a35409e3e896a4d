"""Files that the controller brings by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.blob import Blob

CONTENT = bytes(range(256))
WANTED = Blob(path="/d/x.deb", sha256=hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("before", [None, b"", b"another"])
def test_it_is_there_afterwards(tmp_path: Path, before: bytes | None) -> None:
    (tmp_path / "d").mkdir()
    if before is not None:
        (tmp_path / "d/x.deb").write_bytes(before)
    board = Board(tmp_path, blob=lambda sha256: CONTENT)
    observed = WANTED.observe(board)
    assert observed != WANTED
    WANTED.converge(board, observed)
    assert WANTED.observe(board) == WANTED
    assert [place.name for place in (tmp_path / "d").iterdir()] == ["x.deb"]
    assert (tmp_path / "d/x.deb").stat().st_mode & 0o777 == 0o644


def test_what_is_not_it_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(WulflingError, match="sha256"):
        WANTED.converge(Board(tmp_path, blob=lambda sha256: b"no"), None)
    assert not list((tmp_path / "d").iterdir())
