"""Where the packages of a board come from."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.lab.archive import DEBIAN, UBUNTU, archive, keyring

TARGETS = """\
Packages|Debian|bookworm|main|http://a.example/debian/
Packages|Debian|bookworm|contrib|http://a.example/debian/
Packages|Debian|bookworm-updates|main|https://a.example/debian/
Translations|Debian|bookworm|main|http://a.example/debian/
Packages|Debian|bookworm-security|main|http://b.example/debian-security/
Packages|Debian|trixie|main|http://a.example/debian/
Packages|Other|bookworm|main|http://c.example/
Packages|Debian|bookworm|main|cdrom://disc/
broken
"""


@pytest.fixture
def proxy() -> Iterator[str]:
    """A proxy that has the same few bytes for every question."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"!<arch>, or so it says")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_boards_use_the_mirrors_of_this_machine() -> None:
    assert DEBIAN.mirrors("bookworm", TARGETS) == (
        "deb http://a.example/debian/ bookworm main",
        "deb http://a.example/debian/ bookworm-updates main",
        "deb http://b.example/debian-security/ bookworm-security main",
    )


def test_a_machine_of_another_release_leaves_it_to_mmdebstrap() -> None:
    assert DEBIAN.mirrors("forky", TARGETS) == ()
    assert DEBIAN.mirrors("bookworm", "Packages|Ubuntu|noble|main|http://u.example/\n") == ()


def test_what_this_machine_does_not_know_of_ubuntu_comes_from_ubuntus_archive() -> None:
    assert UBUNTU.mirrors("noble", TARGETS) == (
        "deb http://archive.ubuntu.com/ubuntu noble main universe",
        "deb http://archive.ubuntu.com/ubuntu noble-updates main universe",
        "deb http://archive.ubuntu.com/ubuntu noble-security main universe",
    )
    own = "Packages|Ubuntu|noble|universe|http://u.example/\n"
    assert UBUNTU.mirrors("noble", own) == ("deb http://u.example/ noble universe",)


def test_each_release_has_the_keys_of_its_distribution() -> None:
    assert archive("noble") is UBUNTU
    assert archive("trixie") is archive("bookworm") is DEBIAN


def test_keys_that_are_not_the_pinned_ones_are_refused(tmp_path: Path, proxy: str) -> None:
    if Path(UBUNTU.keyring).exists():
        pytest.skip("this is Ubuntu: its own keys are used")
    with pytest.raises(WulflingError, match="is not the file with the sha256 36de43b15853"):
        keyring(UBUNTU, tmp_path, proxy)
    assert list(tmp_path.iterdir()) == []
