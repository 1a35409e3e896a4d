"""Reads what ssh and sudo said on stderr, and says what it means for one node."""

from __future__ import annotations

import re
from pathlib import Path

from wulfling import proc
from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable, WulflingError
from wulfling.transport.link import SSH_PORT, Address, Refused, Unpinned

SSH_FAILED = 255
"""The exit code of ssh(1) when it is ssh that failed. A remote command may use it as well."""

_TOLD = 5  # lines of stderr that an error shows

_NOISE = re.compile(
    r"^(\*\* |Warning: Permanently added|Pseudo-terminal will not|debug\d:|mm_receive_fd:"
    r"|proxy dialer did not|Connection (closed|reset) by UNKNOWN|client_loop: send disconnect)"
)
_LOST = re.compile(
    r"Connection (refused|reset|closed|timed out|to .* (closed|timed out))|timed out|Broken pipe"
    r"|No route to host|(Network|Host) is (unreachable|down)|Timeout, server|not responding"
    r"|Could not resolve hostname|kex_exchange_identification|banner exchange"
)
_PYTHON_MISSING = re.compile(r"/usr/bin/python3: (command not found|not found|No such file)")
_SUDO_MISSING = re.compile(r"sudo: (command )?not found")
_SUDO_ASKS = re.compile(
    r"sudo: (a password is required|a terminal is required|no tty present|sorry, you must have)"
    r"|is not in the sudoers file|is not allowed to (execute|run)"
)
_LOCAL = re.compile(r"Bad configuration option|Bad owner or permissions|terminating, \d+ bad")


def diagnosed(to: Address, user: str, code: int, said: str) -> WulflingError | None:
    """The error behind an ssh process that ended with ``code`` and said ``said``.

    None when what was said is not about reaching the node, but comes from a program there.
    """
    if code == SSH_FAILED:
        for judge in (_identity, _refusal, _local, _loss):
            if error := judge(to, user, said):
                return error
    return _sudo(to, user, said)


def ended(to: Address, user: str, code: int, said: str) -> WulflingError:
    """The error of a node program that ended with ``code`` before it was done."""
    if error := diagnosed(to, user, code, said):
        return error
    words = tail(said)
    if code == SSH_FAILED:
        return Unreachable(words or "ssh gave up and said nothing", where=to.node)
    if not words and code in (128 + 9, -9):
        return NodeFailed(
            "the node program was killed",
            hint="the board may be out of memory: sudo dmesg | grep -i oom",
            where=to.node,
        )
    told = f": {words}" if words else ""
    return NodeFailed(f"the node program ended with {code}{told}", where=to.node)


def tail(said: str) -> str:
    """The last lines of ``said`` that are worth showing."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    return "\n".join([line for line in lines if not _NOISE.match(line)][-_TOLD:])


def _identity(to: Address, user: str, said: str) -> WulflingError | None:
    if "Host key verification failed" not in said and "host key is known" not in said:
        return None
    known = _pinned_fingerprints(to)
    if not known:
        return _unpinned(to)
    seen = re.search(r"SHA256:[A-Za-z0-9+/]{43}", said)
    file = re.search(r"^Offending \S+ key in (.+):\d+", said, re.MULTILINE)
    where = file[1] if file else str(next(iter(to.known_hosts), "~/.ssh/known_hosts"))
    offered = seen[0] if seen else "of another kind"
    reinstalled = f"`ssh-keygen -R '{to.pinned_as}' -f {where}`, then {_pinning(to)}"
    return IdentityMismatch(
        f"{to.host} answered with the host key {offered}, pinned is {' or '.join(known)}",
        hint="nothing was sent to it. If this board was made anew: "
        f"{_pinning(to) if to.virtual else reinstalled}",
        where=to.node,
    )


def _unpinned(to: Address) -> Unpinned:
    return Unpinned(
        f"the host key of {to.host} is not pinned yet", hint=_pinning(to), where=to.node
    )


def _pinning(to: Address) -> str:
    if to.virtual:
        return "`wulfling lab up` pins the keys of virtual boards"
    port = "" if to.port == SSH_PORT else f" -p {to.port}"
    scan = f"ssh-keyscan -t ed25519{port} {to.host}"
    return (
        f"compare `{scan} | ssh-keygen -lf -` with what the board's own screen shows for "
        "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`, and if they are the same "
        f"`{scan} >> ~/.ssh/known_hosts`"
    )


def _pinned_fingerprints(to: Address) -> tuple[str, ...]:
    files = [*to.known_hosts]
    if not to.virtual:
        files.append(Path.home() / ".ssh" / "known_hosts")
    found: list[str] = []
    for file in files:
        if file.exists():
            argv = ["ssh-keygen", "-l", "-F", to.pinned_as, "-f", str(file)]
            told = proc.run(argv, check=False, timeout=10).stdout
            found += re.findall(r"SHA256:[A-Za-z0-9+/]{43}", told)
    return tuple(dict.fromkeys(found))


def _refusal(to: Address, user: str, said: str) -> WulflingError | None:
    if not re.search(r"Permission denied \(|Too many authentication failures", said):
        return None
    return Refused(f"{to.host} does not let {user} in with the keys offered", where=to.node)


def _local(to: Address, user: str, said: str) -> WulflingError | None:
    if _LOCAL.search(said):
        return WulflingError(f"ssh on this machine: {tail(said)}", where=to.node)
    if re.search(r"Unable to negotiate|no matching .* found", said):
        return NodeFailed(
            tail(said), hint="that board's SSH is too old or too strict", where=to.node
        )
    return None


def _loss(to: Address, user: str, said: str) -> WulflingError | None:
    lines = [line for line in tail(said).splitlines() if _LOST.search(line) or to.host in line]
    if not lines and not re.search(_LOST, said):
        return None
    words = lines[0] if lines else "the connection ended"
    words = re.sub(r"^ssh: connect to host (\S+) port (\d+): ", r"\1 port \2: ", words).rstrip(".")
    if to.virtual:
        # The proxy's words: the lab's socket is gone, or nobody serves it.
        words = re.sub(r"No such file or directory$", "its lab is down", words)
    return Unreachable(words, hint=_reaching(to, words), where=to.node)


def _reaching(to: Address, words: str) -> str:
    if to.virtual:
        return "wulfling lab up"
    if "refused" in words:
        return "on the board's own screen: sudo systemctl enable --now ssh"
    if "resolve" in words:
        return "write its IP address into the cluster file"
    return f"is it switched on and plugged in? ping -c 3 {to.host}"


def _sudo(to: Address, user: str, said: str) -> WulflingError | None:
    if _PYTHON_MISSING.search(said):
        return NodeFailed(
            "it has no /usr/bin/python3",
            hint=f"ssh {user}@{to.host} sudo apt-get install -y python3",
            where=to.node,
        )
    if _SUDO_MISSING.search(said):
        return NodeFailed(
            "it has no sudo", hint="on the board, as root: apt-get install -y sudo", where=to.node
        )
    if _SUDO_ASKS.search(said):
        return NodeFailed(
            f"sudo asks {user} for a password",
            hint="on the board: echo '"
            f"{user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/010_{user}",
            where=to.node,
        )
    return None
