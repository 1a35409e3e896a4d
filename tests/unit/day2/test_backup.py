"""The repository is read on the board that keeps it, and work on boards outlives whoever asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.day2 import backup
from wulfling.day2.backup import Opened
from wulfling.day2.rack import Rack
from wulfling.errors import NodeFailed, WulflingError
from wulfling.model.cluster import BackupSecrets
from wulfling.node.backup import DONE, STAGE
from wulfling.proc import Finished
from wulfling.spec import document
from wulfling.transport.link import Address, Link

FILE = """\
wulfling: 1
cluster: c
nodes:
  head: {address: 10.9.9.1, roles: [head, compute]}
  n1: {address: 10.9.9.2}
  disk: {address: 10.9.9.8, roles: [storage]}
people:
  kim: {uid: 2001}
admin:
  keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim]
backup: {to: "n1:/srv/backup"}
"""
PASSWORD = "it's a secret"


@dataclass
class Boards:
    """A ``Dial``. ``says`` maps a word of a command or script to what it prints."""

    says: dict[str, Finished]
    asked: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)

    async def open(self, to: Address) -> Link:
        raise AssertionError(to)

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        assert root
        self.asked.append((to.node, tuple(argv), stdin))
        for word, done in self.says.items():
            if word in " ".join(argv) or word in stdin:
                return done
        raise AssertionError(f"nobody expected {argv} {stdin}")


def rack(boards: Boards, text: str = FILE) -> Rack:
    read, _ = spec.check(document.parse(text.encode(), Path("c.yaml")))
    cluster = spec.resolve(read, {}, None, ())
    addresses = {n.name: Address(node=n.name, host=str(n.address), users=()) for n in cluster.nodes}
    return Rack(cluster, addresses, boards, "kim@laptop", pause=0.001)


def opened(boards: Boards) -> Opened:
    found = rack(boards)
    assert found.cluster.backup
    return Opened(found, found.cluster.backup, BackupSecrets(PASSWORD, "key", "public"))


def done(text: str, code: int = 0) -> Finished:
    return Finished((), code, text, "" if code == 0 else text)


def listed(*pairs: tuple[str, str, str]) -> Finished:
    values = [
        {"short_id": n, "time": t, "hostname": "head", "tags": [tag], "paths": ["/x"]}
        for n, t, tag in pairs
    ]
    return done(json.dumps(values))


def test_who_saves_what() -> None:
    assert backup.saved_by(rack(Boards({}))) == (("head", "head"), ("disk", "homes"))
    assert backup.drilled_by(rack(Boards({}))) == (("head", "drill"), ("disk", "drill"))
    own = rack(Boards({}), f"{FILE}storage: {{/home: head}}\n")
    assert backup.saved_by(own) == (("head", "head"), ("head", "homes"))
    assert backup.drilled_by(own) == (("head", "drill"),)


def test_the_head_is_not_asked_for_its_own_backup() -> None:
    boards = Boards({"munge_key": done("k" * 64), "hardware.json": done("{}")})
    moment = "2026-11-27T15:00:00Z"
    boards.says["snapshots"] = listed(("a1", moment, "head"), ("b1", moment, "accounts"))
    found, recalled = asyncio.run(opened(boards).recall("latest"))
    assert (found, recalled.munge_key, recalled.known) == (moment, b"k" * 64, "{}")
    assert {node for node, _, _ in boards.asked} == {"n1"}
    assert f"dump a1 {STAGE}/var/lib/wulfling/secrets/munge_key" in boards.asked[1][2]


def test_the_password_goes_by_standard_input() -> None:
    boards = Boards({"snapshots": listed()})
    asyncio.run(opened(boards).snapshots())
    ((_, argv, script),) = boards.asked
    assert argv == ("sh", "-s")
    assert "RESTIC_PASSWORD='it'\"'\"'s a secret'\n" in script
    boards.says["snapshots"] = done("Fatal: no", 1)
    with pytest.raises(WulflingError) as failed:
        asyncio.run(opened(boards).snapshots())
    assert "secret" not in str(failed.value)


def test_homes_come_back_when_they_were_the_heads() -> None:
    boards = Boards({"snapshots": listed(("h1", "2026-11-27T02:30:00Z", "homes"))})
    assert asyncio.run(opened(boards).homes()) == ""  # they are the file server's
    heads = replace(opened(boards), rack=rack(boards, f"{FILE}storage: {{/home: head}}\n"))
    assert asyncio.run(heads.homes()) == "2026-11-27T02:30:00Z"


def test_a_moment_without_accounts_is_none() -> None:
    boards = Boards({"snapshots": listed(("a1", "2026-11-27T15:00:00Z", "head"))})
    with pytest.raises(WulflingError, match=r"no backup of head") as failed:
        asyncio.run(opened(boards).recall("latest"))
    assert "2026-11-27T15:00:00Z" in failed.value.hint


def test_work_that_is_done_is_told() -> None:
    boards = Boards({"systemctl": done("")})
    facts = {"tried": 2.0, "error": "", "seconds": 3.0, "facts": {"files": 1}}
    answers = iter([done("{}"), done(json.dumps({"head": facts}))])

    class Changing(Boards):
        async def run(self, to: Address, argv: Sequence[str], **words: object) -> Finished:
            if DONE in " ".join(argv):
                return next(answers)
            return await boards.run(to, argv, root=True)

    found = asyncio.run(backup.do(rack(Changing({})), "head", "head"))
    assert (found.seconds, found.facts) == (3.0, {"files": 1})
    assert boards.asked[0][1] == ("systemctl", "start", "wulfling-backup@head.service")


@pytest.mark.parametrize(
    ("after", "words"),
    [({}, "did not begin"), ({"head": {"tried": 9.0, "error": "no room"}}, "head: no room")],
)
def test_work_that_failed_says_why(after: dict[str, object], words: str) -> None:
    answers = iter([done("{}"), done(json.dumps(after))])

    class Changing(Boards):
        async def run(self, to: Address, argv: Sequence[str], **given: object) -> Finished:
            return next(answers) if DONE in " ".join(argv) else done("failed", 1)

    with pytest.raises(NodeFailed, match=words):
        asyncio.run(backup.do(rack(Changing({})), "head", "head"))


def test_shares_of_a_new_head_are_mounted_anew() -> None:
    boards = Boards({"stat -f": done("")})
    heads = rack(boards, f"{FILE}storage: {{/home: head, /nfs: disk}}\n")
    asyncio.run(backup.mount_again(heads, ["head", "n1", "disk"]))
    assert [node for node, _, _ in boards.asked] == ["n1", "disk"]
    assert all("/home" in argv[2] and "/nfs" not in argv[2] for _, argv, _ in boards.asked)
    none = replace(heads, cluster=rack(boards).cluster)
    asyncio.run(backup.mount_again(none, ["n1"]))
    assert len(boards.asked) == 2
