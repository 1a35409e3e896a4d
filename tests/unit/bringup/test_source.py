"""Images as they are downloaded, whole and not."""

from __future__ import annotations

import gzip
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wulfling.bringup.source import CHUNK, chunks, source
from wulfling.errors import WulflingError

CONTENT = os.urandom(CHUNK + 4096) + bytes(1 << 16)


def zipped(content: bytes, *names: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, content)

    return write


PACKED: dict[str, Callable[[Path], object]] = {
    "raspios.img": lambda place: place.write_bytes(CONTENT),
    "raspios.img.xz": lambda place: place.write_bytes(lzma.compress(CONTENT, preset=0)),
    "raspios.img.gz": lambda place: place.write_bytes(gzip.compress(CONTENT, 1)),
    "raspios.zip": zipped(CONTENT, "raspios.img", "readme.txt"),
}


@pytest.mark.parametrize("name", PACKED)
def test_all_unpack_to_the_same(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    PACKED[name](place)
    used: list[int] = []
    found = source(place)
    pieces = list(chunks(found, used.append))
    assert b"".join(pieces) == CONTENT
    assert [len(piece) for piece in pieces[:-1]] == [CHUNK]
    assert used == sorted(used)
    assert used[-1] <= found.size == place.stat().st_size


@pytest.mark.parametrize("name", [name for name in PACKED if name != "raspios.img"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_a_download_that_was_cut_short(name: str, kept: float, tmp_path: Path) -> None:
    place = tmp_path / name
    PACKED[name](place)
    os.truncate(place, int(place.stat().st_size * kept))
    with pytest.raises(WulflingError, match="is damaged or not whole") as caught:
        list(chunks(source(place), lambda used: None))
    assert "SHA256" in caught.value.hint


@pytest.mark.parametrize("name", [name for name in PACKED if name != "raspios.img"])
def test_a_byte_that_flipped(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    PACKED[name](place)
    damaged = bytearray(place.read_bytes())
    damaged[len(damaged) // 4] ^= 0x10
    place.write_bytes(damaged)
    with pytest.raises(WulflingError, match="is damaged or not whole"):
        list(chunks(source(place), lambda used: None))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "packed in a way that is not read here"),
        (b"BZh91AY", "packed in a way that is not read here"),
    ],
)
def test_no_image(content: bytes, said: str, tmp_path: Path) -> None:
    place = tmp_path / "raspios.img"
    place.write_bytes(content)
    with pytest.raises(WulflingError, match=said) as caught:
        source(place)
    assert caught.value.hint


@pytest.mark.parametrize("names", [("readme.txt",), ("one.img", "two.img")])
def test_a_zip_with_no_image_or_two(names: tuple[str, ...], tmp_path: Path) -> None:
    place = tmp_path / "raspios.zip"
    zipped(b"x", *names)(place)
    with pytest.raises(WulflingError, match=r"\.img files in .*, and one is expected"):
        list(chunks(source(place), lambda used: None))


def test_nothing_and_a_folder(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere.img", tmp_path):
        with pytest.raises(WulflingError, match="cannot be read"):
            source(place)
