"""The ssh command itself."""

import subprocess
import sys
from pathlib import Path

from wulfling.transport.link import Address
from wulfling.transport.ssh import arguments

REAL = Address(node="n1", host="10.0.0.1", users=("pi",), known_hosts=(Path("/s/known_hosts"),))


def options(address: Address) -> dict[str, str]:
    argv = arguments(address, "pi")
    words = [argv[i + 1] for i, word in enumerate(argv) if word == "-o"]
    return dict(word.split("=", 1) for word in words)


def test_a_real_board_is_reached_with_the_users_own_config_and_keys() -> None:
    argv = arguments(REAL, "pi")
    assert "-F" not in argv
    assert argv[-2:] == ("--", "10.0.0.1")
    found = options(REAL)
    assert "IdentitiesOnly" not in found
    assert "KexAlgorithms" not in found
    expected = "/s/known_hosts ~/.ssh/known_hosts ~/.ssh/known_hosts2"
    assert found["UserKnownHostsFile"] == expected


def test_host_keys_are_never_taken_on_trust_and_passwords_never_asked() -> None:
    for address in (REAL, Address(node="v", host="h", users=("a",), virtual=True)):
        found = options(address)
        assert found["StrictHostKeyChecking"] == "yes"
        assert found["BatchMode"] == "yes"
        assert found["PreferredAuthentications"] == "publickey"


def test_only_the_given_keys_are_offered() -> None:
    address = Address(node="n1", host="h", users=("a",), identities=(Path("/k/one"),))
    argv = arguments(address, "a")
    assert options(address)["IdentitiesOnly"] == "yes"
    assert argv[argv.index("-i") + 1] == "/k/one"


def test_a_virtual_board_knows_nothing_of_the_users_ssh() -> None:
    address = Address(
        node="v",
        host="10.0.0.1",
        users=("a",),
        known_hosts=(Path("/a b/100%/known_hosts"),),
        proxy=("python3", "/a b/connect.py", "%h", "%p"),
        virtual=True,
    )
    argv, found = arguments(address, "a"), options(address)
    assert argv[argv.index("-F") + 1] == "none"
    assert found["UserKnownHostsFile"] == '"/a b/100%%/known_hosts"'
    assert found["GlobalKnownHostsFile"] == "/dev/null"
    assert found["ProxyCommand"] == "python3 '/a b/connect.py' %h %p"


def test_a_person_gets_a_terminal_and_the_same_identity_checks() -> None:
    argv = arguments(REAL, "pi", interactive=True)
    assert "BatchMode=no" in argv
    assert "RequestTTY=auto" in argv
    assert "StrictHostKeyChecking=yes" in argv


# What ssh leaves behind for a moment is a ProxyCommand, which has its stderr.
HANGS_UP = """
import asyncio
from wulfling import proc
from wulfling.transport.ssh import hung_up

async def main():
    process = await proc.converse(["sh", "-c", "sleep 5 > /dev/null & exit 3"])
    await process.wait()
    await hung_up(process)

asyncio.run(main())
"""


def test_a_proxy_that_ends_later_than_ssh_is_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS_UP], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
