"""Known holes: what is older than the version that mends them, what is done, what is refused."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.node.conftest import TableBoard
from tests.unit.node.resources.test_packages import argv

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.advisories import ADVISORIES
from wulfling.node.exposed import munge_was_exposed
from wulfling.node.resources.patched import Patched

WANTED = Patched(
    source="munge",
    packages=("munge", "libmunge2"),
    fixed="0.5.15-2+deb12u1",
    cves=("CVE-2026-25506",),
)
IN_TURN = replace(WANTED, in_turn=True)
UPGRADE = (*argv("install")[:-1], "install", "--only-upgrade", "munge", "libmunge2")


def installed(root: Path, version: str, *, library: str = "", status: str = "ok installed") -> None:
    text = "Package: hostname\nStatus: install ok installed\nVersion: 3.23\n\n"
    for name, of in (("munge", version), ("libmunge2", library or version)):
        text += f"Package: {name}\nStatus: install {status}\nVersion: {of}\n\n"
    (root / "var/lib/dpkg/status").write_text(text)


@pytest.mark.parametrize("version", ["0.5.15-2+deb12u1", "0.5.15-2+deb12u1+b1", "0.5.16-1"])
def test_what_is_new_enough_is_as_declared(table: TableBoard, root: Path, version: str) -> None:
    installed(root, version)
    assert WANTED.observe(table) == WANTED
    assert table.ran == []  # a plan with nothing to do starts no process for this


def test_what_is_not_installed_has_no_hole(table: TableBoard, root: Path) -> None:
    assert WANTED.observe(table) == WANTED
    installed(root, "0.5.15-2", status="ok config-files")
    assert WANTED.observe(table) == WANTED


def test_s22_what_is_older_is_shown_with_the_hole_and_the_key_to_make(
    table: TableBoard, root: Path
) -> None:
    installed(root, "0.5.15-2", library="0.5.15-2+deb12u1")
    observed = WANTED.observe(table)
    assert WANTED.difference(observed) == (
        "  munge 0.5.15-2 -> 0.5.15-2+deb12u1 or newer (CVE-2026-25506)",
        "  then make a new key: wulfling rotate munge",
    )


def test_an_apply_installs_what_the_archive_has(table: TableBoard, root: Path) -> None:
    installed(root, "0.5.15-2")

    def upgrade() -> str:
        assert (root / "usr/sbin/policy-rc.d").exists()  # munge restarts in its own turn
        installed(root, "0.5.15-2+deb12u1")
        return ""

    table.answers = {argv("update"): "", UPGRADE: upgrade}
    WANTED.converge(table, WANTED.observe(table))
    assert WANTED.observe(table) == WANTED


def test_an_archive_without_it_is_named_with_what_apt_said(table: TableBoard, root: Path) -> None:
    installed(root, "0.5.15-2")
    table.answers = {argv("update"): (100, "404 Not Found"), UPGRADE: ""}
    with pytest.raises(WulflingError, match="nothing newer(.|\n)*404 Not Found") as caught:
        WANTED.converge(table, WANTED.observe(table))
    assert "security updates" in caught.value.hint


def test_held_packages_are_for_a_person(table: TableBoard, root: Path) -> None:
    installed(root, "0.5.15-2")
    said = "E: Held packages were changed and -y was used without --allow-change-held-packages."
    table.answers = {argv("update"): "", UPGRADE: (100, said)}
    with pytest.raises(CommandFailed) as caught:
        WANTED.converge(table, WANTED.observe(table))
    assert caught.value.hint == "somebody holds them: sudo apt-mark unhold munge libmunge2"


def test_what_boards_get_in_turn_is_refused_with_the_verb(table: TableBoard, root: Path) -> None:
    installed(root, "0.5.15-2")
    policy = ("apt-cache", "policy", "munge")
    table.answers = {policy: "munge:\n  Installed: 0.5.15-2\n  Candidate: 0.5.15-2+deb12u1\n"}
    with pytest.raises(WulflingError, match="munge 0.5.15-2 and 1 more has CVE") as caught:
        IN_TURN.observe(table)
    assert caught.value.hint.startswith("wulfling upgrade")


@pytest.mark.parametrize("candidate", ["  Candidate: (none)\n", "  Candidate: 0.5.15-2\n", ""])
def test_it_does_not_send_people_to_an_upgrade_that_has_nothing(
    table: TableBoard, root: Path, candidate: str
) -> None:
    installed(root, "0.5.15-2")
    table.answers = {("apt-cache", "policy", "munge"): f"munge:\n{candidate}"}
    with pytest.raises(WulflingError, match="nothing newer") as caught:
        IN_TURN.observe(table)
    assert "security" in caught.value.hint


def test_every_advisory_says_what_when_and_why() -> None:
    for one in ADVISORIES:
        assert one.packages
        assert one.cves
        assert one.fixed[0].isdigit()
    assert len({(one.source, one.release) for one in ADVISORIES}) == len(ADVISORIES)


# -- the key that was in an unpatched munge ------------------------------------------------


@pytest.fixture
def bookworm(table: TableBoard, root: Path) -> TableBoard:
    (root / "etc/os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    (root / "etc/munge").mkdir()
    (root / "etc/munge/munge.key").write_text("k" * 128)
    (root / "var/log").mkdir()
    return table


def logged(root: Path, *versions: tuple[float, str]) -> None:
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))} status installed"
        f" munge:amd64 {version}\n"
        for at, version in versions
    ]
    lines.append("2026-11-27 10:00:00 upgrade munge:amd64 0.5.15-2 0.5.15-2+deb12u1\n")
    (root / "var/log/dpkg.log").write_text("".join(lines))


def age_of_key(root: Path, at: float) -> None:
    os.utime(root / "etc/munge/munge.key", (at, at))


@pytest.mark.parametrize(
    ("made", "exposed"), [(1_700_000_000, "0.5.15-2"), (1_700_009_000, "")], ids=["old", "new"]
)
def test_a_key_is_exposed_until_it_is_made_anew(
    bookworm: TableBoard, root: Path, made: float, exposed: str
) -> None:
    logged(root, (1_700_000_000, "0.5.15-2"), (1_700_005_000, "0.5.15-2+deb12u1"))
    age_of_key(root, made)
    assert munge_was_exposed(bookworm) == exposed


def test_a_board_that_was_always_patched_is_silent(bookworm: TableBoard, root: Path) -> None:
    logged(root, (1_700_000_000, "0.5.15-2+deb12u1"), (1_700_005_000, "0.5.15-2+deb12u1"))
    age_of_key(root, 1_700_000_000)
    assert munge_was_exposed(bookworm) == ""


def test_a_munge_that_still_has_the_hole_is_another_finding(
    bookworm: TableBoard, root: Path
) -> None:
    logged(root, (1_700_000_000, "0.5.15-2"))
    age_of_key(root, 1_700_000_000)
    assert munge_was_exposed(bookworm) == ""


def test_a_board_without_a_log_or_a_key_is_silent(bookworm: TableBoard, root: Path) -> None:
    assert munge_was_exposed(bookworm) == ""
    (root / "etc/munge/munge.key").unlink()
    assert munge_was_exposed(bookworm) == ""
