"""The whole way from strangers to nodes, with boards that are a table."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wulfling import spec
from wulfling.bringup import adopt_board
from wulfling.bringup.adopt import Adopted, Adoption, Stranger, exit_code
from wulfling.bringup.adopt_answers import Answer
from wulfling.bringup.adopt_facts import lines_of
from wulfling.bringup.adopt_steps import CLOSE_PASSWORDS, OPEN_PASSWORDS
from wulfling.components.access import admin
from wulfling.converge.events import Done, Event, Lost, StepDone, Waiting
from wulfling.errors import IdentityMismatch, Locked, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Cluster
from wulfling.transport import pins
from wulfling.transport.entry import Offer, PasswordExpired, PasswordRefused, PasswordWanted
from wulfling.transport.host_keys import USE_HOST_KEYS
from wulfling.transport.link import Address, Refused, Unpinned

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim"
FILE = f"""\
wulfling: 1
cluster: c
nodes: {{"n[1-3]": {{address: 10.9.9.1}}}}
admin: {{keys: [{KEY}]}}
"""


def key(number: int) -> str:
    """A public key."""
    kind = b"\0\0\0\x0bssh-ed25519"
    data = kind + b"\0\0\0\x20" + bytes([number]) * 32
    return f"ssh-ed25519 {base64.b64encode(data).decode()}"


@dataclass
class There:
    """A board, and all that was sent to it."""

    name: str
    host_key: str
    password: str = "secret word"
    hostname: str = "raspberrypi"
    machine_id: str = ""
    clock: int = 0  # seconds beside ours
    admin: bool = False
    python: bool = True
    keys_only: bool = False
    sudo_asks: bool = False
    expired: bool = False
    default: str = ""
    error: WulflingError | None = None
    breaks: dict[str, WulflingError] = field(default_factory=dict)
    offered: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    new_key: str = ""


class Shell:
    """A root shell on it."""

    def __init__(self, there: There, account: Sequence[str]) -> None:
        self.there, self.account = there, account

    async def hold(self, script: str) -> None:
        self.there.scripts.append(script)

    async def close(self) -> None:
        pass

    async def run(self, script: str, hear: Callable[[str, str], None] = lambda w, t: None) -> None:
        import time

        there = self.there
        for word, error in there.breaks.items():
            if word in script:
                raise error
        if "tell seconds" in script:
            hear("hostname", there.hostname)
            hear("machine_id", there.machine_id)
            hear("host_key", there.host_key)
            for has in ("python3", "sudo") if there.python else ("sudo",):
                hear("has", has)
            for line in self.account if there.admin else ():
                hear("there", line)
            if there.default and there.password == there.default:
                hear("default", "pi")
            hear("seconds", str(int(time.time()) + there.clock))
            return
        there.scripts.append(script)
        if "date -u" in script:
            there.clock = 0
        elif "apt-get" in script:
            hear("waiting", "unattended-upgr (process 7), which is changing packages")
            there.python = True
        elif "useradd" in script:
            there.admin = True
        elif "chpasswd" in script:
            there.password = script.partition("pi:")[2].partition("'")[0]
        elif "/etc/hostname" in script:
            there.hostname = there.name
        elif "random/uuid" in script:
            there.machine_id = f"own {there.name}"
        elif "ssh-keygen" in script:
            there.new_key = key(100 + int(there.name[1:]))
            hear("new_host_key", there.new_key)
        elif script == USE_HOST_KEYS:
            there.host_key = there.new_key
        elif script in (CLOSE_PASSWORDS, OPEN_PASSWORDS):
            there.keys_only = script == CLOSE_PASSWORDS


class Asker:
    """A person, or with ``says_nothing`` none."""

    def __init__(self, says_nothing: bool = False) -> None:
        self.questions: list[Any] = []
        self.says_nothing = says_nothing

    def say(self, words: str) -> None:
        self.questions.append(words)

    def trust(self, strangers: Sequence[Stranger]) -> bool:
        self.questions.append(tuple((s.node, s.fingerprint, s.twin) for s in strangers))
        return not self.says_nothing

    def passwords(self, users: Mapping[str, str]) -> Mapping[str, str]:
        self.questions.append(dict(users))
        return {} if self.says_nothing else dict.fromkeys(users, "secret word")

    def new_passwords(self, accounts: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
        self.questions.append({node: tuple(names) for node, names in accounts.items()})
        return {} if self.says_nothing else dict.fromkeys(accounts, "a new word")


@dataclass
class World:
    """Three boards, and the means to adopt them."""

    cluster: Cluster
    boards: dict[str, There]
    events: list[Event] = field(default_factory=list)
    asker: Asker = field(default_factory=Asker)

    async def adopt(self, *nodes: str, **answers: Answer) -> tuple[Adopted, ...]:
        addresses = [
            Address(node=n.name, host=str(n.address), users=("wulfling", "pi"))
            for n in self.cluster.nodes
            if not nodes or n.name in nodes
        ]
        adoption = Adoption(self.cluster, addresses, answers, "kim@laptop")
        self.events.clear()
        await adoption.meet(self.asker)
        return await adoption.work(self.events.append)

    def pinned(self, node: str) -> tuple[str, ...]:
        return pins.pinned("c", str(self.cluster.address(node)))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE)
    cluster = spec.resolve(spec.load(file), {}, None, ())
    account = [line for resource in admin(cluster) for line in lines_of(resource)]
    boards = {
        f"n{i}": There(f"n{i}", key(i), hostname=f"n{i}", machine_id=str(i)) for i in (1, 2, 3)
    }

    async def knock(to: Address, user: str, folder: Path) -> Offer:
        there = boards[to.node]
        known = pins.pinned("c", to.host)
        if there.error:
            raise there.error
        if known and there.host_key not in known:
            raise IdentityMismatch("another key", where=to.node)
        methods = ("publickey",) if there.keys_only else ("publickey", "password")
        return Offer("" if known else there.host_key, methods)

    async def enter(
        to: Address, user: str, folder: Path, *, password: str = "", by_key: bool = True
    ) -> Shell:
        there = boards[to.node]
        assert there.host_key in pins.pinned("c", to.host), "sent before it was pinned"
        if by_key:
            if user == "wulfling" and there.admin:
                return Shell(there, account)
            if user == "pi" and there.sudo_asks:
                if not password:
                    raise PasswordWanted("sudo asks")
                return Shell(there, account)
            raise Refused("no key of it")
        there.offered.append(password)
        if password != there.password:
            raise PasswordRefused("does not take it")
        if there.expired:
            raise PasswordExpired("expired")
        return Shell(there, account)

    async def change_expired(to: Address, user: str, folder: Path, old: str, new: str) -> None:
        boards[to.node].password, boards[to.node].expired = new, False

    monkeypatch.setattr(adopt_board, "knock", knock)
    monkeypatch.setattr(adopt_board, "enter", enter)
    monkeypatch.setattr(adopt_board, "change_expired", change_expired)
    monkeypatch.setattr(adopt_board, "_PAUSE", 0)
    return World(cluster, boards)


def done(results: Sequence[Adopted]) -> dict[str, list[str]]:
    return {r.node: [step.key for step in r.steps] for r in results if not r.error}


async def test_three_strangers_become_nodes_with_two_questions(world: World) -> None:
    results = await world.adopt()
    assert exit_code(results) == 0
    assert done(results) == {n: ["admin account", "passwords off"] for n in world.boards}
    prints = [(f"n{i}", pins.fingerprint(key(i)), "") for i in (1, 2, 3)]
    assert world.asker.questions == [tuple(prints), dict.fromkeys(world.boards, "pi")]
    assert [r.fingerprint for r in results] == [told for _, told, _ in prints]
    assert len([e for e in world.events if isinstance(e, StepDone)]) == 6
    assert [e.node for e in world.events if isinstance(e, Done)] == list(world.boards)


async def test_a_second_run_asks_nothing_and_changes_nothing(world: World) -> None:
    await world.adopt()
    before = {name: list(board.scripts) for name, board in world.boards.items()}
    world.asker.questions.clear()
    results = await world.adopt()
    assert done(results) == {n: [] for n in world.boards}
    assert world.asker.questions == []
    assert {name: board.scripts for name, board in world.boards.items()} == before


async def test_nothing_is_asked_that_the_answers_have(world: World) -> None:
    answers = {
        f"n{i}": Answer(password="secret word", fingerprint=pins.fingerprint(key(i)))
        for i in (1, 2, 3)
    }
    assert exit_code(await world.adopt(**answers)) == 0
    assert world.asker.questions == []


async def test_everything_that_can_be_wrong_with_a_board(world: World) -> None:
    first, second = world.boards["n1"], world.boards["n2"]
    second.host_key, second.hostname, second.machine_id = first.host_key, "n1", "1"
    second.clock, second.python = -1_700_000_000, False
    results = await world.adopt()
    assert exit_code(results) == 0
    assert done(results)["n1"] == ["admin account", "passwords off"]
    assert done(results)["n2"] == [
        "clock",
        "packages python3",
        "admin account",
        "hostname",
        "machine-id",
        "host key",
        "passwords off",
    ]
    assert world.asker.questions[0][1] == ("n2", pins.fingerprint(key(1)), "n1")
    assert world.pinned("n1") == (key(1),)
    assert world.pinned("n2") == (key(102),)
    assert results[1].fingerprint == pins.fingerprint(key(102))
    assert [e.what for e in world.events if isinstance(e, Waiting)] == [
        "unattended-upgr (process 7), which is changing packages"
    ]


@pytest.mark.parametrize("script", ["useradd", "uuid", "ssh-keygen", "mv", "Authentication"])
async def test_a_copy_whose_line_breaks_anywhere_is_finished_by_the_next_run(
    world: World, script: str
) -> None:
    second = world.boards["n2"]
    second.host_key, second.machine_id = world.boards["n1"].host_key, "1"
    second.breaks[script] = Unreachable("gone")
    assert exit_code(await world.adopt()) == 3
    second.breaks.clear()
    assert exit_code(await world.adopt()) == 0
    assert (second.machine_id, second.keys_only, second.admin) == ("own n2", True, True)
    assert world.pinned("n2") == (second.host_key,) == (key(102),)
    assert world.pinned("n1") == (world.boards["n1"].host_key,) == (key(1),)


async def test_two_pinned_keys_become_one(world: World) -> None:
    """A run was killed after the board took its new key and before we forgot the old one."""
    await world.adopt()
    pins.pin("c", "10.9.9.2", [key(77), key(2)])
    await world.adopt()
    assert world.pinned("n2") == (key(2),)


async def test_a_wrong_password_leaves_the_others_alone(world: World) -> None:
    world.boards["n2"].password = "another"
    results = await world.adopt()
    assert exit_code(results) == 4
    assert set(done(results)) == {"n1", "n3"}
    assert world.boards["n2"].offered == ["secret word"], "once"
    assert world.boards["n2"].scripts == []
    assert [e.node for e in world.events if isinstance(e, Lost)] == ["n2"]


async def test_an_unreachable_board_leaves_the_others_alone(world: World) -> None:
    world.boards["n2"].error = Unreachable("off", where="n2")
    results = await world.adopt()
    assert exit_code(results) == 3
    assert set(done(results)) == {"n1", "n3"}


async def test_a_board_that_hangs_up_for_a_while_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sshd 10 did so on a virtual board of Debian 13 after three runs that were killed."""
    closed = "kex_exchange_identification: Connection closed by remote host"
    world.boards["n1"].error = Unreachable(closed)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            world.boards["n1"].error = None

    monkeypatch.setattr("asyncio.sleep", sleep)
    assert exit_code(await world.adopt("n1")) == 0
    assert len(waits) == 2
    assert world.asker.questions[0] == "n1: its sshd hangs up on us; again in 15 s"
    world.boards["n1"].error = Unreachable(closed)
    assert exit_code(await world.adopt("n1")) == 3


async def test_a_changed_host_key_stops_everything(world: World) -> None:
    pins.pin("c", "10.9.9.2", [key(9)])
    with pytest.raises(IdentityMismatch, match="another key"):
        await world.adopt()
    assert world.asker.questions == []
    assert not any(board.offered or board.scripts for board in world.boards.values())


async def test_another_fingerprint_than_the_answers_say_stops_everything(world: World) -> None:
    with pytest.raises(IdentityMismatch, match="and the answers say SHA256") as caught:
        await world.adopt(n2=Answer(fingerprint=pins.fingerprint(key(9))))
    assert caught.value.exit_code == 8
    assert world.asker.questions == []
    assert world.pinned("n2") == ()


async def test_nobody_trusts_a_new_board(world: World) -> None:
    world.asker.says_nothing = True
    with pytest.raises(Unpinned, match="not compared: the host keys of n1, n2, n3") as caught:
        await world.adopt()
    assert caught.value.exit_code == 3
    assert world.pinned("n1") == ()


async def test_no_password_and_nobody_to_ask(world: World) -> None:
    for i in (1, 2, 3):
        pins.pin("c", f"10.9.9.{i}", [key(i)])
    world.asker.says_nothing = True
    results = await world.adopt()
    assert exit_code(results) == 4
    assert all(r.error and "--answers FILE" in r.error.hint for r in results)


async def test_the_makers_password_is_replaced_or_the_board_refused(world: World) -> None:
    for board in world.boards.values():
        board.password = board.default = "raspberry"
    answer = Answer(password="raspberry")
    results = await world.adopt(
        n1=Answer(password="raspberry", new_password="a good one"),
        n2=Answer(password="raspberry", new_password="raspberry"),
        n3=answer,
    )
    assert done(results)["n1"] == ["admin account", "password of pi", "passwords off"]
    assert world.boards["n1"].password == "a good one"
    assert results[1].error and "one that makers give" in results[1].error.message
    assert world.boards["n2"].scripts == []
    assert done(results)["n3"][1] == "password of pi", "a person was asked"
    world.asker.says_nothing = True
    world.boards["n2"].password = "raspberry"
    (refused,) = await world.adopt("n2", n2=answer)
    assert refused.error and refused.error.exit_code == 4
    assert "the maker's password still opens pi" in refused.error.message
    assert world.boards["n2"].scripts == []


async def test_a_run_cut_off_before_the_makers_password_was_replaced(world: World) -> None:
    """The key opens the board by then; the password is looked at all the same."""
    board = world.boards["n1"]
    board.password = board.default = "raspberry"
    board.breaks["chpasswd"] = Unreachable("gone")
    answer = Answer(password="raspberry", new_password="a good one")
    assert exit_code(await world.adopt("n1", n1=answer)) == 3
    board.breaks.clear()
    assert done(await world.adopt("n1", n1=answer)) == {"n1": ["password of pi", "passwords off"]}
    assert done(await world.adopt("n1", n1=answer)) == {"n1": []}
    assert board.offered == ["raspberry"], "once in all"


async def test_an_expired_password_is_replaced_first(world: World) -> None:
    world.boards["n1"].expired = True
    results = await world.adopt("n1")
    assert exit_code(results) == 0
    assert world.asker.questions[-1] == {"n1": ("pi",)}
    assert world.boards["n1"].offered == ["secret word", "a new word"]


async def test_a_key_opens_it_and_sudo_asks(world: World) -> None:
    world.boards["n1"].sudo_asks = True
    assert exit_code(await world.adopt("n1")) == 0
    assert world.boards["n1"].offered == [], "sshd is offered no password"


async def test_passwords_stay_on_when_no_key_opens_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter: Any = vars(adopt_board)["enter"]

    async def no_key(to: Address, user: str, folder: Path, **how: Any) -> Any:
        if user == "wulfling":
            raise Refused("no key")
        return await enter(to, user, folder, **how)

    monkeypatch.setattr(adopt_board, "enter", no_key)
    (result,) = await world.adopt("n1")
    assert isinstance(result.error, NodeFailed)
    assert "passwords are as they were" in result.error.message
    assert not world.boards["n1"].keys_only


async def test_passwords_are_switched_on_again_when_the_key_fails_after_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter: Any = vars(adopt_board)["enter"]

    async def fails_late(to: Address, user: str, folder: Path, **how: Any) -> Any:
        if user == "wulfling" and world.boards["n1"].keys_only:
            raise Refused("no key")
        return await enter(to, user, folder, **how)

    monkeypatch.setattr(adopt_board, "enter", fails_late)
    (result,) = await world.adopt("n1")
    assert result.error
    assert not world.boards["n1"].keys_only


async def test_somebody_else_is_at_it(world: World) -> None:
    holder = '{"operator": "lee@desk", "since": "2026-11-24T10:00:00Z", "orphan": false}'
    world.boards["n1"].breaks["flock"] = Locked(holder)
    (result,) = await world.adopt("n1")
    assert exit_code([result]) == 5
    assert result.error
    assert result.error.message == "lee@desk is changing this board since 2026-11-24T10:00:00Z"
    assert len(world.boards["n1"].scripts) == 1, "nothing but the attempt"
