"""MariaDB: one question, one set of statements, no password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wulfling.model.resource import NotYet
from wulfling.node.board import Board
from wulfling.node.resources.database import Database

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

DATABASE = Database(database="slurm_acct_db", user="slurm")


@pytest.fixture
def question(board: Board, ran: list[tuple[str, ...]], answers: Answers) -> tuple[str, ...]:
    """The command by which the database is observed."""
    with pytest.raises(AssertionError):
        DATABASE.observe(board)
    return ran.pop()


def test_as_declared(board: Board, answers: Answers, question: tuple[str, ...]) -> None:
    answers[question] = "1\t1\t1\n"
    assert DATABASE.observe(board) == DATABASE


@pytest.mark.parametrize("answer", ["0\t0\t0\n", "1\t0\t0\n", "1\t1\t0\n"])
def test_anything_less_is_absent(
    board: Board, answers: Answers, question: tuple[str, ...], answer: str
) -> None:
    answers[question] = answer
    assert DATABASE.observe(board) is None


@pytest.mark.parametrize(
    "answer",
    [
        (127, "No such file or directory: 'mariadb'"),
        (1, "ERROR 2002 (HY000): Can't connect to local server through socket"),
    ],
)
def test_not_before_mariadb_answers(
    board: Board, answers: Answers, question: tuple[str, ...], answer: tuple[int, str]
) -> None:
    answers[question] = answer
    with pytest.raises(NotYet, match=r"service:mariadb\.service"):
        DATABASE.observe(board)


def test_made(board: Board, answers: Answers, ran: list[tuple[str, ...]]) -> None:
    answers[("mariadb",)] = ""
    DATABASE.converge(board, None)
    statements = ran[0][-1]
    assert "IDENTIFIED VIA unix_socket" in statements
    assert "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost'" in statements
    assert "PASSWORD" not in statements.upper()
