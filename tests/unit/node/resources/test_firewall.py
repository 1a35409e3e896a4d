"""The firewall on a board in a folder: order, what a kernel cannot hold, and what is taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import CommandFailed, WulflingError
from wulfling.model.resource import NotYet
from wulfling.node.board import Board
from wulfling.node.dead_man import FIREWALL as REVERT
from wulfling.node.dead_man import LOGIN, confirm
from wulfling.node.resources.firewall import (
    LISTED,
    NO_FIREWALL,
    RULES,
    UNIT,
    WANTED,
    Firewall,
)

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

WISH = Firewall(rules="table inet wulfling\n")
LIST = ("nft", "-s", "list", "table", "inet", "wulfling")
CHECK = ("nft", "-c", "-f", "-")
DISARM = ("systemctl", "stop", f"{REVERT}.timer")
NONE = (1, "Error: No such file or directory")


@pytest.fixture
def kept(board: Board, root: Path, answers: Answers) -> Board:
    """A board whose firewall is as declared."""
    for path, text in ((RULES, WISH.rules), (LISTED, "listed\n")):
        place = board.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    wanted = board.path(WANTED)
    wanted.parent.mkdir(parents=True)
    wanted.symlink_to("../x")
    answers[LIST] = "listed\n"
    return board


def converging(board: Board, answers: Answers) -> None:
    """Answers to all that a converge runs, as on a board without a firewall."""
    folder = board.path("/var/lib/wulfling/firewall")
    new, before = f"{folder}/new.nft", f"{folder}/before.nft"
    board.path("/var/lib/wulfling").mkdir(parents=True)
    answers[LIST] = NONE
    answers[DISARM] = (5, f"Unit {REVERT}.timer not loaded.")
    answers["nft", "-c", "-f", new] = ""
    arm = ("systemd-run", "--quiet", "--collect", f"--unit={REVERT}")
    when = ("--timer-property=AccuracySec=1", "--on-active=120")
    armed = (*arm, *when, "nft", "-f", before)
    answers[armed] = ""
    answers["nft", "-f", new] = ""
    answers["systemctl", "daemon-reload"] = ""
    answers["systemctl", "enable", "--now", "--quiet", UNIT] = ""
    answers["nft", "-f", before] = ""


def test_what_is_kept_and_loaded_is_the_wish(kept: Board) -> None:
    assert WISH.observe(kept) == WISH
    assert WISH.note(kept) == ""


def test_somebodys_own_rule_is_a_difference(kept: Board, answers: Answers) -> None:
    answers[LIST] = "listed, and one more\n"
    answers[CHECK] = ""
    observed = WISH.observe(kept)
    assert observed == Firewall(rules=WISH.rules, loaded=False)
    assert "somebody has changed them" in WISH.difference(observed)[0]


def test_a_flushed_table_is_a_difference(kept: Board, answers: Answers) -> None:
    answers[LIST] = NONE
    answers[CHECK] = ""
    assert not WISH.observe(kept).loaded


def test_before_nft_is_installed_a_plan_knows_that_nothing_is_loaded(
    board: Board, answers: Answers
) -> None:
    answers[LIST] = answers[CHECK] = (127, "no nft")
    assert WISH.observe(board) == Firewall(rules="", loaded=False, boots=False)
    assert NO_FIREWALL.observe(board) == NO_FIREWALL
    board.applying = True
    with pytest.raises(NotYet, match="packages:apt"):
        WISH.observe(board)


@pytest.mark.parametrize("why", ["Operation not supported", "No such file or directory"])
def test_a_kernel_without_it_is_told_and_not_failed(
    board: Board, answers: Answers, why: str
) -> None:
    answers[LIST] = NONE
    answers[CHECK] = (1, f"/dev/stdin:1:1-2: Error: Could not process rule: {why}")
    assert WISH.observe(board) == WISH
    assert WISH.note(board).startswith("not enforced: this board's kernel has no nftables")


def test_rules_that_are_wrong_are_an_error_and_no_excuse(board: Board, answers: Answers) -> None:
    converging(board, answers)
    refused = (1, "new.nft:1:1-5: Error: syntax error, unexpected string")
    answers[CHECK] = refused
    answers["nft", "-c", "-f", str(board.path("/var/lib/wulfling/firewall/new.nft"))] = refused
    observed = WISH.observe(board)
    assert observed != WISH
    with pytest.raises(CommandFailed, match="syntax error"):
        WISH.converge(board, observed)


def test_the_timer_is_armed_before_and_the_rules_kept_after_somebody_came_in(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    converging(board, answers)
    seen: list[bool] = []

    def contact() -> str:
        seen.append(board.path(RULES).exists())
        return ""

    board.contact = contact
    WISH.converge(board, None)
    assert seen == [False], "not before"
    assert board.text(RULES) == WISH.rules
    verbs = [" ".join(words[:2]) for words in ran]
    armed, loaded = verbs.index("systemd-run --quiet"), verbs.index("nft -f")
    assert verbs.index("nft -c") < armed < loaded < verbs.index("systemctl enable")


def test_when_nobody_comes_in_the_old_rules_are_loaded_and_nothing_is_kept(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    converging(board, answers)
    board.contact = lambda: "Connection timed out"
    answers[DISARM] = ""
    with pytest.raises(WulflingError, match="Connection timed out"):
        WISH.converge(board, None)
    before = board.path("/var/lib/wulfling/firewall/before.nft")
    assert ran[-1] == ("nft", "-f", str(before))
    text = "table inet wulfling\ndelete table inet wulfling\n"
    assert before.read_text() == text, "there was none before"
    assert not board.path(RULES).exists()


def test_who_comes_too_late_is_told(board: Board, answers: Answers) -> None:
    answers["systemctl", "stop", f"{LOGIN}.timer"] = (5, "not loaded")
    answers[DISARM] = ""
    confirm(board)
    answers[DISARM] = (5, "not loaded")
    with pytest.raises(WulflingError, match="back already"):
        confirm(board)


def test_it_is_taken_away_whole(kept: Board, answers: Answers) -> None:
    answers["systemctl", "disable", "--now", "--quiet", UNIT] = ""
    answers["nft", "delete", "table", "inet", "wulfling"] = ""
    assert NO_FIREWALL.observe(kept) != NO_FIREWALL
    NO_FIREWALL.converge(kept, None)
    answers[LIST] = NONE
    assert NO_FIREWALL.observe(kept) == NO_FIREWALL
    assert not kept.path(RULES).exists()


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000
   1: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000
   3: 0100000A:01BB 0200000A:C001 01 00000000:00000000 00:00000000
   4: 00000000:C000 00000000:0000 0A 00000000:00000000 00:00000000
   5: 00000000:006F 00000000:0000 0A 00000000:00000000 00:00000000
"""
UDP6 = """  sl  local_address                         remote_address   st
   0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07
   1: 00000000000000000000000001000000:0143 00000000000000000000000000000000:0000 07
"""


def test_a_plan_names_what_listens_and_would_be_closed(
    board: Board, root: Path, answers: Answers
) -> None:
    """Not what loopback alone reaches, what the rules know, connections, or random ports."""
    (root / "proc/net").mkdir()
    (root / "proc/net/tcp").write_text(TCP)
    (root / "proc/net/udp6").write_text(UDP6)
    answers[LIST] = NONE
    answers[CHECK] = ""
    wish = Firewall(rules="table inet wulfling\ntcp dport 22 accept\n")
    lines = [line for line in wish.difference(wish.observe(board)) if "closes" in line]
    assert lines == [
        "  closes 53/udp, which listens here: `firewall: {open: [53/udp]}` keeps it",
        "  closes 80/tcp, which listens here: `firewall: {open: [80/tcp]}` keeps it",
    ]
