"""The relay and the ProxyCommand, without a lab: every byte arrives, and ends are passed on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wulfling.lab import connect, network, relay
from wulfling.lab.places import LabFiles

PYTHON = (sys.executable, "-I", "-S")


def serve(answer: Callable[[socket.socket], None]) -> int:
    """A TCP server on the loopback address for one call; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one() -> None:
        plug, _ = listener.accept()
        with listener, plug:
            answer(plug)

    threading.Thread(target=one, daemon=True).start()
    return int(listener.getsockname()[1])


def everything(plug: socket.socket) -> bytes:
    """All bytes until the other side ends."""
    parts = []
    while data := plug.recv(65536):
        parts.append(data)
    return b"".join(parts)


def reverse(plug: socket.socket) -> None:
    """Answer with all that came, backwards, once the caller has ended."""
    plug.sendall(everything(plug)[::-1])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabFiles]:
    """A relay that runs in no namespace, and where it listens."""
    found = LabFiles(tmp_path / "lab")
    monkeypatch.setattr(LabFiles, "runtime", property(lambda _: tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        *PYTHON,
        str(relay.__file__),
        f"--lab={found.folder}",
        f"--socket={found.relay_socket}",
        "--bridge=127.0.0.1",
        f"--port={port}",
        f"--packages={tmp_path}/packages",
    ]
    (tmp_path / "port").write_text(str(port))
    with subprocess.Popen(words) as process:
        deadline = time.monotonic() + 20
        while not found.relay_socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield found
        process.terminate()
        assert process.wait(10) == 0


def proxy(files: LabFiles, port: int) -> subprocess.Popen[bytes]:
    """What OpenSSH would start."""
    return subprocess.Popen(
        [*PYTHON, str(connect.__file__), str(files.relay_socket), "127.0.0.1", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_call_is_a_plain_stream_and_may_end_one_way(files: LabFiles) -> None:
    data = os.urandom(3_000_000)
    with network.dial(files, "127.0.0.1", serve(reverse)) as plug:

        def send() -> None:
            plug.sendall(data)
            plug.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert everything(plug) == data[::-1]
        sender.join()


def test_what_the_far_side_says_first_is_not_lost(files: LabFiles) -> None:
    with network.dial(files, "127.0.0.1", serve(lambda p: p.sendall(b"SSH-2.0\r\n"))) as plug:
        assert everything(plug) == b"SSH-2.0\r\n"


def test_the_reason_of_a_failure_comes_back(files: LabFiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionError, match="Connection refused"):
        network.dial(files, "127.0.0.1", port)
    with pytest.raises(ConnectionError, match="illegal IP address"):
        network.dial(files, "a-name", 22)


def test_a_call_without_a_relay_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        network.dial(LabFiles(tmp_path / "none"), "10.0.0.1", 22)


def test_the_proxy_command_is_exact_in_both_directions_at_once(files: LabFiles) -> None:
    data = os.urandom(3_000_000)

    def echo(plug: socket.socket) -> None:
        while part := plug.recv(65536):
            plug.sendall(part)

    out, err = proxy(files, serve(echo)).communicate(data, timeout=30)
    assert (out == data, err) == (True, b"")


def test_the_proxy_command_passes_on_the_end_of_its_input(files: LabFiles) -> None:
    out, _ = proxy(files, serve(reverse)).communicate(b"abc", timeout=30)
    assert out == b"cba"


def test_the_proxy_command_passes_on_the_end_of_the_far_side(files: LabFiles) -> None:
    got = threading.Event()

    def speak_then_listen(plug: socket.socket) -> None:
        plug.sendall(b"bye")
        plug.shutdown(socket.SHUT_WR)
        if everything(plug) == b"late":
            got.set()

    with proxy(files, serve(speak_then_listen)) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.read() == b"bye"
        process.stdin.write(b"late")
        process.stdin.close()
        assert process.wait(10) == 0
    assert got.wait(10)


def test_the_proxy_command_says_why_it_cannot(files: LabFiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    process = proxy(files, port)
    out, err = process.communicate(b"", timeout=30)
    assert (process.returncode, out, err) == (1, b"", b"127.0.0.1: Connection refused\n")


def test_the_proxy_command_imports_nothing_slow() -> None:
    code = "import sys; exec(open(sys.argv[1]).read(), {}); print(*sorted(sys.modules))"
    said = subprocess.run(
        [*PYTHON, "-c", code, str(connect.__file__)], capture_output=True, text=True, check=True
    )
    assert "select" in said.stdout.split()
    assert not {"asyncio", "threading", "subprocess", "typing"} & set(said.stdout.split())


def test_packages_go_through_the_cache_outside(files: LabFiles) -> None:
    port = int((files.runtime / "port").read_text())
    with socket.socket(socket.AF_UNIX) as cache:
        cache.bind(str(files.runtime / "packages"))
        cache.listen()
        with socket.create_connection(("127.0.0.1", port)) as board:
            board.sendall(b"GET")
            board.shutdown(socket.SHUT_WR)
            plug, _ = cache.accept()
            with plug:
                plug.sendall(everything(plug) + b" done")
            assert everything(board) == b"GET done"
