"""A lab's network: namespaces of its own with a bridge, one cable per board, and the relay."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab import processes
from wulfling.lab.needs import program
from wulfling.lab.places import LabFiles, private_folder
from wulfling.lab.processes import Process
from wulfling.lab.record import BoardSpec, LabSpec
from wulfling.proc import run, start

BRIDGE = "lab0"
PACKAGE_PORT = 3142
_RELAY = Path(__file__).with_name("relay.py")
_PYTHON = (sys.executable or "/usr/bin/python3", "-I", "-S")
_OFFLOADS = ("tx", "rx", "sg", "tso", "gso", "gro")


def cable(network: IPv4Network, address: IPv4Address) -> tuple[str, str]:
    """The two ends of a board's cable: the bridge's and the board's."""
    number = int(address) - int(network.network_address)
    return f"va{number}", f"vb{number}"


def hardware_address(address: IPv4Address) -> str:
    """A board's Ethernet address: locally administered, and its IPv4 address in it."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x57, *address.packed))


def enter(pid: int) -> tuple[str, ...]:
    """The words that run a program in the namespaces of process ``pid``."""
    return (
        program("nsenter"),
        f"--target={pid}",
        "--user",
        "--net",
        "--mount",
        "--preserve-credentials",
    )


def relay_process(everyone: Sequence[Process], files: LabFiles) -> Process | None:
    """The lab's relay among ``everyone``."""
    for process in everyone:
        if _is_relay(process) and process.mentions(files.folder):
            return process
    return None


def _is_relay(process: Process) -> bool:
    return any(
        argument == str(_RELAY) or argument.endswith("/lab/relay.py")
        for argument in process.argv[:5]
    ) and any(argument.startswith("--lab=") for argument in process.argv)


def ensure(files: LabFiles, spec: LabSpec, packages: Path) -> int:
    """Give the lab its network, and return the pid of the process that holds it.

    What is there stays. A relay that died is started again in the namespaces of a board that
    still runs, so that the board stays reachable.
    """
    everyone = processes.own_processes()
    relay = relay_process(everyone, files)
    if relay is not None and not files.relay_socket.exists():
        processes.end_group(relay)
        relay = None
    if relay is None:
        inside = processes.members(everyone, files.folder)
        _start_relay(files, spec, packages, inside[0].pid if inside else 0)
        relay = relay_process(processes.own_processes(), files)
    if relay is None:
        raise WulflingError(
            f"the network of lab {spec.name} did not start: {_last_words(files.relay_log)}",
            hint=f"less {files.relay_log}",
        )
    _wire(relay.pid, spec)
    return relay.pid


def _start_relay(files: LabFiles, spec: LabSpec, packages: Path, inside: int) -> None:
    """Start the relay in new namespaces, or in those of process ``inside``."""
    private_folder(files.runtime)
    files.relay_socket.unlink(missing_ok=True)
    fresh = ("--user", "--map-root-user", "--net", "--mount", "--propagation=private")
    words = (
        *(enter(inside) if inside else (program("unshare"), *fresh)),
        *_PYTHON,
        str(_RELAY),
        f"--lab={files.folder}",
        f"--socket={files.relay_socket}",
        f"--bridge={spec.bridge_address}",
        f"--port={PACKAGE_PORT}",
        f"--packages={packages}",
    )
    with files.relay_log.open("wb") as log:
        child = start(words, stdout=log)
    processes.adopt(child.poll)
    deadline = time.monotonic() + 30
    while not files.relay_socket.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def _wire(holder: int, spec: LabSpec) -> None:
    """Make the bridge and every missing cable in the namespaces of ``holder``."""
    ip = program("ip")
    said = run((*enter(holder), ip, "-json", "link", "show")).stdout
    there = {str(link["ifname"]) for link in json.loads(said)}
    commands = wiring(spec, there)
    if not commands:
        return
    run((*enter(holder), ip, "-batch", "-"), stdin="\n".join(commands) + "\n")
    fresh = [name for name in _interfaces(spec.network, spec.boards) if name not in there]
    run((*enter(holder), "/bin/sh", "-eu", "-c", settings(fresh, BRIDGE not in there)))


def plug(files: LabFiles, spec: LabSpec, boards: Sequence[BoardSpec], plugged: bool) -> None:
    """Take the bridge's ends of cables down or up. Raises ``WulflingError`` when there is none."""
    relay = relay_process(processes.own_processes(), files)
    if relay is None:
        raise WulflingError(f"lab {spec.name} is down", hint="wulfling lab up")
    state = "up" if plugged else "down"
    ends = [cable(spec.network, board.address)[0] for board in boards]
    commands = "".join(f"link set {end} {state}\n" for end in ends)
    run((*enter(relay.pid), program("ip"), "-batch", "-"), stdin=commands)


def wiring(spec: LabSpec, there: set[str]) -> list[str]:
    """The ``ip`` commands that make what is not yet among the interfaces ``there``."""
    commands = []
    if BRIDGE not in there:
        address = f"{spec.bridge_address}/{spec.network.prefixlen}"
        commands += [
            "link set lo up",
            f"link add {BRIDGE} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            f"address add {address} dev {BRIDGE}",
            f"link set {BRIDGE} up",
            "route add unreachable default",
        ]
    for board in spec.boards:
        near, far = cable(spec.network, board.address)
        if near not in there:
            commands += [
                f"link add {near} type veth peer name {far}",
                f"link set {near} master {BRIDGE} up",
                f"link set {far} up",
            ]
    return commands


def settings(interfaces: Sequence[str], bridge_is_new: bool) -> str:
    """The script that turns off what stalls transfers, and says "no way out" at once."""
    lines = []
    off = " ".join(f"{feature} off" for feature in _OFFLOADS)
    for name in interfaces:
        lines.append(f"{program('ethtool')} -K {name} {off} >/dev/null 2>&1 || true")
    if bridge_is_new:
        lines.append("echo 1 >/proc/sys/net/ipv4/ip_forward")
        lines.append(f"echo 100 >/proc/sys/net/ipv4/neigh/{BRIDGE}/retrans_time_ms")
    return "\n".join(lines)


def _interfaces(network: IPv4Network, boards: Sequence[BoardSpec]) -> list[str]:
    names = [BRIDGE]
    for board in boards:
        names += cable(network, board.address)
    return names


def dial(files: LabFiles, address: str, port: int, *, patience: float = 15.0) -> socket.socket:
    """A connected stream to ``address`` inside the lab; blocking, without a time-out.

    Raises ``OSError`` when the lab has no relay or nobody answers there.
    """
    plug = socket.socket(socket.AF_UNIX)
    try:
        plug.settimeout(patience)
        plug.connect(str(files.relay_socket))
        plug.sendall(f"{address} {port}\n".encode())
        answer = _line(plug)
        if answer != "ok":
            raise ConnectionError(answer.removeprefix("no "))
        plug.settimeout(None)
    except BaseException:
        plug.close()
        raise
    return plug


def _line(plug: socket.socket) -> str:
    """One line, and not one byte more: what follows belongs to the caller."""
    line = b""
    while not line.endswith(b"\n"):
        byte = plug.recv(1)
        if not byte:
            raise ConnectionError("the lab's relay hung up")
        line += byte
    return line.decode(errors="replace").strip()
