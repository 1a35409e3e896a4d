"""``wulfling card write``: what it says, what it asks, and what it refuses to start."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wulfling.cli import card
from wulfling.transport import pins

Run = Callable[..., tuple[int, str, str]]

CMDLINE = "console=tty1 rootwait init=/usr/lib/raspberrypi-sys-mods/firstboot\n"


class Terminal(io.StringIO):
    """Somebody who is there and types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def bootfs(home: Path) -> Path:
    """The mounted boot folder of a card with Raspberry Pi OS bookworm."""
    folder = home / "bootfs"
    folder.mkdir()
    (folder / "cmdline.txt").write_text(CMDLINE)
    (folder / "config.txt").write_text("auto_initramfs=1\n")
    return folder


def test_a_boot_folder(run: Run, file: Path, bootfs: Path) -> None:
    code, out, err = run("card", "write", "two", "--to", str(bootfs))
    assert (code, out.splitlines()[0]) == (
        0,
        f"{bootfs}: the boot folder is two's, read back and the same",
    )
    assert "firstrun: firstrun.sh, cmdline.txt" in out
    (key,) = pins.pinned("c", "10.9.9.2")
    assert f"host key: {pins.fingerprint(key)}, pinned" in out
    assert "left to do: let your router give two the address 10.9.9.2" in err
    assert err.endswith("next: wulfling -f cluster.yaml plan   # when the board has booted\n")
    assert "PRIVATE" not in out + err


def test_json(run: Run, file: Path, bootfs: Path) -> None:
    code, out, _ = run("card", "write", "one", "--to", str(bootfs), "-o", "json")
    told = json.loads(out)
    assert code == 0
    assert (told["node"], told["address"], told["mechanism"]) == ("one", "10.9.9.1", "firstrun")
    assert told["host_key"].startswith("SHA256:")


def test_custom_toml_says_what_it_leaves_to_you(run: Run, file: Path, bootfs: Path) -> None:
    code, out, err = run("card", "write", "one", "--to", str(bootfs), "--mechanism", "custom.toml")
    assert code == 0
    assert "host key: its own" in out
    assert "left to do: pin the host key that one makes at its first boot" in err


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("three", "--to", "bootfs"), (1, "there is no node three")),
        (("one", "--to", "x.img"), (1, "add --image raspios.img.xz")),
        (("one", "--to", "x.img", "--image", "no.img"), (1, "the image no.img cannot be read")),
        (("one", "--to", "/dev/no-card", "--image", "i"), (1, "there is no device /dev/no-card")),
        (("one", "--to", "bootfs", "--image", "i"), (1, "leave out --image")),
        (("one", "--to", "bootfs", "--mechanism", "cloud-init"), (1, "leave out --mechanism")),
        (("one", "--to", "bootfs", "--mechanism", "magic"), (64, "magic")),
        (("one", "--to", "bootfs", "--expect", "32"), (64, "has no unit")),
        (("one",), (64, "--to")),
        ((), (64, "NODE")),
    ],
)
def test_bad_input_is_refused_in_words(
    run: Run, file: Path, bootfs: Path, words: tuple[str, ...], refused: tuple[int, str]
) -> None:
    code, out, err = run("card", "write", *words)
    assert (code, out) == (refused[0], "")
    assert refused[1] in err
    assert (bootfs / "cmdline.txt").read_text() == CMDLINE


def test_a_bad_file_comes_first(run: Run, file: Path, bootfs: Path) -> None:
    file.write_text(f"{file.read_text()}cards: {{gateway: 10.0.0.1}}\n")
    code, _, err = run("card", "write", "one", "--to", str(bootfs))
    assert code == 6
    assert "the gateway 10.0.0.1 is not in the network 10.9.9.0/24" in err


def test_virtual_boards_have_no_cards(run: Run, file: Path, bootfs: Path) -> None:
    file.write_text(f"boards: virtual\n{file.read_text()}")
    code, _, err = run("card", "write", "one", "--to", str(bootfs))
    assert code == 1
    assert "are virtual, and have no SD cards" in err


@pytest.fixture
def image(home: Path) -> Path:
    """An image with Raspberry Pi OS bookworm's boot partition."""
    from tests.unit.bringup.conftest import BOOKWORM, make

    return make(home, BOOKWORM, "raspios.img")


def test_an_image_that_is_there_is_asked_for(
    run: Run, file: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("card", "write", "one", "--image", str(image), "--to", "one.img")
    assert run(*words)[0] == 0
    before = Path("one.img").read_bytes()
    code, _, err = run(*words)
    assert code == 64
    assert "one.img is there already. Replace it? `-y` goes ahead" in err
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, out, err = run(*words)
    assert (code, err) == (2, "nothing was written\n")
    assert "one.img is there already. Replace it? [y/N]" in out
    assert Path("one.img").read_bytes() == before
    assert run(*words, "-y")[0] == 0
    assert Path("one.img").read_bytes() != before


def test_a_card_is_shown_before_it_is_erased(
    run: Run, file: Path, image: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.bringup.test_card import reader

    sdb = home / "sdb"
    sdb.write_bytes(bytes(16 << 20))
    monkeypatch.setattr(card, "MACHINE", reader(home, sdb, 16 << 20))
    words = ("card", "write", "one", "--image", str(image), "--to", str(sdb))
    code, _, err = run(*words)
    assert code == 64
    assert f"{sdb}: Reader, 0.0 GB. Erase all of it, and write one to it?" in err
    assert not any(sdb.read_bytes())
    code, _, err = run(*words, "-y", "--expect", "8M")
    assert code == 1
    assert "of at most 0.0 GB was expected" in err
    assert not any(sdb.read_bytes())
    assert run(*words, "-y")[0] == 0
    assert any(sdb.read_bytes())


def test_building_asks_before_it_replaces_a_file(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = file.with_name("debian.img")
    old.write_text("somebody's")
    code, _, err = run("card", "build", "--to", str(old))
    assert code == 64
    assert "is there already. Replace it? `-y` goes ahead" in err
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert run("card", "build", "--to", str(old))[0] == 2
    assert old.read_text() == "somebody's"


def test_building_says_what_is_missing(
    run: Run, file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wulfling.lab.needs.program", lambda name: f"/nowhere/{name}")
    code, _, err = run("card", "build", "--to", "debian.img")
    assert code == 1
    assert "mcopy (mtools)" in err and "mmdebstrap (mmdebstrap)" in err
    assert "apt install --no-install-recommends" in err
    assert not (home / "debian.img").exists()
