"""The system's ssh gets in by password, against an SSH server in this process.

Nobody is root here: ``sudo`` is a script that asks as sudo(8) does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable
from wulfling.transport.entry import (
    PasswordExpired,
    PasswordRefused,
    PasswordWanted,
    Shell,
    change_expired,
    enter,
    knock,
    sweep,
)
from wulfling.transport.link import Address, Refused

asyncssh = pytest.importorskip("asyncssh")
pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="needs openssh-client")

SECRET = "it's a 'secret' $HOME \\n %s"
SUDO = """#!/bin/sh
# sudo -S -p PROMPT sh -c SCRIPT
shift 2
for try in 1 2 3; do
    [ -e {folder}/nopasswd ] && break
    printf '%s' "$1" >&2
    IFS= read -r word
    [ "$word" = "$(cat {folder}/password)" ] && break
    echo 'Sorry, try again.' >&2
done
shift
exec "$@"
"""


@dataclass
class Board:
    """A board on the loopback interface, and what it was offered."""

    address: Address
    folder: Path
    host_key: str = ""
    offered: list[str] = field(default_factory=list)
    argv: list[str] = field(default_factory=list)

    def enter(self, password: str = "", *, by_key: bool = False, user: str = "pi") -> Any:
        """See ``entry.enter``."""
        return enter(self.address, user, self.folder, password=password, by_key=by_key)


Serve = Callable[[Any], Any]


@asynccontextmanager
async def board(
    folder: Path, *, password: str = SECRET, takes: bool = True, command: str = ""
) -> AsyncIterator[Board]:
    """``command`` runs in place of what was asked for, with a terminal if one was wanted."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "sudo").write_text(SUDO.format(folder=folder))
    (tools / "sudo").chmod(0o755)
    (folder / "password").write_text(password)
    host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    client.write_private_key(folder / "id")
    (folder / "id").chmod(0o600)
    keys = asyncssh.import_authorized_keys(client.export_public_key().decode())
    made = Board(Address(node="n1", host="127.0.0.1", users=("pi",)), folder)

    class Server(asyncssh.SSHServer):  # type: ignore[misc, name-defined]
        def connection_made(self, connection: Any) -> None:
            self.connection = connection

        def begin_auth(self, username: str) -> bool:
            nobody = asyncssh.import_authorized_keys("")
            self.connection.set_authorized_keys(keys if username == "keyed" else nobody)
            return True

        def password_auth_supported(self) -> bool:
            return takes

        def kbdint_auth_supported(self) -> bool:
            return False

        def validate_password(self, username: str, offered: str) -> bool:
            made.offered.append(offered)
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    made.argv.append(place.read_bytes().replace(b"\0", b" ").decode())
            return bool(offered == password)

    serving: dict[int, Any] = {}

    async def serve(process: Any) -> None:
        child = await asyncio.create_subprocess_shell(
            command or process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
            start_new_session=True,
        )
        serving[child.pid] = asyncio.current_task()

        async def pump(source: Any, target: Any) -> None:
            with suppress(OSError, asyncssh.Error):
                while data := await source.read(1 << 16):
                    target.write(data)
                    await target.drain()
            if isinstance(target, asyncio.StreamWriter):
                target.close()

        feeding = asyncio.ensure_future(pump(process.stdin, child.stdin))
        await asyncio.gather(
            pump(child.stdout, process.stdout), pump(child.stderr, process.stderr), child.wait()
        )
        feeding.cancel()
        process.exit(child.returncode)

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[host],
        process_factory=serve,
        encoding=None,
        line_editor=False,
    )
    made.host_key = " ".join(host.export_public_key().decode().split()[:2])
    port = server.get_port()
    made.address = Address(
        node="n1",
        host="127.0.0.1",
        users=("pi",),
        port=port,
        identities=(folder / "id",),
        known_hosts=(folder / "known_hosts",),
        virtual=True,
    )
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {made.host_key}\n")
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
        for pid in serving:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        await asyncio.gather(*serving.values(), return_exceptions=True)


async def heard(shell: Shell, script: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    await shell.run(script, lambda word, text: found.append((word, text)))
    return found


async def test_an_unknown_board_shows_its_key_and_is_sent_nothing(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        (tmp_path / "known_hosts").unlink()
        offer = await knock(it.address, "pi", tmp_path)
        assert offer.key == it.host_key
        assert offer.takes_passwords
        assert it.offered == []
        assert not (tmp_path / "known_hosts").exists(), "nothing is pinned"


async def test_a_pinned_board_shows_the_ways_in(tmp_path: Path) -> None:
    async with board(tmp_path, takes=False) as it:
        offer = await knock(it.address, "pi", tmp_path)
        assert offer.key == ""
        assert not offer.takes_passwords


async def test_another_host_key_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        (tmp_path / "known_hosts").write_text(f"{it.address.pinned_as} {other}")
        for attempt in (knock(it.address, "pi", tmp_path), it.enter(SECRET)):
            with pytest.raises(IdentityMismatch, match="pinned is SHA256"):
                await attempt
        assert it.offered == []


async def test_nobody_there(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        address = it.address
    with pytest.raises(Unreachable):
        await knock(address, "pi", tmp_path)


async def test_a_password_opens_ssh_and_sudo_and_is_seen_nowhere(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        shell = await it.enter(SECRET)
        assert await heard(shell, 'tell it "works  $((6 * 7))"\ncat') == [("it", "works  42")]
        assert await heard(shell, "tell again yes") == [("again", "yes")]
        await shell.close()
    assert it.offered == [SECRET]
    assert it.argv
    assert not [line for line in it.argv if SECRET in line]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_what_a_killed_run_left_is_swept_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    for name in (".ask-old", ".ask-new", ".knock-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "askpass").touch()
    for name in (".ask-old", ".knock-old"):
        os.utime(tmp_path / name, (1, 1))
    sweep(tmp_path)
    assert [place.name for place in tmp_path.iterdir()] == [".ask-new"]


async def test_a_wrong_password_is_offered_once(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        with pytest.raises(PasswordRefused, match="does not take this password for pi"):
            await it.enter("wrong")
        assert it.offered == ["wrong"]


async def test_a_wrong_password_of_sudo_is_offered_once(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        (tmp_path / "password").write_text("another")
        with pytest.raises(PasswordRefused, match="sudo there does not take"):
            await it.enter(SECRET)


async def test_a_board_without_passwords_is_offered_none(tmp_path: Path) -> None:
    async with board(tmp_path, takes=False) as it:
        with pytest.raises(Refused, match="takes neither a password") as caught:
            await it.enter(SECRET)
        assert "ssh-copy-id" in caught.value.hint
        assert it.offered == []


async def test_a_key_opens_and_sudo_asks(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        with pytest.raises(PasswordWanted):
            await it.enter(by_key=True, user="keyed")
        shell = await it.enter(SECRET, by_key=True, user="keyed")
        await shell.close()
        (tmp_path / "nopasswd").touch()
        shell = await it.enter(by_key=True, user="keyed")
        await shell.close()
        assert it.offered == []
        with pytest.raises(Refused):
            await it.enter(by_key=True)


async def test_a_script_that_fails_tells_why(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        shell = await it.enter(SECRET)
        with pytest.raises(NodeFailed) as caught:
            await shell.run('echo reason\ntell hint "type this"\nfail "it is broken"\necho never')
        assert (caught.value.message, caught.value.hint) == (
            "it is broken:\nreason",
            "type this",
        )
        with pytest.raises(NodeFailed, match="ended with 1"):
            await shell.run("false\ntell never reached")
        with pytest.raises(Locked, match="apt has it"):
            await shell.run('tell locked "apt has it"\nexit 1')
        assert await heard(shell, "tell still here") == [("still", "here")]
        await shell.close()


async def test_a_line_that_breaks(tmp_path: Path) -> None:
    async with board(tmp_path) as it:
        shell = await it.enter(SECRET)
        with pytest.raises((Unreachable, NodeFailed)):
            await shell.run("kill -9 $$")
        await shell.close()


EXPIRED = "echo 'WARNING: Your password has expired.' >&2; echo 'Password change required but no TTY available.' >&2; exit 1"  # noqa: E501
PASSWD = """
ask() { printf '%s' "$1"; IFS= read -r word; }
ask 'Current password: '; [ "$word" = "$(cat @/password)" ] || exit 1
ask 'New password: '; first=$word
ask 'Retype new password: '; [ "$word" = "$first" ] || exit 1
printf %s "$word" >@/new
echo 'passwd: password updated successfully'
"""


async def test_an_expired_password(tmp_path: Path) -> None:
    async with board(tmp_path, command=EXPIRED) as it:
        with pytest.raises(PasswordExpired):
            await it.enter(SECRET)


async def test_an_expired_password_is_changed(tmp_path: Path) -> None:
    async with board(tmp_path, command=PASSWD.replace("@", str(tmp_path))) as it:
        await change_expired(it.address, "pi", tmp_path, SECRET, "~.brandnew")
        assert (tmp_path / "new").read_text() == "~.brandnew"


async def test_a_new_password_that_is_not_taken(tmp_path: Path) -> None:
    bad = "printf 'Current password: '; read x; echo \"$x BAD PASSWORD: too simple\"; exit 10"
    async with board(tmp_path, password="hunter2", command=bad) as it:
        with pytest.raises(PasswordRefused, match="too simple") as caught:
            await change_expired(it.address, "pi", tmp_path, "hunter2", "brandnew")
        assert "hunter2" not in caught.value.message
