"""What a stranger is asked, what it told, and which scripts follow from that."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.bringup.adopt_facts import (
    HOST_KEY,
    HOSTNAME,
    MACHINE_ID,
    Facts,
    lines_of,
    parsed,
    question,
    shared,
)
from wulfling.bringup.adopt_steps import NEW_MACHINE_ID, Wish, changes
from wulfling.components.access import admin
from wulfling.errors import NodeFailed
from wulfling.model.cluster import Cluster
from wulfling.model.resource import Resource
from wulfling.transport.host_keys import NEW_HOST_KEYS, USE_HOST_KEYS

HERE = Path(__file__).parent / "adopt"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim"
FILE = f"""\
wulfling: 1
cluster: c
nodes:
  one: {{address: 10.9.9.1}}
  two: {{address: 10.9.9.2}}
admin: {{keys: [{KEY}]}}
"""
NOW = 1795520816


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    file = tmp_path_factory.mktemp("file") / "cluster.yaml"
    file.write_text(FILE)
    return spec.resolve(spec.load(file), {}, None, ())


@pytest.fixture(scope="module")
def account(cluster: Cluster) -> tuple[Resource, ...]:
    return tuple(admin(cluster))


@pytest.fixture
def adopted(account: tuple[Resource, ...]) -> Facts:
    """A board that lacks nothing."""
    there = frozenset(line for resource in account for line in lines_of(resource))
    has = frozenset(("python3", "sudo"))
    return Facts("one", "1" * 32, "ssh-ed25519 ONE", NOW, has, there)


def as_golden(name: str, text: str) -> None:
    place = HERE / name
    if os.environ.get("WULFLING_UPDATE_GOLDEN"):
        place.write_text(text)
    assert text == place.read_text()


def scripts(wish: Wish, facts: Facts) -> str:
    return "".join(f"## {step.key}\n{step.script}\n" for step in changes(wish, facts))


def test_the_question(account: tuple[Resource, ...]) -> None:
    as_golden("question.sh", question(account) + "\n")


def test_the_steps_of_a_stranger(account: tuple[Resource, ...]) -> None:
    """No Python, no sudo, 1970, a copied card and the maker's password."""
    everything = frozenset((HOSTNAME, MACHINE_ID, HOST_KEY))
    wish = Wish("two", account, NOW, everything, (("pi", "it's new"),))
    facts = Facts("raspberrypi", "1" * 32, "ssh-ed25519 ONE", 86)
    as_golden("stranger.sh", scripts(wish, facts))


def test_an_adopted_board_has_no_steps(account: tuple[Resource, ...], adopted: Facts) -> None:
    assert changes(Wish("one", account, NOW + 59), adopted) == ()
    late = changes(Wish("one", account, NOW + 61), adopted)
    assert [step.key for step in late] == ["clock"]


def test_only_what_is_missing_of_the_account(account: tuple[Resource, ...], adopted: Facts) -> None:
    sudoers = [line for line in adopted.there if "sudoers" in line]
    facts = replace(adopted, there=adopted.there - set(sudoers))
    (step,) = changes(Wish("one", account, NOW), facts)
    assert step.key == "admin account"
    assert "sudoers" in step.script
    assert "useradd" not in step.script
    assert "authorized_keys" not in step.script


@pytest.mark.parametrize("line", ["wulfling:1001", "video:970"])
def test_a_name_or_number_that_is_taken(
    account: tuple[Resource, ...], adopted: Facts, line: str
) -> None:
    facts = replace(adopted, there=frozenset((line,)))
    with pytest.raises(NodeFailed, match="and wulfling is to have 970"):
        changes(Wish("one", account, NOW), facts)


def test_an_account_with_another_home_is_changed_and_not_made(
    account: tuple[Resource, ...], adopted: Facts
) -> None:
    user = "wulfling:970:970:/var/local/wulfling:/bin/bash"
    assert user in adopted.there
    other = user.replace("bash", "sh")
    (step,) = changes(
        Wish("one", account, NOW), replace(adopted, there=adopted.there - {user} | {other})
    )
    assert step.script == (
        "usermod --gid 970 --home /var/local/wulfling --shell /bin/bash wulfling"
    )


def test_a_password_is_in_no_repr(account: tuple[Resource, ...], adopted: Facts) -> None:
    wish = Wish("one", account, NOW, passwords=(("pi", "hunter2hunter2"),))
    assert "hunter2" not in repr(wish)
    steps = changes(wish, adopted)
    assert "hunter2" not in repr(steps)
    assert "hunter2" in steps[0].script


def test_copies_of_a_card_and_the_first_that_keeps_its_identity() -> None:
    one = Facts("raspberrypi", "1" * 32, "ssh-ed25519 A", NOW)
    other = Facts("rpnode03", "3" * 32, "ssh-ed25519 C", NOW)
    anew = shared({"one": one, "two": one, "three": other}, {})
    everything = frozenset((HOSTNAME, MACHINE_ID, HOST_KEY))
    assert anew == {"one": frozenset(), "two": everything, "three": frozenset()}


def test_a_copy_of_a_node_that_was_adopted_before() -> None:
    one = Facts("raspberrypi", "1" * 32, "ssh-ed25519 A", NOW)
    anew = shared({"one": one}, {"two": ("ssh-ed25519 A",), "three": ()})
    assert anew["one"] == {HOSTNAME, MACHINE_ID, HOST_KEY}


def test_boards_without_a_machine_id_share_none() -> None:
    empty = Facts("a", "", "", NOW)
    raw = Facts("b", "uninitialized", "", NOW)
    anew = shared({"1": empty, "2": replace(empty, hostname="c"), "3": raw}, {"4": ()})
    assert set(anew.values()) == {frozenset()}


def test_what_a_board_told() -> None:
    told = [
        ("hostname", "pi"),
        ("has", "python3"),
        ("there", "wulfling:970"),
        ("default", "pi"),
        ("default", "pi"),
        ("seconds", "86"),
    ]
    assert parsed("one", told) == Facts(
        "pi", "", "", 86, frozenset(("python3",)), frozenset(("wulfling:970",)), ("pi",)
    )
    with pytest.raises(NodeFailed, match="o'clock"):
        parsed("one", told[:-1])


PRELUDE = "tell() { printf '@%s\\n' \"$*\"; }\nsystemctl() { :; }\nset -eu\n"


def run(script: str, root: Path) -> str:
    """Run a script on a folder in place of the root."""
    script = script.replace("/etc/", f"{root}/etc/").replace("/var/", f"{root}/var/")
    return subprocess.run(
        ["sh"], input=PRELUDE + script, text=True, capture_output=True, check=True, timeout=60
    ).stdout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "var/lib/dbus").mkdir(parents=True)
    (tmp_path / "etc/machine-id").write_text("1" * 32 + "\n")
    for name in ("ed25519", "ecdsa"):
        key = tmp_path / f"etc/ssh/ssh_host_{name}_key"
        argv = ["ssh-keygen", "-q", "-t", name, "-N", "", "-C", "old", "-f", str(key)]
        subprocess.run(argv, check=True)
    return tmp_path


def test_a_machine_id_is_made_anew(root: Path) -> None:
    run(NEW_MACHINE_ID, root)
    new = (root / "etc/machine-id").read_text().strip()
    assert len(new) == 32 and int(new, 16) and new != "1" * 32
    assert not (root / "var/lib/dbus/machine-id").exists()


def test_host_keys_are_made_beside_told_and_then_used(root: Path) -> None:
    ssh = root / "etc/ssh"
    before = {place.name: place.read_text() for place in ssh.iterdir()}
    told = run(NEW_HOST_KEYS.format(node="two"), root)
    assert {n: (ssh / n).read_text() for n in before} == before, "sshd still has the old ones"
    assert run(NEW_HOST_KEYS.format(node="two"), root) == told, "a killed run left it for the next"
    run(USE_HOST_KEYS, root)
    after = {place.name: place.read_text() for place in ssh.iterdir()}
    assert after.keys() == before.keys(), "no kind of key is added"
    assert all(after[name] != before[name] for name in before)
    public = " ".join(after["ssh_host_ed25519_key.pub"].split()[:2])
    assert told == f"@new_host_key {public}\n"
    assert after["ssh_host_ed25519_key.pub"].endswith(" root@two\n")


@pytest.mark.parametrize("cut", range(1, 7))
def test_new_host_keys_that_were_cut_off_are_taken_up_again(root: Path, cut: int) -> None:
    """After ``cut`` renames the power goes; whatever lies there then, the same key comes out."""
    told = run(NEW_HOST_KEYS.format(node="two"), root)
    broken = (
        f"left={cut}\nmv() {{ left=$((left - 1)); [ $left -ge 0 ] || exit 0;"
        f' command mv "$@"; }}\n{USE_HOST_KEYS}'
    )
    run(broken, root)
    key = root / "etc/ssh/ssh_host_ed25519_key.pub"
    if "root@two" not in key.read_text():  # else it is no copy any more
        assert run(NEW_HOST_KEYS.format(node="two"), root) == told
        run(USE_HOST_KEYS, root)
    assert told.split()[1:] == key.read_text().split()[:2]
