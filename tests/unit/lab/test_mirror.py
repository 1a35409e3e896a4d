"""The package cache: what lasts is fetched once, the rest is passed on as it is."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from wulfling.lab import mirror

DEB = "/debian/pool/main/h/hello_1_amd64.deb"
BODY = b"0123456789" * 50_000


class Archive(BaseHTTPRequestHandler):
    """A Debian mirror with a handful of files."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str]]]
    hold: ClassVar[threading.Event]
    breaks: ClassVar[bool]

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path))
        if self.path.endswith("InRelease"):
            self._release()
        elif self.path.endswith("moved.deb"):
            self._say(302, b"", ("Location", "http://elsewhere.example/x.deb"))
        elif self.path.endswith("missing.deb"):
            self._say(404, b"no such file")
        else:
            self._big()

    do_HEAD = do_GET

    def _release(self) -> None:
        if self.headers["If-Modified-Since"] == "yesterday":
            self._say(304, b"", ("ETag", "x"))
        else:
            self._say(200, b"Release", ("Last-Modified", "yesterday"))

    def _big(self) -> None:
        half = len(BODY) // 2
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(BODY[:half])
        self.hold.wait(20)
        if self.breaks:
            self.close_connection = True
            return
        self.wfile.write(BODY[half:])

    def _say(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@dataclass
class Setting:
    """A mirror, the cache before it, and what the mirror was asked."""

    host: str
    folder: Path
    plug: str
    archive: type[Archive]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def get(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        """Ask the cache over its unix socket, as a relay does for a board."""
        connection = http.client.HTTPConnection("cache", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.plug)
        try:
            connection.request(method, f"http://{self.host}{path}", headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def count(self, path: str) -> int:
        """How often the mirror was asked for a file."""
        return sum(asked == path for _, asked in self.asked)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    """A mirror and the cache, as processes and threads of their own."""

    class OwnArchive(Archive):
        asked: ClassVar[list[tuple[str, str]]] = []
        hold = threading.Event()
        breaks = False

    archive = OwnArchive
    archive.hold.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), archive)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    plug = tmp_path / "http"
    words = [
        *(sys.executable, "-I", "-S", str(mirror.__file__)),
        f"--folder={tmp_path / 'files'}",
        f"--socket={plug}",
        f"--port-file={tmp_path / 'port'}",
    ]
    (tmp_path / "files").mkdir()
    with subprocess.Popen(words) as process:
        deadline = time.monotonic() + 20
        while not plug.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        host = f"127.0.0.1:{server.server_address[1]}"
        yield Setting(host, tmp_path / "files", str(plug), archive, archive.asked)
        process.kill()
    server.shutdown()
    server.server_close()


def test_a_package_is_fetched_once(setting: Setting) -> None:
    for _ in range(3):
        status, body, _ = setting.get(DEB)
        assert (status, body == BODY) == (200, True)
    assert setting.count(DEB) == 1


def test_all_who_ask_at_once_read_the_same_fetch_along(setting: Setting) -> None:
    setting.archive.hold.clear()
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(setting.get, DEB) for _ in range(6)]
        time.sleep(0.3)
        setting.archive.hold.set()
        assert all(answer.result()[1] == BODY for answer in answers)
    assert setting.count(DEB) == 1


def test_an_index_named_by_its_hash_lasts_too(setting: Setting) -> None:
    path = "/debian/dists/bookworm/main/by-hash/SHA256/abc"
    assert setting.get(path)[1] == setting.get(path)[1] == BODY
    assert setting.count(path) == 1


def test_what_may_change_is_asked_for_each_time_with_its_validators(setting: Setting) -> None:
    path = "/debian/dists/bookworm/InRelease"
    status, body, headers = setting.get(path)
    assert (status, body, headers["Last-Modified"]) == (200, b"Release", "yesterday")
    assert setting.get(path, headers={"If-Modified-Since": "yesterday"})[0] == 304
    assert setting.count(path) == 2


def test_redirects_and_errors_are_passed_on_and_not_kept(setting: Setting) -> None:
    moved = setting.get("/pool/moved.deb")
    assert (moved[0], moved[2]["Location"]) == (302, "http://elsewhere.example/x.deb")
    assert setting.get("/pool/missing.deb")[:2] == (404, b"no such file")
    assert list(setting.folder.rglob("*.deb")) == []


def test_a_head_request_has_no_body_and_keeps_nothing(setting: Setting) -> None:
    status, body, headers = setting.get(DEB, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(BODY)))
    assert list(setting.folder.rglob("*.deb")) == []


def test_a_broken_fetch_is_a_broken_answer_and_the_next_one_is_whole(setting: Setting) -> None:
    setting.archive.breaks = True
    try:
        status = setting.get(DEB)[0]
    except http.client.IncompleteRead:
        status = 0  # it had begun to answer
    assert status in (0, 504)
    assert [path for path in setting.folder.rglob("*") if path.is_file()] == []
    setting.archive.breaks = False
    assert setting.get(DEB)[1] == BODY


def test_a_mirror_that_cannot_be_reached_is_a_gateway_error(setting: Setting) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        setting.host = f"127.0.0.1:{closed.getsockname()[1]}"
    assert setting.get("/debian/dists/x/InRelease")[0] == 504
    assert setting.get(DEB)[0] == 504


@pytest.mark.parametrize("path", ["/secret", "/", "/.git/config"])
def test_it_is_a_way_to_package_archives_and_to_nothing_else(setting: Setting, path: str) -> None:
    assert setting.get(path)[0] == 403
    assert setting.asked == []


def test_names_cannot_lead_out_of_the_folder(setting: Setting) -> None:
    setting.get("/pool/../../../etc/x.deb")
    assert [path for path in setting.folder.rglob("*") if path.is_file()] == []


def test_one_connection_serves_many_requests_and_pipelined_ones(setting: Setting) -> None:
    request = f"GET http://{setting.host}{DEB} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.socket(socket.AF_UNIX) as plug:
        plug.connect(setting.plug)
        plug.sendall(request * 3)
        plug.settimeout(20)
        want, got = 3 * len(BODY), b""
        while got.count(BODY) < 3 and len(got) < want + 5000:
            got += plug.recv(65536)
    assert got.count(b"HTTP/1.1 200") == 3
    assert setting.count(DEB) == 1


def test_old_and_half_fetched_files_are_removed_at_the_start(tmp_path: Path) -> None:
    old, part, new = (tmp_path / name for name in ("old.deb", ".part-x", "new.deb"))
    for path in (old, part, new):
        path.touch()
    long_ago = time.time() - 100 * 86400
    os.utime(old, (long_ago, long_ago))
    mirror.Store(tmp_path, mirror.Mirrors()).tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["new.deb"]
