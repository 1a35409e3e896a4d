"""One virtual board: the words that start it, its power button, its power plug, its last words."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event

from wulfling.errors import WulflingError
from wulfling.lab import network, processes, seed
from wulfling.lab.needs import program, search_path
from wulfling.lab.places import BoardFiles, LabFiles, private_folder
from wulfling.lab.processes import Process
from wulfling.lab.record import BoardSpec, LabSpec, Record
from wulfling.proc import start

BOOT_PATIENCE = 300.0  # seconds, on a machine that is busy with other boards
CONSOLE_LINES = 25
KERNEL_WORDS = (
    "initcall_blacklist=raid6_select_algo",
    "loglevel=4",
    "lpj=35000000",
    "pty.legacy_count=0",
    "quiet",
    "selinux=0",
)
"""Saves a second and a half of every boot: a benchmark for RAID 6, which no board here has, a
loop that measures the processor, and 256 terminals in the style of 1985."""

_DISK_MAGIC = b"OOOM"
_MCONSOLE_MAGIC = 0xCAFEBABE
_MCONSOLE_VERSION = 2
_MCONSOLE_TRIES = 5


def arguments(files: LabFiles, record: Record, board: BoardSpec) -> tuple[str, ...]:
    """The words that start a board, from inside the lab's namespaces."""
    own = files.board(board.name)
    born = own.born.read_text() if own.born.is_file() else ""
    _, plug = network.cable(record.spec.network, board.address)
    mac = network.hardware_address(board.address)
    return (
        program("linux.uml"),
        f"mem={board.memory_mb}M",
        f"ubd0={own.disk},{own.image}",
        f"ubd1r={own.seed}",
        "root=/dev/ubda",
        "rw",
        "con=null",
        "con0=null,fd:1",
        "ssl=null",
        f"vec0:transport=raw,ifname={plug},depth=128,mac={mac}",
        f"umid={_short_name(record.spec, board)}",
        f"uml_dir={files.runtime}",
        f"lab.seed={seed.digest(own)}",
        f"systemd.machine_id={seed.machine_id(record, board, born)}",
        *KERNEL_WORDS,
    )


def _short_name(spec: LabSpec, board: BoardSpec) -> str:
    """A name that fits into a socket's path however long the board's own is."""
    return f"b{int(board.address) - int(spec.network.network_address)}"


def main_process(everyone: Sequence[Process], files: BoardFiles) -> Process | None:
    """The process that is the board, among ``everyone``: the first of its group."""
    wanted = f"ubd0={files.disk},"
    for process in everyone:
        if process.pid == process.group and any(a.startswith(wanted) for a in process.argv):
            return process
    return None


def power_on(files: LabFiles, record: Record, board: BoardSpec, holder: int) -> None:
    """Start a board that is off and has its image; returns at once."""
    own = files.board(board.name)
    processes.end(own.folder)
    shutil.rmtree(files.runtime / _short_name(record.spec, board), ignore_errors=True)
    if own.console.exists():
        own.console.replace(own.last_console)
    words = (*network.enter(holder), "--", *arguments(files, record, board))
    environment = {"PATH": search_path(), "HOME": str(own.folder), "TMPDIR": memory_folder(board)}
    with own.console.open("wb") as console:
        child = start(words, stdout=console, env=environment, cwd=own.folder)
    processes.adopt(child.poll)


def prepare(files: LabFiles, record: Record, board: BoardSpec) -> None:
    """Make a board's folder and write its identity."""
    private_folder(files.board(board.name).folder)
    seed.write(files.board(board.name), record, board)


def blank(own: BoardFiles) -> None:
    """Put another board in the place of one that is off: nothing of the old one is left."""
    shutil.rmtree(own.folder, ignore_errors=True)
    private_folder(own.folder)
    own.born.write_text(f" {secrets.token_hex(8)}")


def needs_image(own: BoardFiles) -> bool:
    """Whether the board has no disk yet, and so starts from today's image.

    Raises ``WulflingError`` when it has a disk, and the image below it is gone.
    """
    if not _is_disk(own.disk):
        own.disk.unlink(missing_ok=True)
        own.image.unlink(missing_ok=True)
        return True
    if not own.image.is_file():
        raise WulflingError(
            f"the image below the board's disk is gone: {own.image}",
            hint="wulfling lab destroy, then wulfling lab up",
            where=own.folder.name,
        )
    return False


def lay(own: BoardFiles, image: Path) -> None:
    """Give a board without a disk its image: a hard link, so that the cache may be emptied.

    Between two file systems it is a symbolic link.
    """
    own.image.unlink(missing_ok=True)
    try:
        own.image.hardlink_to(image)
    except OSError:
        own.image.symlink_to(image)


def _is_disk(path: Path) -> bool:
    """Whether the file is a disk that was begun; a kill in its first moment leaves an empty one."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _DISK_MAGIC
    except FileNotFoundError:
        return False


def memory_folder(board: BoardSpec) -> str:
    """A folder with room for the board's memory, in memory itself if possible."""
    need = (board.memory_mb + 64) << 20
    for folder in ("/dev/shm", "/tmp", "/var/tmp"):
        if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
            continue
        if shutil.disk_usage(folder).free > need:
            return folder
    raise WulflingError(
        f"no room for {board.memory_mb} MB of executable memory in /dev/shm, /tmp or /var/tmp",
        hint="sudo mount -o remount,exec,size=90% /dev/shm",
        where=board.name,
    )


def press_power(files: LabFiles, spec: LabSpec, board: BoardSpec) -> bool:
    """Press the power button: the board shuts down by itself. Returns whether it took notice."""
    control = files.runtime / _short_name(spec, board) / "mconsole"
    return any(_tell(control, b"cad") for _ in range(_MCONSOLE_TRIES))


def _tell(control: Path, command: bytes) -> bool:
    """Send one command to a kernel's management console; whether it said that it obeys.

    A board may miss a command, seen once in a hundred: it was about to sleep. So ask again.
    """
    own = control.with_name(f"lab{os.getpid()}")
    words = (_MCONSOLE_MAGIC, _MCONSOLE_VERSION, len(command), command)
    plug = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        own.unlink(missing_ok=True)
        plug.bind(str(own))
        plug.settimeout(2)
        plug.sendto(struct.pack("@III512s", *words), str(control))
        return bool(struct.unpack_from("@I", plug.recv(1024))[0] == 0)
    except (OSError, struct.error):
        return False
    finally:
        plug.close()
        own.unlink(missing_ok=True)


def last_lines(files: BoardFiles, count: int = CONSOLE_LINES) -> str:
    """The end of what a board printed since it was switched on."""
    if not files.console.is_file():
        return ""
    text = files.console.read_bytes()[-65536:].decode(errors="replace").replace("\r", "")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def answers(files: LabFiles, address: str, *, patience: float = 3.0) -> bool:
    """Whether something that speaks SSH answers at ``address``."""
    try:
        with network.dial(files, address, 22, patience=patience) as plug:
            plug.settimeout(patience)
            return plug.recv(4) == b"SSH-"
    except OSError:
        return False


def wait(
    files: LabFiles,
    boards: Sequence[BoardSpec],
    say: Callable[[str], None],
    *,
    patience: float = BOOT_PATIENCE,
) -> None:
    """Return when every board answers.

    Raises ``WulflingError`` with the end of the console of the first one that died or stays
    silent for ``patience`` seconds.
    """
    everyone = processes.own_processes()
    begun = time.monotonic()
    failed = Event()

    def one(board: BoardSpec) -> None:
        process = main_process(everyone, files.board(board.name))
        while not failed.is_set():
            if process is None or not processes.is_alive(process):
                failed.set()
                raise _failure(files, board, "switched itself off before it answered")
            if answers(files, str(board.address), patience=1.0):
                say(f"{board.name} answers after {time.monotonic() - begun:.1f} s")
                return
            if time.monotonic() - begun > patience:
                failed.set()
                raise _failure(files, board, f"does not answer after {patience:g} s")
            time.sleep(0.05)

    with ThreadPoolExecutor(max_workers=max(len(boards), 1)) as pool:
        try:
            for done in as_completed([pool.submit(one, board) for board in boards]):
                done.result()
        finally:
            failed.set()  # Ctrl-C too: nobody waits any more


def _failure(files: LabFiles, board: BoardSpec, fact: str) -> WulflingError:
    said = last_lines(files.board(board.name))
    end = f"; the end of its console:\n{said}" if said else "; its console is empty"
    return WulflingError(
        f"the board {fact}{end}",
        hint=f"wulfling lab console {board.name}",
        where=board.name,
    )
