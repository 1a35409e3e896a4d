"""A vendor's key: that one and no other, as gpg makes them and over a real connection."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import WulflingError
from wulfling.node.resources.keyring import Keyring, fingerprint

if TYPE_CHECKING:
    from tests.unit.node.conftest import TableBoard

PATH = "/usr/share/keyrings/vendor.gpg"

pytestmark = pytest.mark.skipif(not shutil.which("gpg"), reason="there is no gpg here")


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., bytes]]:
    """Makes a key and gives what a vendor publishes of it; with ``two`` of two keys."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback")

    def make(name: str, kind: str = "ed25519") -> bytes:
        words = ("--passphrase", "", "--quick-gen-key", name, kind, "sign", "never")
        subprocess.run((*gpg, *words), check=True, capture_output=True)
        return export(name)

    def export(*names: str) -> bytes:
        return subprocess.run((*gpg, "--export", *names), check=True, capture_output=True).stdout

    def told(name: str) -> str:
        words = ("--with-colons", "--list-keys", name)
        out = subprocess.run((*gpg, *words), check=True, capture_output=True, text=True).stdout
        return next(line.split(":")[9] for line in out.splitlines() if line.startswith("fpr"))

    make.export, make.told = export, told  # type: ignore[attr-defined]
    yield make
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=False)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and where it is on the web."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}/key.gpg"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_fingerprint_is_the_one_that_gpg_says(vendor: Callable[..., bytes]) -> None:
    for kind in ("ed25519", "rsa3072"):
        key = vendor(f"maker-{kind}@example.org", kind)
        assert fingerprint(key) == vendor.told(f"maker-{kind}@example.org")  # type: ignore[attr-defined]


def test_that_key_and_no_other(
    vendor: Callable[..., bytes], served: tuple[Path, str], board: TableBoard
) -> None:
    folder, url = served
    (board.path(PATH)).parent.mkdir(parents=True, exist_ok=True)
    mine, others = vendor("right@example.org"), vendor("wrong@example.org")
    wish = Keyring(path=PATH, fingerprint=fingerprint(mine), url=url)
    assert wish.observe(board) is None
    both = vendor.export("right@example.org", "wrong@example.org")  # type: ignore[attr-defined]
    for bad in (others, both, b"<html>", b"", mine[:-9], mine + b"x"):
        (folder / "key.gpg").write_bytes(bad)
        with pytest.raises(WulflingError, match=f"and not {wish.fingerprint}"):
            wish.converge(board, None)
        assert not board.path(PATH).exists()
    (folder / "key.gpg").write_bytes(mine)
    wish.converge(board, None)
    assert board.path(PATH).read_bytes() == mine
    assert wish.observe(board) == wish
    board.path(PATH).write_bytes(others)
    assert wish.observe(board) != wish


def test_nobody_is_there(board: TableBoard) -> None:
    wish = Keyring(path=PATH, fingerprint="A" * 40, url="http://127.0.0.1:9/key.gpg")
    with pytest.raises(WulflingError, match="does not come: .*refused"):
        wish.converge(board, None)
