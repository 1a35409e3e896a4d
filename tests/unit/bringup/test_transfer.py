"""Bytes on their way to a card: in order, proven, and never half of them under the whole's name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wulfling.bringup import transfer
from wulfling.errors import WulflingError

PIECES = [b"first" * 100, b"second" * 100, b"third" * 100]


def test_the_partition_table_is_written_last(tmp_path: Path) -> None:
    place = tmp_path / "card"
    seen: list[bytes] = []
    done: list[int] = []

    def pieces() -> Iterator[bytes]:
        for piece in PIECES:
            yield piece
            seen.append(place.read_bytes()[: len(PIECES[0])])

    place.touch()
    with transfer.card(place) as handle:
        digest = transfer.write(pieces(), handle, place, done.append)
    assert set(seen) == {bytes(len(PIECES[0]))}
    assert place.read_bytes() == b"".join(PIECES)
    assert digest == hashlib.sha256(b"".join(PIECES)).hexdigest()
    assert done == [500, 1100, 1600]


def test_what_comes_back_is_compared(tmp_path: Path) -> None:
    place = tmp_path / "card"
    place.touch()
    with transfer.card(place) as handle:
        digest = transfer.write(PIECES, handle, place, lambda done: None)
        transfer.verify(handle, 1600, digest, place, lambda done: None)
        os.pwrite(handle, b"X", 700)
        with pytest.raises(WulflingError, match="does not give back what was written") as caught:
            transfer.verify(handle, 1600, digest, place, lambda done: None)
    assert "another one" in caught.value.hint


def test_a_card_that_forgets_its_end(tmp_path: Path) -> None:
    """Cards that are smaller than they say take everything and give back a part."""
    place = tmp_path / "card"
    place.touch()
    with transfer.card(place) as handle:
        digest = transfer.write(PIECES, handle, place, lambda done: None)
        os.ftruncate(handle, 1000)
        with pytest.raises(WulflingError, match="does not give back"):
            transfer.verify(handle, 1600, digest, place, lambda done: None)


def test_a_full_card() -> None:
    """/dev/full says of every write what a full card says (full(4))."""
    full = Path("/dev/full")
    with transfer.card(full) as handle, pytest.raises(WulflingError, match="is full") as caught:
        transfer.write(PIECES, handle, full, lambda done: None)
    assert "larger card" in caught.value.hint


def test_a_file_has_its_name_at_the_end_and_is_private(tmp_path: Path) -> None:
    place = tmp_path / "rpnode01.img"
    place.write_bytes(b"old")
    with transfer.file(place) as handle:
        transfer.write(PIECES, handle, place, lambda done: None)
        assert place.read_bytes() == b"old"
    assert place.read_bytes() == b"".join(PIECES)
    assert place.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["rpnode01.img"]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "rpnode01.img"
    place.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), transfer.file(place):
        raise KeyboardInterrupt
    assert place.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["rpnode01.img"]


def test_no_right_to_write(tmp_path: Path) -> None:
    with (
        pytest.raises(WulflingError, match="cannot be written"),
        transfer.file(tmp_path / "nowhere" / "x.img"),
    ):
        pass
    if os.geteuid():
        place = tmp_path / "card"
        place.touch(mode=0o400)
        caught = pytest.raises(WulflingError, match="you may not write")
        with caught as found, transfer.card(place):
            pass
        assert "sudo chown" in found.value.hint
