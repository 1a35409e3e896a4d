"""Who gets in, on a board in a folder: tested, proven by somebody who comes in, or taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.node.board import Board
from wulfling.node.dead_man import FIREWALL, LOGIN, confirm
from wulfling.node.resources.sshd import RESTART, SshServer

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

FILE = "/etc/ssh/sshd_config.d/10-wulfling.conf"
WISH = SshServer(path=FILE, content="MaxAuthTries 3\n")
TEST = ("/usr/sbin/sshd", "-t")


@pytest.fixture
def before(board: Board, answers: Answers) -> Path:
    """A board with rules of an earlier apply; gives where a copy of them is kept meanwhile."""
    place = board.path(FILE)
    place.parent.mkdir(parents=True)
    place.write_text("old\n")
    kept = place.with_name(".10-wulfling.conf.before")
    when = ("--timer-property=AccuracySec=1", "--on-active=120")
    back = f"mv {kept} {place}; {' '.join(RESTART)}"
    arm = ("systemd-run", "--quiet", "--collect", f"--unit={LOGIN}", *when)
    armed = (*arm, "sh", "-c", back)
    answers[armed] = ""
    answers["systemctl", "stop", f"{LOGIN}.timer"] = (5, "not loaded")
    answers[TEST] = answers[RESTART] = ""
    return kept


def test_a_new_connection_proves_the_rules(
    board: Board, before: Path, ran: list[tuple[str, ...]]
) -> None:
    board.contact = lambda: ""
    WISH.converge(board, WISH.observe(board))
    assert WISH.observe(board) == WISH
    assert not before.exists()
    order = [words[0] for words in ran if words[:2] != ("systemctl", "stop")]
    assert order == ["/usr/sbin/sshd", "systemd-run", "systemctl"], "tested, armed, then read"


def test_nobody_gets_in_and_the_rules_from_before_are_back(
    board: Board, before: Path, ran: list[tuple[str, ...]]
) -> None:
    board.contact = lambda: "nothing for 30 s"
    with pytest.raises(WulflingError, match="no new connection got through"):
        WISH.converge(board, WISH.observe(board))
    assert board.text(FILE) == "old\n"
    assert not before.exists()
    assert ran[-1] == RESTART


def test_rules_that_sshd_refuses_are_never_read_by_the_one_that_runs(
    board: Board, before: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    answers[TEST] = (255, "line 1: Bad configuration option")
    with pytest.raises(CommandFailed, match="Bad configuration option"):
        WISH.converge(board, WISH.observe(board))
    assert board.text(FILE) == "old\n"
    assert RESTART not in ran


def test_an_apply_that_was_cut_off_has_proven_nothing(board: Board, before: Path) -> None:
    """The power went between the new rules and whoever was to come in: the next run tries them
    again, and knows what was there before them."""
    board.path(FILE).write_text(WISH.content)
    before.write_text("old\n")
    observed = WISH.observe(board)
    assert observed != WISH
    assert "nobody has come in" in WISH.difference(observed)[-1]
    board.contact = lambda: "no answer"
    with pytest.raises(WulflingError):
        WISH.converge(board, observed)
    assert board.text(FILE) == "old\n"


def test_who_comes_in_stops_either_timer(board: Board, answers: Answers) -> None:
    answers["systemctl", "stop", f"{FIREWALL}.timer"] = (5, "not loaded")
    answers["systemctl", "stop", f"{LOGIN}.timer"] = ""
    confirm(board)
    answers["systemctl", "stop", f"{LOGIN}.timer"] = (5, "not loaded")
    with pytest.raises(WulflingError, match="was back already"):
        confirm(board)
