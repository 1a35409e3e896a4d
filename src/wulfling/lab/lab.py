"""A cluster of virtual boards: bring it up, switch boards off and on, take it away."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab import board as boards_module
from wulfling.lab import image, needs, network, packages, processes, record, seed
from wulfling.lab.places import LabFiles, existing_labs, lab_files, private_folder
from wulfling.lab.record import BoardSpec, BoardStatus, LabSpec, LabStatus, Record

POWER_OFF_PATIENCE = 90.0
_CONNECT = Path(__file__).with_name("connect.py")

Say = Callable[[str], None]


def up(spec: LabSpec, say: Say) -> None:
    """Return when every board of ``spec`` runs and answers on port 22.

    What runs is left alone, existing disks are used again, the image is built if need be.
    Raises ``WulflingError`` when this machine lacks something, or when a board does not start;
    the message then ends with the last lines of its console.
    """
    record.check(spec)
    files = lab_files(spec.name)
    needs.check(needs.this_machine())
    with record.held(files.lock, f"lab {spec.name}"), packages.used() as proxy:
        _check_same_lab(files, spec)
        private_folder(files.folder)
        earlier = record.find(files)
        options = earlier.apt_options if earlier else image.apt_options()
        kept = record.keep(files, spec, options)
        _cut_strangers(files, spec, say)
        _power_on(files, kept, spec.boards, proxy, say)
    boards_module.wait(files, spec.boards, say)


def _check_same_lab(files: LabFiles, spec: LabSpec) -> None:
    earlier = record.find(files)
    if earlier is None:
        return
    releases = {board.name: board.release for board in earlier.spec.boards}
    for board in spec.boards:
        began = releases.get(board.name, board.release)
        if began != board.release:
            raise WulflingError(
                f"the board was made from {began}, and now it is to be {board.release}",
                hint="wulfling lab destroy, then wulfling lab up",
                where=board.name,
            )
    if earlier.spec.network != spec.network:
        raise WulflingError(
            f"lab {spec.name} was made with the network {earlier.spec.network}, "
            f"and now it is {spec.network}",
            hint="wulfling lab destroy, then wulfling lab up",
        )


def _cut_strangers(files: LabFiles, spec: LabSpec, say: Say) -> None:
    """Switch off boards that are no longer in the spec; their disks stay."""
    folder = files.folder / "boards"
    names = {board.name for board in spec.boards}
    for own in sorted(folder.iterdir()) if folder.is_dir() else []:
        if own.name not in names and processes.end(own):
            say(f"{own.name} is no longer in the cluster file: switched off")


def _power_on(
    files: LabFiles, kept: Record, boards: Sequence[BoardSpec], proxy: str, say: Say
) -> None:
    """Start those of ``boards`` that are off; to wait for them is left to the caller.

    Without the lock: a board may take minutes, and meanwhile others can be started or cut.
    """
    everyone = processes.own_processes()
    off = [b for b in boards if not boards_module.main_process(everyone, files.board(b.name))]
    _lay_images(files, off, proxy, say)
    holder = network.ensure(files, kept.spec, packages.socket_path())
    for board in off:
        boards_module.prepare(files, kept, board)
        boards_module.power_on(files, kept, board, holder)


def _lay_images(files: LabFiles, boards: Sequence[BoardSpec], proxy: str, say: Say) -> None:
    """Give today's image, built first if it is missing, to those ``boards`` without a disk.

    Never to one that runs: its disk may be a moment old, and it would go on without a name.
    """
    for board in boards:
        private_folder(files.board(board.name).folder)
    fresh = [board for board in boards if boards_module.needs_image(files.board(board.name))]
    releases = sorted({board.release for board in fresh})
    bases = {release: image.ensure(proxy, say, release) for release in releases}
    for board in fresh:
        boards_module.lay(files.board(board.name), bases[board.release])


def start(name: str, boards: Sequence[str], say: Say) -> None:
    """Switch on some boards of a lab that is up, and return when they answer.

    Raises ``WulflingError`` for an unknown lab or board, or when a board does not start.
    """
    files = lab_files(name)
    kept = record.load(files)
    chosen = tuple(kept.spec.board(board) for board in boards)
    needs.check(needs.this_machine())
    with record.held(files.lock, f"lab {name}"), packages.used() as proxy:
        _power_on(files, kept, chosen, proxy, say)
    boards_module.wait(files, chosen, say)


def cut(name: str, boards: Sequence[str]) -> None:
    """Cut the power of some boards: they are gone when this returns.

    Raises ``WulflingError`` for an unknown lab or board.
    """
    files = lab_files(name)
    spec = record.load(files).spec
    chosen = [files.board(spec.board(board).name).folder for board in boards]
    with record.held(files.lock, f"lab {name}"):
        processes.end_all(chosen)


def replace(name: str, boards: Sequence[str]) -> None:
    """Put blank boards in the place of some: what was on their disks is lost, and so are their
    host keys and machine-ids. They are off when this returns.

    Raises ``WulflingError`` for an unknown lab or board.
    """
    files = lab_files(name)
    spec = record.load(files).spec
    chosen = [files.board(spec.board(board).name) for board in boards]
    with record.held(files.lock, f"lab {name}"):
        processes.end_all([own.folder for own in chosen])
        for own in chosen:
            boards_module.blank(own)


def down(name: str, say: Say, order: Sequence[Sequence[str]] = ()) -> None:
    """Shut all boards down, keep their disks, and take the network away.

    ``order`` holds groups of board names: a group's boards go down together, and the next
    group waits for them; boards it does not name come last. A board that does not go down in
    ``POWER_OFF_PATIENCE`` seconds loses its power. Raises ``WulflingError`` for an unknown lab
    or board.
    """
    files = lab_files(name)
    spec = record.load(files).spec
    groups = [[spec.board(board) for board in group] for group in order]
    named = {board.name for group in groups for board in group}
    groups.append([board for board in spec.boards if board.name not in named])
    with record.held(files.lock, f"lab {name}"):
        for group in groups:
            _shut_down(files, spec, group, say)
        processes.end(files.folder)
        _remove(files.runtime)
        packages.release()


def _shut_down(files: LabFiles, spec: LabSpec, group: Sequence[BoardSpec], say: Say) -> None:
    everyone = processes.own_processes()
    left = [b for b in group if boards_module.main_process(everyone, files.board(b.name))]
    for board in left:
        if not boards_module.press_power(files, spec, board):
            say(f"{board.name} does not listen to its power button")
    deadline = time.monotonic() + POWER_OFF_PATIENCE
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        processes.reap()
        everyone = processes.own_processes()
        for board in tuple(left):
            if boards_module.main_process(everyone, files.board(board.name)) is None:
                left.remove(board)
                say(f"{board.name} is off")
    for board in left:
        say(f"{board.name} did not shut down in {POWER_OFF_PATIENCE:g} s: cutting its power")
    if group:
        processes.end_all([files.board(board.name).folder for board in group])


def destroy(name: str, say: Say) -> None:
    """Take a lab away with all its processes, sockets and disks, in whatever state it is.

    It is no error when there is nothing.
    """
    files = lab_files(name)
    with record.held(files.lock, f"lab {name}"):
        ended = processes.end(files.folder)
        there = files.folder.exists()
        _remove(files.runtime)
        _remove(files.folder)
        packages.release()
    if ended or there:
        say(f"lab {name} is gone")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def list_labs() -> tuple[LabStatus, ...]:
    """Every lab of this user, in alphabetical order."""
    return tuple(_status(files) for files in existing_labs() if files.record.is_file())


def status(name: str) -> LabStatus:
    """One lab as it is now. Raises ``WulflingError`` when there is none of that name."""
    return _status(lab_files(name))


def _status(files: LabFiles) -> LabStatus:
    spec = record.load(files).spec
    everyone = processes.own_processes()
    relay = network.relay_process(everyone, files)
    found = []
    for board in spec.boards:
        own = files.board(board.name)
        process = boards_module.main_process(everyone, own)
        answering = process is not None and boards_module.answers(files, str(board.address))
        size = own.disk.stat().st_blocks * 512 if own.disk.exists() else 0
        found.append(
            BoardStatus(
                name=board.name,
                address=board.address,
                memory_mb=board.memory_mb,
                running=process is not None,
                answering=answering,
                pid=process.pid if process else 0,
                disk_bytes=size,
            )
        )
    return LabStatus(spec.name, spec.network, relay.pid if relay else 0, tuple(found))


def plug(name: str, boards: Sequence[str], *, plugged: bool) -> None:
    """Pull the network cable of some boards, or, with ``plugged``, put it back.

    A board that is switched on again keeps its cable as it is. Raises ``WulflingError`` for an
    unknown board, or a lab that is down.
    """
    files = lab_files(name)
    spec = record.load(files).spec
    chosen = [spec.board(board) for board in boards]
    with record.held(files.lock, f"lab {name}"):
        network.plug(files, spec, chosen, plugged)


def console_path(name: str, board: str) -> Path:
    """The file with all a board printed since it was last switched on."""
    files = lab_files(name)
    return files.board(record.load(files).spec.board(board).name).console


def host_key(name: str, board: str) -> str:
    """The public SSH host key line of a board, to be pinned."""
    files = lab_files(name)
    own = files.board(record.load(files).spec.board(board).name)
    return seed.host_key(own)[1]


def dial(name: str, address: str, port: int) -> socket.socket:
    """A connected stream socket to ``address`` inside the lab, without a time-out.

    Raises ``WulflingError`` when there is no such lab and ``OSError`` when nobody answers.
    """
    return network.dial(lab_files(name), address, port)


def inside(name: str) -> tuple[str, ...]:
    """The words that run a program in the network of a lab, before those of the program.

    Raises ``WulflingError`` when there is no such lab, or when it is down.
    """
    files = lab_files(name)
    record.load(files)
    relay = network.relay_process(processes.own_processes(), files)
    if relay is None:
        raise WulflingError(f"lab {name} is down", hint="wulfling lab up")
    return network.enter(relay.pid)


def relay_socket(name: str) -> Path:
    """The unix socket for calls into the lab: send ``ADDRESS PORT\\n``, read ``ok\\n``."""
    return lab_files(name).relay_socket


def proxy_command(name: str) -> tuple[str, ...]:
    """The words for OpenSSH's ProxyCommand; ``%h`` must be an address, not a name."""
    python = sys.executable or "/usr/bin/python3"
    return (python, "-I", "-S", str(_CONNECT), str(relay_socket(name)), "%h", "%p")
