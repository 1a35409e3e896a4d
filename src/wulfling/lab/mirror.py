"""The package cache's program: an HTTP proxy for apt that keeps what never changes.

Packages and indices named by their hash are fetched once, by whoever asks first; all who ask
meanwhile read along from the growing file. Everything else (``InRelease``, errors, redirects)
is passed on with its validators. It runs with nothing but the standard library.

Why not apt-cacher-ng: version 3.7.4 hangs up on clients of its unix socket, takes port
numbers for signed 16-bit ones, and its Debian package starts a daemon on port 3142 of every
interface of the machine that only wanted to try a cluster.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import socketserver
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler
from pathlib import Path

PATIENCE = 180.0
_CHUNK = 1 << 16
_KEEP_DAYS = 90
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)


class Mirrors:
    """Connections to mirrors, kept open for the next request."""

    def __init__(self, upstream: str = "") -> None:
        self._upstream = urllib.parse.urlsplit(upstream) if upstream else None
        self._idle: dict[str, list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    def ask(
        self, method: str, url: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request; a kept connection that turns out dead is replaced by a new one."""
        parts = urllib.parse.urlsplit(url)
        target = url if self._upstream else urllib.parse.urlunsplit(("", "", *parts[2:4], ""))
        headers = {**headers, "Host": parts.netloc, "Connection": "keep-alive"}
        while True:
            connection, is_fresh = self._take(parts.netloc)
            try:
                connection.request(method, target, headers=headers)
                return connection, connection.getresponse()
            except (http.client.HTTPException, OSError):
                connection.close()
                if is_fresh:
                    raise

    def keep(self, netloc: str, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer was read to its end."""
        with self._lock:
            self._idle.setdefault(netloc, []).append(connection)

    def _take(self, netloc: str) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if idle := self._idle.get(netloc):
                return idle.pop(), False
        place = self._upstream.netloc if self._upstream else netloc
        return http.client.HTTPConnection(place, timeout=PATIENCE), True


class Fetch:
    """One file on its way in. Those who want it read what is there and wait for more."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.part: Path | None = None
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.length = 0
        self.written = 0
        self.finished = False
        self.failed = False

    def tell(self, **facts: object) -> None:
        """Change what is known, and wake up those who wait."""
        with self.changed:
            for name, value in facts.items():
                setattr(self, name, value)
            self.changed.notify_all()


class Store:
    """The kept files, and those being fetched."""

    def __init__(self, folder: Path, mirrors: Mirrors) -> None:
        self.folder = folder
        self.mirrors = mirrors
        self._fetches: dict[Path, Fetch] = {}
        self._lock = threading.Lock()

    def place(self, url: str) -> Path | None:
        """Where the file of ``url`` is kept, or nothing when it may change."""
        parts = urllib.parse.urlsplit(url)
        names = [parts.netloc, *parts.path.split("/")[1:]]
        lasting = parts.path.endswith((".deb", ".udeb")) or "/by-hash/" in parts.path
        if not lasting or parts.query or any(name in ("", ".", "..") for name in names):
            return None
        return self.folder.joinpath(*names)

    def fetch(self, url: str, place: Path) -> Fetch | None:
        """The fetch under way for a file, a new one if need be; nothing when it is kept."""
        with self._lock:
            if place.is_file():
                return None
            if place not in self._fetches:
                self._fetches[place] = Fetch()
                words = (url, place, self._fetches[place])
                threading.Thread(target=self._bring, args=words, daemon=True).start()
            return self._fetches[place]

    def _bring(self, url: str, place: Path, fetch: Fetch) -> None:
        """Fetch a file beside its place, and give it its name when all of it is there."""
        part = None
        try:
            connection, answer = self.mirrors.ask("GET", url, {"User-Agent": "wulfling-lab"})
            length = int(answer.headers.get("Content-Length", "-1"))
            if answer.status == 200 and length >= 0:
                place.parent.mkdir(parents=True, exist_ok=True)
                descriptor, name = tempfile.mkstemp(prefix=".part-", dir=place.parent)
                part = Path(name)
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    fetch.tell(part=part, length=length, status=200, headers=kept(answer))
                    while data := answer.read(_CHUNK):
                        file.write(data)
                        fetch.tell(written=fetch.written + len(data))
                if fetch.written != length:
                    raise http.client.IncompleteRead(b"", length - fetch.written)
                part.rename(place)
                self.mirrors.keep(urllib.parse.urlsplit(url).netloc, connection)
            else:
                connection.close()
                fetch.tell(status=answer.status, headers=kept(answer))
        except (http.client.HTTPException, OSError, ValueError):
            if part is not None:
                part.unlink(missing_ok=True)
            fetch.tell(failed=True)
        finally:
            with self._lock:
                del self._fetches[place]
            fetch.tell(finished=True)

    def tidy(self) -> None:
        """Remove half-fetched files of an earlier run and what nobody asked for in months."""
        oldest = time.time() - _KEEP_DAYS * 86400
        for path in self.folder.rglob("*"):
            if path.is_file() and (path.name.startswith(".part-") or path.stat().st_mtime < oldest):
                path.unlink(missing_ok=True)


def kept(answer: http.client.HTTPResponse) -> list[tuple[str, str]]:
    """The headers of an answer that are meant for whoever reads it in the end."""
    return [
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
    ]


class Client(BaseHTTPRequestHandler):
    """One connection of apt, which may ask for many files one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = 600
    store: Store

    def do_GET(self) -> None:
        """Send what is asked for, from the store where it can be."""
        parts = urllib.parse.urlsplit(self.path)
        if self.path == "/":
            self._plain(200, "the package cache of wulfling lab\n")
        elif parts.scheme != "http" or not {"dists", "pool"} & set(parts.path.split("/")):
            self._plain(403, "only package archives over http go through here\n")
        else:
            try:
                self._serve()
            except (http.client.HTTPException, OSError) as error:
                self._broken(error)

    do_HEAD = do_GET

    def _serve(self) -> None:
        place = self.store.place(self.path)
        if place is None or self.command == "HEAD":
            self._pass_on()
            return
        fetch = self.store.fetch(self.path, place)
        if fetch is None:
            self._send_kept(place)
        else:
            self._read_along(fetch, place)

    def _send_kept(self, place: Path) -> None:
        with place.open("rb") as file:
            os.utime(place)
            self._head(200, [("Content-Length", str(os.fstat(file.fileno()).st_size))])
            while data := file.read(_CHUNK):
                self.wfile.write(data)

    def _read_along(self, fetch: Fetch, place: Path) -> None:
        with fetch.changed:
            fetch.changed.wait_for(lambda: fetch.status or fetch.finished)
        if fetch.status != 200 or fetch.part is None:
            self._pass_on()
            return
        try:
            file = fetch.part.open("rb")
        except FileNotFoundError:
            if fetch.failed:
                raise
            file = place.open("rb")
        with file:
            self._head(200, fetch.headers)
            sent = 0
            while sent < fetch.length:
                with fetch.changed:
                    fetch.changed.wait_for(lambda: fetch.written > sent or fetch.failed)  # noqa: B023
                data = file.read(_CHUNK)
                if not data and fetch.failed:
                    raise ConnectionError("the mirror broke off")
                self.wfile.write(data)
                sent += len(data)

    def _pass_on(self) -> None:
        """Ask the mirror and pass on its answer as it comes."""
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        headers["Accept-Encoding"] = "identity"
        connection, answer = self.store.mirrors.ask(self.command, self.path, headers)
        lines = kept(answer)
        bodyless = self.command == "HEAD" or answer.status in (204, 304)
        if not bodyless and answer.headers.get("Content-Length") is None:
            self.close_connection = True
            lines.append(("Connection", "close"))
        self._head(answer.status, lines)
        while data := answer.read(_CHUNK):
            self.wfile.write(data)
        self.store.mirrors.keep(urllib.parse.urlsplit(self.path).netloc, connection)

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._answered = True
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _plain(self, status: int, text: str) -> None:
        self._head(status, [("Content-Length", str(len(text)))])
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def _broken(self, error: Exception) -> None:
        """Say that the mirror failed, or, in the middle of an answer, hang up."""
        self.close_connection = True
        if not getattr(self, "_answered", False):
            try:
                self._plain(504, f"{error}\n")
            except OSError:
                pass

    def handle_one_request(self) -> None:
        """As in the library, and a client that went away is nothing to talk about."""
        self._answered = False
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 128


class _Local(_Server):
    address_family = socket.AF_UNIX

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        plug, _ = self.socket.accept()
        return plug, ("local", 0)


def main(words: list[str]) -> None:
    """Serve until killed; the port on the loopback address is in ``--port-file``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--upstream", default="")
    options = parser.parse_args(words)
    os.umask(0o077)
    Client.store = Store(options.folder, Mirrors(options.upstream))
    Client.store.tidy()
    loopback = _Server(("127.0.0.1", 0), Client)
    options.port_file.write_text(f"{loopback.server_address[1]}\n")
    threading.Thread(target=loopback.serve_forever, daemon=True).start()
    fresh = options.socket.with_name(f"{options.socket.name}.{os.getpid()}")
    with _Local(str(fresh), Client) as local:  # type: ignore[arg-type]
        fresh.rename(options.socket)
        local.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
