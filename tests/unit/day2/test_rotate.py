"""Rotations: refused without all boards, begun on the head, continued where one was cut off."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from wulfling.components import sshd
from wulfling.converge.outcome import Outcome
from wulfling.day2.rotate import check_all_there, check_done
from wulfling.day2.rotate import munge as munge_key
from wulfling.day2.rotate import ssh as ssh_keys
from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable, WulflingError
from wulfling.model.plan import Plan, Status, Step
from wulfling.spec import check, resolve
from wulfling.spec.devices import renewed
from wulfling.spec.document import parse
from wulfling.transport import pins

FILE = """\
wulfling: 1
cluster: c
nodes:
  one: {address: 10.9.9.1}
remote:
  wireguard: {endpoint: home.example.org}
devices:
  laptop: {address: 10.88.0.2, key: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="}  # mine
"""
NEW = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


def outcome(errors: Mapping[str, WulflingError], *steps: Step) -> Outcome:
    away = {n: e.message for n, e in errors.items() if isinstance(e, Unreachable)}
    return Outcome(Plan(steps, away), errors, {}, {}, applied=True)


def test_without_all_boards_none_begins() -> None:
    check_all_there(outcome({}))
    with pytest.raises(Unreachable, match="two, three: .*nothing was changed") as caught:
        check_all_there(outcome({"two": Unreachable("off"), "three": Unreachable("off")}))
    assert "node remove two" in caught.value.hint
    with pytest.raises(Locked):
        check_all_there(outcome({"two": Unreachable("off"), "one": Locked("kim is at work")}))


def test_a_certificate_follows_its_host_key() -> None:
    """Or people who know a board by it would be frightened by the rotation."""
    cluster = resolve(check(parse(FILE.encode(), Path("cluster.yaml")))[0], {}, None, ())
    cluster = replace(
        cluster, certificates=(("one", "ssh-ed25519-cert-v01@openssh.com AAAA one\n"),)
    )
    declared = [resource.key for resource in sshd.resources(cluster, cluster.node("one"))]
    inside = [key for key in declared if key.startswith(ssh_keys.FOLLOWS)]
    assert [key.partition(":")[0] for key in inside] == ["certificate", "sshd", "service"]


def test_a_board_that_is_lost_on_the_way_ends_in_the_same_command() -> None:
    check_done(outcome({}), "wulfling rotate munge")
    with pytest.raises(Unreachable) as caught:
        check_done(outcome({"two": Unreachable("off")}), "wulfling rotate munge")
    assert caught.value.hint.startswith("wulfling rotate munge")
    with pytest.raises(NodeFailed, match="service:munge"):
        check_done(outcome({}, Step("two", "service:munge.service", Status.FAILED)), "x")


def test_a_device_gets_another_key_and_nothing_else_moves() -> None:
    document = parse(FILE.encode(), Path("cluster.yaml"))
    new = renewed(document, "laptop", NEW)
    assert new.text == FILE.replace("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", NEW)
    assert check(new)[0].devices["laptop"].key == NEW


class Head:
    """Runs the scripts here, in a folder that stands for the head's disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "var/lib/wulfling/secrets").mkdir(parents=True, mode=0o700)
        self.key = root / "var/lib/wulfling/secrets/munge_key"
        self.key.write_text("old")
        self.cluster = type("C", (), {"head": "one"})

    def tell(self, node: str, words: str) -> None:
        assert node == "one"

    async def said(self, name: str, *argv: str, stdin: str, timeout: float = 60) -> str:
        script = stdin.replace("/var/lib", f"{self.root}/var/lib")
        for program in ("systemctl", "systemd-run", "sync"):
            script = script.replace(f"{program} ", ": ")
        done = subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, check=True
        )
        return done.stdout

    def begin(self, *, all_alike: bool) -> bool:
        return asyncio.run(munge_key.begin(self, all_alike=all_alike))  # type: ignore[arg-type]

    def switch(self) -> str:
        asyncio.run(munge_key.switch(self))  # type: ignore[arg-type]
        return self.key.read_text()

    def end(self) -> None:
        asyncio.run(munge_key.end(self))  # type: ignore[arg-type]


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return Head(tmp_path)


def test_a_rotation_from_its_begin_to_its_end(head: Head) -> None:
    assert not head.begin(all_alike=True)
    assert head.key.read_text() == "old"
    new = head.switch()
    assert len(bytes.fromhex(new)) == 64
    assert head.key.stat().st_mode & 0o777 == 0o600
    head.end()
    assert not (head.root / "var/lib/wulfling/rotate").exists()
    assert not head.begin(all_alike=True)
    assert head.switch() != new


def test_cut_off_before_the_switch_the_key_that_was_laid_out_is_used(head: Head) -> None:
    head.begin(all_alike=True)
    laid_out = (head.root / "var/lib/wulfling/rotate/munge_key").read_text()
    assert head.begin(all_alike=True)
    assert head.switch() == laid_out


def test_cut_off_after_the_switch_the_same_key_goes_to_all_boards(head: Head) -> None:
    head.begin(all_alike=True)
    new = head.switch()
    assert head.begin(all_alike=False)
    assert head.switch() == new


def test_what_an_apply_has_ended_meanwhile_is_no_rotation_that_goes_on(head: Head) -> None:
    head.begin(all_alike=True)
    new = head.switch()
    assert not head.begin(all_alike=True)
    assert head.switch() != new


# -- host keys -------------------------------------------------------------------------------

ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAeHOjq9TgMVsYVAuV0f4h2qLq6hQvxoZCh3YFPRBhcS"


class Board:
    """Has the key ONE, lays out TWO, and answers with it, or for ever with ONE."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.obeys = obeys
        self.pinned: list[tuple[str, ...]] = []
        self.cluster = type("C", (), {"name": "c"})
        self.addresses = {"one": type("A", (), {"pinned_as": "10.9.9.1"})}

    async def said(self, name: str, *argv: str, stdin: str = "", timeout: float = 60) -> str:
        self.pinned.append(pins.pinned("c", "10.9.9.1"))
        if argv == ("true",) and not self.obeys:
            raise IdentityMismatch("another key")
        return f"{TWO}\n" if "ssh-keygen" in stdin else ""


@pytest.fixture
def pinned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(ssh_keys, "PATIENCE", 1)
    pins.pin("c", "10.9.9.1", [ONE])


@pytest.mark.usefixtures("pinned_one")
def test_s14_both_keys_are_pinned_until_the_new_one_has_answered() -> None:
    board = Board()
    asyncio.run(ssh_keys.new_host_key(board, "one"))  # type: ignore[arg-type]
    assert board.pinned == [(ONE,), (ONE, TWO), (TWO,)]
    assert pins.pinned("c", "10.9.9.1") == (TWO,)
    assert pins.is_retired("c", ONE)


@pytest.mark.usefixtures("pinned_one")
def test_a_board_that_goes_on_with_its_old_key_is_still_reached() -> None:
    with pytest.raises(IdentityMismatch):
        asyncio.run(ssh_keys.new_host_key(Board(obeys=False), "one"))  # type: ignore[arg-type]
    assert pins.pinned("c", "10.9.9.1") == (ONE, TWO)
