"""What this machine must have for virtual boards, checked all at once."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.proc import run

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PROGRAMS = {
    "ethtool": "ethtool",
    "ip": "iproute2",
    "linux.uml": "user-mode-linux",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
"""Each program a lab starts, and the Debian package that has it."""


def program(name: str) -> str:
    """The full path of a program, also where a plain user's PATH leaves out /usr/sbin."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH) or name


def search_path() -> str:
    """A PATH that has the system's folders too, for scripts that start programs by name."""
    own = os.environ.get("PATH", "")
    return f"{own}:{_SYSTEM_PATH}" if own else _SYSTEM_PATH


@dataclass(frozen=True)
class Machine:
    """What of this machine matters here; a test makes its own."""

    architecture: str
    user: str
    uid: int
    has_program: Callable[[str], bool]
    namespaces_work: Callable[[], bool]
    subordinate_ids: str
    image_wanted: bool = False


def this_machine(*, image_wanted: bool = False) -> Machine:
    """The machine we run on. ``image_wanted`` says that an image has to be built."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    ranges = Path("/etc/subuid")
    return Machine(
        architecture=platform.machine(),
        user=user,
        uid=uid,
        has_program=lambda name: os.access(program(name), os.X_OK),
        namespaces_work=_namespaces_work,
        subordinate_ids=ranges.read_text() if ranges.is_file() else "",
        image_wanted=image_wanted,
    )


def check(machine: Machine) -> None:
    """Return when everything is there.

    Raises ``WulflingError`` that names all that is missing, with the command that brings it.
    """
    problems: list[str] = []
    remedies: list[str] = []
    if machine.architecture != "x86_64":
        problems.append(
            f"virtual boards need an x86_64 machine, this one is {machine.architecture}"
        )
        remedies.append("run wulfling lab on a PC with an Intel or AMD processor")
    missing = sorted(name for name in PROGRAMS if not machine.has_program(name))
    if missing:
        packages = sorted({PROGRAMS[name] for name in missing})
        problems.append(f"not installed: {', '.join(missing)}")
        command = f"apt install --no-install-recommends {' '.join(packages)}"
        remedies.append(command if machine.uid == 0 else f"sudo {command}")
    _ask_namespaces(machine, problems, remedies, probe=not missing)
    if problems:
        raise WulflingError(
            "virtual boards cannot run here: " + "; ".join(problems), hint="\n".join(remedies)
        )


def check_namespaces(machine: Machine, opening: str) -> None:
    """Return when an image can be built in a user namespace; ``opening`` begins the message.

    Raises ``WulflingError``.
    """
    problems: list[str] = []
    remedies: list[str] = []
    _ask_namespaces(machine, problems, remedies, probe=True)
    if problems:
        raise WulflingError(f"{opening}: {'; '.join(problems)}", hint="\n".join(remedies))


def _ask_namespaces(
    machine: Machine, problems: list[str], remedies: list[str], *, probe: bool
) -> None:
    if probe and not machine.namespaces_work():
        problems.append("this kernel does not let a user make a user and network namespace")
        remedies.append(_namespace_remedy(machine))
    if machine.image_wanted and machine.uid != 0 and not _has_range(machine):
        problems.append(f"{machine.user} has no subordinate user ids in /etc/subuid")
        remedies.append(
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + machine.user
        )


def _namespaces_work() -> bool:
    words = (program("unshare"), "--user", "--map-root-user", "--net", "--mount", "true")
    return run(words, check=False, timeout=20).code == 0


def _namespace_remedy(machine: Machine) -> str:
    """Debian and Ubuntu close this door with different switches; name those that exist."""
    switches = {
        "kernel.unprivileged_userns_clone": "1",
        "kernel.apparmor_restrict_unprivileged_userns": "0",
    }
    there = [
        f"{name}={value}"
        for name, value in switches.items()
        if Path("/proc/sys", *name.split(".")).exists()
    ] or ["user.max_user_namespaces=10000"]
    prefix = "" if machine.uid == 0 else "sudo "
    return f"{prefix}sysctl -w {' '.join(there)}"


def _has_range(machine: Machine) -> bool:
    """Whether 65536 subordinate ids or more belong to the user."""
    for line in machine.subordinate_ids.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in (machine.user, str(machine.uid)):
            continue
        if fields[2].isdigit() and int(fields[2]) >= 65536:
            return True
    return False
