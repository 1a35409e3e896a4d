"""What is ours is taken back when it is declared no more; what is not ours is never touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.manifest import (
    Retired,
    goes_last,
    lets_somebody_in,
    read_manifest,
    retired,
    write_manifest,
)
from wulfling.node.resources.account import User
from wulfling.node.resources.blob import Blob
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.firewall import NO_FIREWALL, UNIT, Firewall
from wulfling.node.resources.libraries import Libraries
from wulfling.node.resources.link import Link
from wulfling.node.resources.quota import Quota
from wulfling.node.resources.service import Service
from wulfling.node.resources.slurm import Association

CONF = File(path="/etc/x.conf", content="ours\n")
MOUNTS = Block(path="/etc/fstab", text="a\n")
LINK = Link(path="/etc/link", target="x.conf")
FIRST = Service(unit="first.service")
SECOND = Service(unit="second.service")
DECLARED = (Directory(path="/srv"), CONF, MOUNTS, LINK, FIRST, SECOND)


@pytest.fixture
def manifest(board: Board, root: Path) -> Path:
    """A board on which everything of ``DECLARED`` was brought about."""
    (root / "var/lib/wulfling").mkdir()
    for resource in (CONF, MOUNTS, LINK):
        resource.converge(board, None)
    write_manifest(board, DECLARED, keep=False)
    for service in (FIRST, SECOND):
        ours(root, service)
    return root / "var/lib/wulfling/manifest.json"


def ours(root: Path, service: Service) -> None:
    """It did not run before wulfling started it."""
    place = root / "var/lib/wulfling/services" / service.unit
    place.parent.mkdir(exist_ok=True)
    place.touch()


def keys(resources: Any) -> list[str]:
    return [resource.key for resource in resources]


def take_back(board: Board, *declared: Resource) -> None:
    for resource in retired(board, declared):
        if not isinstance(resource, Service):
            observed = resource.observe(board)
            if observed != resource:
                assert resource.difference(observed)
                resource.converge(board, observed)
            assert resource.observe(board) == resource


def test_a_fresh_board_owns_nothing(board: Board) -> None:
    assert read_manifest(board).keys == ()
    assert list(retired(board, ())) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"keys": 3}', '{"keys": ["a"], "files": 7}'])
def test_a_manifest_that_makes_no_sense_owns_nothing(
    board: Board, manifest: Path, text: str
) -> None:
    manifest.write_text(text)
    assert list(retired(board, ())) == []


def test_everything_still_declared(board: Board, manifest: Path) -> None:
    assert list(retired(board, DECLARED)) == []


def test_services_first_and_the_last_declared_first(board: Board, manifest: Path) -> None:
    assert keys(retired(board, ())) == [
        "service:second.service",
        "service:first.service",
        "retired:/etc/link",
        "block:/etc/fstab",
        "retired:/etc/x.conf",
    ]


def test_a_daemon_that_ran_before_we_came_is_not_stopped(
    board: Board, root: Path, manifest: Path
) -> None:
    """Such as the SSH server: without it nobody would get into the board again."""
    (root / "var/lib/wulfling/services/first.service").unlink()
    assert keys(retired(board, ()))[0] == "service:second.service"
    assert "service:first.service" not in keys(retired(board, ()))


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/etc/sudoers.d/kim", True),
        ("/var/local/kim/.ssh/authorized_keys", True),
        ("/etc/ssh/authorized_keys.d/pi", True),
        ("/etc/ssh/sshd_config.d/10-wulfling.conf", True),
        ("/etc/systemd/system/munge.service.d/wulfling.conf", False),
    ],
)
def test_what_lets_somebody_in_goes_last(path: str, last: bool) -> None:
    assert lets_somebody_in(Retired(path=path, sha256="x")) is last


def test_files_links_and_blocks_go_and_directories_stay(
    board: Board, root: Path, manifest: Path
) -> None:
    (root / "srv").mkdir()
    (root / "etc/fstab").write_text("theirs\n# BEGIN wulfling\na\n# END wulfling\n")
    take_back(board)
    assert not (root / "etc/x.conf").exists()
    assert not (root / "etc/link").is_symlink()
    assert (root / "etc/fstab").read_text() == "theirs\n"
    assert (root / "srv").is_dir()


def test_programs_find_the_distributions_libraries_again(board: Board, manifest: Path) -> None:
    ours = Libraries(path="/etc/ld.so.conf.d/00-one.conf", folder="/opt/one/lib")
    write_manifest(board, (*DECLARED, ours), keep=False)
    assert list(retired(board, DECLARED)) == [Libraries(path=ours.path, folder="")]


def test_a_file_that_somebody_else_has_written_to_is_theirs(
    board: Board, root: Path, manifest: Path
) -> None:
    (root / "etc/x.conf").write_text("theirs\n")
    (file,) = (r for r in retired(board, ()) if r.key == "retired:/etc/x.conf")
    assert file.observe(board) == file
    take_back(board)
    assert (root / "etc/x.conf").read_text() == "theirs\n"


def test_a_link_that_has_become_a_file_is_theirs(board: Board, root: Path, manifest: Path) -> None:
    (root / "etc/link").unlink()
    (root / "etc/link").write_text("theirs\n")
    take_back(board)
    assert (root / "etc/link").read_text() == "theirs\n"


def test_what_is_gone_already(board: Board, root: Path, manifest: Path) -> None:
    (root / "etc/x.conf").unlink()
    (root / "etc/link").unlink()
    (root / "etc/fstab").unlink()
    take_back(board)


def test_a_file_of_which_no_hash_is_known_is_not_removed(
    board: Board, root: Path, manifest: Path
) -> None:
    manifest.write_text(json.dumps({"keys": ["file:/etc/passwd"]}))
    assert list(retired(board, ())) == []


def test_it_is_written_only_when_it_differs(board: Board, manifest: Path) -> None:
    before = manifest.stat().st_ino
    write_manifest(board, DECLARED, keep=False)
    write_manifest(board, DECLARED[:1], keep=True)
    assert manifest.stat().st_ino == before
    write_manifest(board, DECLARED[:1], keep=False)
    assert read_manifest(board).keys == ("directory:/srv",)
    assert manifest.stat().st_mode & 0o777 == 0o600


def test_a_run_that_takes_nothing_back_forgets_nothing(board: Board, manifest: Path) -> None:
    write_manifest(board, (CONF,), keep=True)
    assert set(read_manifest(board).keys) == set(keys(DECLARED))
    assert set(read_manifest(board).files) == {"/etc/x.conf"}


def test_a_package_of_an_older_version_goes(root: Path) -> None:
    content = b"\xff\x00 a package"
    board = Board(root, blob=lambda sha256: content)
    old = Blob(path="/var/old.deb", sha256=hashlib.sha256(content).hexdigest())
    (root / "var/lib/wulfling").mkdir()
    old.converge(board, None)
    write_manifest(board, (old,), keep=False)
    take_back(board)
    assert not (root / "var/old.deb").exists()


KIM = User(user="kim", uid=2001, gid=2001, home="/home/kim")
KEYS = File(path="/etc/ssh/authorized_keys.d/kim", content="ssh-ed25519 AAAA\n")
SHARE = Association(user="kim", account="compute")
SPACE = Quota(user="kim", limit_mb=1024)
PERSON = (KIM, KEYS, SHARE, SPACE)


def test_a_firewall_that_is_declared_no_more_goes_before_its_unit(
    board: Board, root: Path, manifest: Path
) -> None:
    """`firewall: false`, or a board that leaves: nothing of ours drops packets any longer."""
    unit = File(path=f"/etc/systemd/system/{UNIT}", content="unit\n")
    place = root / unit.path.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_text(unit.content)
    rules = Firewall(rules="table inet wulfling\n")
    write_manifest(board, (*DECLARED, unit, rules), keep=False)
    gone = list(retired(board, DECLARED))
    assert gone == [NO_FIREWALL, Retired(path=unit.path)]


PEOPLE = ("user:", "file:/etc/ssh/authorized_keys.d/", "association:", "quota:")


def with_kim(board: Board, root: Path) -> None:
    (root / "etc/ssh/authorized_keys.d").mkdir()
    KEYS.converge(board, None)
    write_manifest(board, (*DECLARED, *PERSON), keep=False)


def test_a_person_who_is_declared_no_more(board: Board, root: Path, manifest: Path) -> None:
    with_kim(board, root)
    place = root / "var/lib/wulfling/accounts/kim"
    place.parent.mkdir()
    place.touch()
    assert keys(retired(board, DECLARED)) == [
        "quota:kim",
        "association:kim@compute",
        "closed:kim",
        "retired:/etc/ssh/authorized_keys.d/kim",
    ]
    assert [r.key for r in retired(board, DECLARED) if goes_last(r)] == [
        "association:kim@compute",
        "retired:/etc/ssh/authorized_keys.d/kim",
    ]


def test_an_account_that_was_there_before_us_is_not_closed(
    board: Board, root: Path, manifest: Path
) -> None:
    with_kim(board, root)
    assert "closed:kim" not in keys(retired(board, DECLARED))


def test_an_association_of_an_earlier_release_says_no_account(board: Board, manifest: Path) -> None:
    manifest.write_text(json.dumps({"keys": ["association:pi"]}))
    assert list(retired(board, ())) == []


def test_a_run_about_people_takes_back_nothing_else(
    board: Board, root: Path, manifest: Path
) -> None:
    with_kim(board, root)
    assert keys(retired(board, PERSON, PEOPLE)) == []
    gone = keys(retired(board, (KIM, KEYS), PEOPLE))
    assert gone == ["quota:kim", "association:kim@compute"]


def test_a_run_about_people_forgets_nothing_else(board: Board, root: Path, manifest: Path) -> None:
    with_kim(board, root)
    before = read_manifest(board)
    write_manifest(board, (KIM,), keep=False, scope=PEOPLE)
    after = read_manifest(board)
    assert set(after.keys) == {KIM.key, *keys(DECLARED)}
    assert set(after.files) == set(before.files) - {KEYS.path}
    write_manifest(board, (KIM, SHARE), keep=True, scope=PEOPLE)
    assert set(read_manifest(board).keys) == {KIM.key, SHARE.key, *keys(DECLARED)}
