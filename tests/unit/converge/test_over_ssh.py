"""The system's ssh against an SSH server in this process, and the real node program behind it.

Nothing leaves the loopback interface, nobody is root: ``sudo`` is a script of two lines, and
the node program works on a temporary folder.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from wulfling.converge.apply import apply
from wulfling.converge.events import Begin, Connected, Event, Waiting
from wulfling.converge.observe import plan
from wulfling.converge.session import Errand, Known
from wulfling.errors import CommandFailed, IdentityMismatch, Locked, NodeFailed, Unreachable
from wulfling.model.plan import Status
from wulfling.model.resource import Resource
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.transport.fanout import run_on_each
from wulfling.transport.link import Address, Refused, Unpinned
from wulfling.transport.program import Program, program
from wulfling.transport.ssh import Ssh

asyncssh = pytest.importorskip("asyncssh")
pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="needs openssh-client")

# The program as it is, with another root and less patience with a living lock holder.
SHIM = """
import wulfling.node.lock
from pathlib import Path
from wulfling.node import real_program
wulfling.node.lock.GRACE_SECONDS = 0.2
def main(incoming, outgoing):
    return real_program.main(incoming, outgoing, Path({root!r}))
"""
SUDO = '#!/bin/sh\nshift\nexec "$@"\n'


@dataclass
class Board:
    """A node on the loopback interface. ``root`` is its file system, ``asked`` what was run."""

    address: Address
    root: Path
    accounts: set[str]
    server: Any = None
    connections: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    children: list[asyncio.subprocess.Process] = field(default_factory=list)
    serving: list[Any] = field(default_factory=list)

    def dial(self) -> Ssh:
        """An ``Ssh`` that ships a program for this board's root."""
        sources = dict(program().sources)
        real = sources.pop("wulfling/node/program.py")
        sources["wulfling/node/real_program.py"] = real
        sources["wulfling/node/program.py"] = SHIM.format(root=str(self.root)).encode()
        return Ssh(lambda: Program(tuple(sorted(sources.items()))))

    def cut(self) -> None:
        """End every connection at once, without a word."""
        for connection in self.connections:
            connection.abort()

    async def end(self) -> None:
        """Leave no process behind."""
        for child in self.children:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        await asyncio.gather(*self.serving, return_exceptions=True)


async def pump(source: Any, target: Any) -> None:
    """Carry bytes until either end has gone; a process is told when there are no more."""
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    # stdout and stderr are one channel: its end is told by the exit code.
    if isinstance(target, asyncio.StreamWriter):
        with suppress(OSError):
            target.write_eof()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin" / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    return tmp_path


@asynccontextmanager
async def board(folder: Path, node: str = "head") -> AsyncIterator[Board]:
    root = folder / node
    for name in ("etc", "run", "proc", "var/lib/dpkg"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    client.write_private_key(folder / f"id_{node}")
    (folder / f"id_{node}").chmod(0o600)
    keys = asyncssh.import_authorized_keys(client.export_public_key().decode())
    made = Board(Address(node=node, host="127.0.0.1", users=("admin",)), root, {"admin"})

    class Server(asyncssh.SSHServer):  # type: ignore[misc, name-defined]
        def connection_made(self, connection: Any) -> None:
            self.connection = connection
            made.connections.append(connection)

        def begin_auth(self, username: str) -> bool:
            self.connection.set_authorized_keys(
                keys if username in made.accounts else asyncssh.import_authorized_keys("")
            )
            return True

    async def serve(process: Any) -> None:
        made.asked.append(process.command)
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        child = await asyncio.create_subprocess_shell(
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        made.children.append(child)
        made.serving.append(asyncio.current_task())
        feeding = asyncio.ensure_future(pump(process.stdin, child.stdin))
        await asyncio.gather(
            pump(child.stdout, process.stdout), pump(child.stderr, process.stderr), child.wait()
        )
        feeding.cancel()
        process.exit(child.returncode)

    made.server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[host],
        process_factory=serve,
        encoding=None,
    )
    port = made.server.get_port()
    known = folder / f"known_hosts_{node}"
    public = " ".join(host.export_public_key().decode().split()[:2])
    known.write_text(f"[127.0.0.1]:{port} {public}\n")
    made.address = replace(
        made.address,
        port=port,
        identities=(folder / f"id_{node}",),
        known_hosts=(known,),
        virtual=True,
    )
    try:
        yield made
    finally:
        made.cut()
        made.server.close()
        await made.server.wait_closed()
        await made.end()


def errand(
    boards: list[Board],
    compiled: Callable[[Known], Mapping[str, tuple[Resource, ...]]],
    operator: str = "kim@laptop",
) -> Errand:
    return Errand(
        addresses=tuple(board.address for board in boards),
        head="head",
        operator=operator,
        compile=compiled,
        blob=lambda sha256: b"",
    )


def resources(known: Known) -> Mapping[str, tuple[Resource, ...]]:
    folder = Directory(path="/etc/made", mode=0o755)
    file = File(path="/etc/made/it", content="it\n")
    return dict.fromkeys(known.hardware, (folder, file))


def many(known: Known) -> Mapping[str, tuple[Resource, ...]]:
    """So much that a board is not through before its cable is out."""
    files = tuple(File(path=f"/etc/made/{n}", content="it\n") for n in range(300))
    return {node: (*few, *files) for node, few in resources(known).items()}


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="the resources belong to root")


@needs_root
async def test_plan_apply_and_apply_again(folder: Path) -> None:
    async with board(folder) as head, board(folder, "two") as two:
        one, other = head.dial(), two.dial()

        class Both:
            async def open(self, to: Address) -> Any:
                return await (one if to.node == "head" else other).open(to)

            run = one.run

        first = await plan(errand([head, two], resources), Both())
        assert first.exit_code == 2
        assert len(first.plan.changes) == 4
        assert list(head.root.glob("var/lib/wulfling/*")) == []
        made = await apply(errand([head, two], resources), Both())
        assert (made.exit_code, dict(made.errors)) == (0, {})
        assert (two.root / "etc/made/it").read_text() == "it\n"
        assert made.plan.of(Status.CHANGED) == made.plan.steps
        again = await apply(errand([head, two], resources), Both())
        assert again.exit_code == 0
        assert again.plan.of(Status.OK) == again.plan.steps
        assert made.hardware["two"].os_id == "debian"


@needs_root
async def test_two_operators(folder: Path) -> None:
    async with board(folder) as head:
        first = await head.dial().open(head.address)
        await first.send({"do": "apply", "operator": "lee@desk"})
        assert (await anext(first.messages()))["event"] == "hello"
        with pytest.raises(Locked, match="lee@desk"):
            await apply(errand([head], resources), head.dial())
        assert (await plan(errand([head], resources), head.dial())).exit_code == 2
        await first.close()
        outcome = await apply(errand([head], resources), head.dial())
        assert outcome.exit_code == 0


@needs_root
async def test_a_connection_that_breaks_in_the_middle(folder: Path) -> None:
    events: list[Event] = []
    async with board(folder) as head:

        def hear(event: Event) -> None:
            events.append(event)
            if isinstance(event, Begin):
                head.cut()

        outcome = await apply(errand([head], many), head.dial(), hear)
        assert outcome.exit_code == 3
        assert list(outcome.plan.unreachable) == ["head"]
        repaired = await apply(errand([head], many), head.dial(), events.append)
        assert repaired.exit_code == 0
        assert (head.root / "etc/made/it").exists()
    assert not [event for event in events if isinstance(event, Waiting)]


async def test_an_unknown_host_key_is_not_taken_on_trust(folder: Path) -> None:
    async with board(folder) as head:
        head.address.known_hosts[0].write_text("")
        with pytest.raises(Unpinned, match="not pinned yet") as caught:
            await head.dial().open(head.address)
        assert caught.value.hint
        assert head.asked == []


async def test_another_host_key_than_the_pinned_one(folder: Path) -> None:
    async with board(folder) as head:
        other = asyncssh.generate_private_key("ssh-ed25519")
        pinned = " ".join(other.export_public_key().decode().split()[:2])
        known = head.address.known_hosts[0]
        offered = asyncssh.import_public_key(known.read_text().split(" ", 1)[1])
        known.write_text(f"{head.address.pinned_as} {pinned}\n")
        with pytest.raises(IdentityMismatch) as caught:
            await plan(errand([head], resources), head.dial())
        assert offered.get_fingerprint() in caught.value.message
        assert other.get_fingerprint() in caught.value.message
        assert caught.value.where == "head"
        assert head.asked == []


async def test_the_login_account_is_tried_when_there_is_no_admin_yet(folder: Path) -> None:
    async with board(folder) as head:
        head.accounts = {"pi"}
        address = replace(head.address, users=("admin", "pi"))
        link = await head.dial().open(address)
        await link.close()
        done = await head.dial().run(address, ("echo", "it's", "me"))
        assert (done.code, done.stdout) == (0, "it's me\n")


async def test_nobody_is_let_in(folder: Path) -> None:
    async with board(folder) as head:
        head.accounts = set()
        outcome = await plan(errand([head], resources), head.dial())
        assert outcome.exit_code == 4
        error = outcome.errors["head"]
        assert isinstance(error, Refused)
        assert "does not let admin in" in error.message
        assert f"ssh-copy-id -p {head.address.port} admin@127.0.0.1" in error.hint


async def test_nobody_listens(folder: Path) -> None:
    async with board(folder) as head:
        pass
    with pytest.raises(Unreachable, match="Connection refused"):
        await Ssh().open(head.address)


@pytest.mark.parametrize(
    ("sudo", "words", "hint"),
    [
        ("echo 'sudo: a password is required' >&2; exit 1", "sudo asks admin", "NOPASSWD"),
        (
            "echo 'sudo: /usr/bin/python3: command not found' >&2; exit 1",
            "no /usr/bin/python3",
            "apt-get install -y python3",
        ),
        ("echo out of memory >&2; exit 3", "ended with 3: out of memory", ""),
        ("true", "Python ended at once", ""),
    ],
)
async def test_what_goes_wrong_on_the_board(folder: Path, sudo: str, words: str, hint: str) -> None:
    (folder / "bin" / "sudo").write_text(f"#!/bin/sh\n{sudo}\n")
    async with board(folder) as head:
        with pytest.raises(NodeFailed, match=words) as caught:
            await head.dial().open(head.address)
    assert hint in caught.value.hint


async def test_an_old_python_is_told(folder: Path) -> None:
    said = '{"loader": 1, "have": false, "python": "3.9.2"}'
    (folder / "bin" / "sudo").write_text(f"#!/bin/sh\necho '{said}'\n")
    async with board(folder) as head:
        with pytest.raises(NodeFailed, match=r"its Python is 3\.9\.2"):
            await head.dial().open(head.address)


async def test_a_talkative_login_is_ignored(folder: Path) -> None:
    (folder / "bin" / "sudo").write_text('#!/bin/sh\necho "Welcome!"\necho\nshift\nexec "$@"\n')
    events: list[Event] = []
    async with board(folder) as head:
        outcome = await plan(errand([head], lambda known: {}), head.dial(), events.append)
    assert outcome.exit_code == 0
    assert Connected("head") in events


async def test_the_program_is_killed(folder: Path) -> None:
    async with board(folder) as head:
        link = await head.dial().open(head.address)
        head.connections[-1].abort()
        with pytest.raises(Unreachable):
            async for _ in link.messages():
                pass
        await link.send({"do": "plan"})
        await link.close()


async def test_single_commands(folder: Path) -> None:
    async with board(folder) as head, board(folder, "two") as two:
        two.accounts = set()
        dial = head.dial()
        found = await run_on_each(dial, [head.address, two.address], ("cat",), stdin="hello")
        assert found.values["head"].stdout == "hello"
        assert isinstance(found.errors["two"], Refused)
        done = await dial.run(head.address, ("sh", "-c", "echo no >&2; exit 255"), root=True)
        assert (done.code, done.stderr) == (255, "no\n")
        with pytest.raises(CommandFailed, match="no end after"):
            await dial.run(head.address, ("sleep", "60"), timeout=0.3)
