"""The package cache as a service: one process per user, shared by all labs and image builds."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab import processes
from wulfling.lab.places import cache_root, private_folder, runtime_folder
from wulfling.lab.record import held
from wulfling.proc import run, start

_PROGRAM = Path(__file__).with_name("mirror.py")
_HEALTH_PATIENCE = 10.0


def folder() -> Path:
    """Where fetched packages are."""
    return cache_root() / "packages"


def socket_path() -> Path:
    """The unix socket that labs use; its name is the same before and after a restart."""
    return runtime_folder(folder()) / "http"


@contextmanager
def used() -> Iterator[str]:
    """Make sure that the cache answers, and that it goes on until the block ends.

    Gives its URL on this machine. Raises ``WulflingError`` when it cannot be started.
    """
    private_folder(folder())
    with _users_file().open("a") as users:
        flock(users, LOCK_SH)
        yield _ensure()


def _ensure() -> str:
    with held(folder() / ".lock", "the package cache"):
        if not _answers():
            processes.end(folder())
            _start()
        return f"http://127.0.0.1:{_port_file().read_text().strip()}"


def release() -> None:
    """End the cache unless the relay of some lab, or a command under way, still needs it."""
    if not folder().is_dir():
        return
    with held(folder() / ".lock", "the package cache"):
        wanted = f"--packages={socket_path()}"
        if any(wanted in process.argv for process in processes.own_processes()):
            return
        with _users_file().open("a") as users:
            try:
                flock(users, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                return
            processes.end(folder())
        socket_path().unlink(missing_ok=True)
        _port_file().unlink(missing_ok=True)
        _remove_empty(socket_path().parent)


def _users_file() -> Path:
    return folder() / ".users"


def _port_file() -> Path:
    return socket_path().with_name("port")


def _start() -> None:
    for path in (folder(), folder() / "files", socket_path().parent):
        private_folder(path)
    socket_path().unlink(missing_ok=True)
    log = folder() / "output.log"
    words = (
        sys.executable or "/usr/bin/python3",
        "-I",
        "-S",
        str(_PROGRAM),
        f"--folder={folder() / 'files'}",
        f"--socket={socket_path()}",
        f"--port-file={_port_file()}",
        f"--upstream={_upstream()}",
    )
    with log.open("wb") as output:
        child = start(words, stdout=output)
    processes.adopt(child.poll)
    deadline = time.monotonic() + 30
    while not _answers():
        if child.poll() is not None or time.monotonic() > deadline:
            processes.end(folder())
            said = log.read_text(errors="replace").strip().splitlines()
            last = said[-1] if said else "it said nothing"
            raise WulflingError(f"the package cache does not start: {last}", hint=f"less {log}")
        time.sleep(0.02)


def _upstream() -> str:
    """The proxy that this machine's own apt uses, when it has one."""
    said = run(("apt-config", "shell", "proxy", "Acquire::http::Proxy"), check=False).stdout
    value = said.strip().removeprefix("proxy=").strip("'")
    return value if value.startswith("http://") else ""


def _answers() -> bool:
    """Whether the cache speaks HTTP on its socket."""
    plug = socket.socket(socket.AF_UNIX)
    plug.settimeout(_HEALTH_PATIENCE)
    try:
        plug.connect(str(socket_path()))
        plug.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return plug.recv(5) == b"HTTP/"
    except OSError:
        return False
    finally:
        plug.close()


def _remove_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        pass
