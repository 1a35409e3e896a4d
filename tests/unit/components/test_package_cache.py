"""Which way apt goes: the script that it asks, with caches that deliver, fail, hang, are gone."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from wulfling.components.package_cache import ASK_TEXT, resources
from wulfling.model.cluster import Cluster, Gateway
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

WANTED = "http://deb.debian.org/debian/dists/bookworm/InRelease"


@contextmanager
def cache(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers one call with ``answer`` (nothing: it hangs), and what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        with server, server.accept()[0] as caller:
            question = b""
            while not question.endswith(b"\r\n\r\n"):
                question += caller.recv(4096)
            asked.append(question)
            caller.sendall(answer)
            while not answer and caller.recv(1):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(10)


def told(tmp_path: Path, port: int, *words: str) -> str:
    script = tmp_path / "ask"
    text = ASK_TEXT.format(address="127.0.0.1", port=port)
    script.write_text(text.replace("timeout 5", "timeout 1"), encoding="utf-8")
    script.chmod(0o755)
    done = subprocess.run(
        [script, *words], capture_output=True, text=True, check=True, timeout=10
    )  # apt gives up when it fails
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified", "404 Not Found"])
def test_a_cache_that_delivers_is_named(tmp_path: Path, status: str) -> None:
    """What is not there is not there by any other way either."""
    with cache(f"HTTP/1.1 {status}\r\n\r\n".encode()) as (port, asked):
        assert told(tmp_path, port, WANTED) == f"http://127.0.0.1:{port}\n"
    assert asked == [f"HEAD {WANTED} HTTP/1.0\r\n\r\n".encode()]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", b"SSH-2.0-x\r\n", b""])
def test_a_cache_that_does_not_is_passed_by_in_silence(tmp_path: Path, answer: bytes) -> None:
    with cache(answer) as (port, _):
        assert told(tmp_path, port, WANTED) == ""


def test_a_cache_that_is_gone_is_passed_by(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert told(tmp_path, port, WANTED) == ""


def test_nothing_is_declared_unless_the_file_says_so(cluster: Cluster) -> None:
    assert [list(resources(cluster, node)) for node in cluster.nodes] == [[], [], []]


def test_the_cache_is_on_the_head_and_everybody_asks_it(cluster: Cluster) -> None:
    asking = replace(cluster, gateway=Gateway(packages=True))
    for node in asking.nodes:
        declared = list(resources(asking, node))
        is_head = node.name == asking.head
        assert any(isinstance(r, Packages | Service) for r in declared) == is_head
        files = [r.path for r in declared if isinstance(r, File)]
        # Last comes, and first goes, what makes apt ask: the script is there as long as it is.
        assert files[-1].startswith("/etc/apt/apt.conf.d/")
