"""Slurm's accounts, as sacctmgr of Slurm 22.05 (Debian 12) shows them on a virtual board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.model.resource import NotYet
from wulfling.node.board import Board
from wulfling.node.resources.slurm import (
    SHOW,
    Account,
    AccountingCluster,
    Association,
    parse_limits,
    parse_rows,
)

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

RECORDED = """\
compute|compute account|raspi-hpc|raspi-hpc|||
compute|compute account|raspi-hpc|raspi-hpc|pi|cpu=4,mem=1G|
root|default root account|root|raspi-hpc|||
root|default root account|root|raspi-hpc|root||
"""
REFUSED = """\
sacctmgr: error: slurm_persist_conn_open_without_init: failed to open persistent connection to \
host:rpnode01:6819: Connection refused
sacctmgr: error: Sending PersistInit msg: Connection refused
"""
PI = Association(user="pi", account="compute", limits=(("cpu", 4), ("mem", 1024)))


def sacctmgr(*words: str) -> tuple[str, ...]:
    return ("sacctmgr", "-i", *words)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", ()),
        ("cpu=4", (("cpu", 4),)),
        ("cpu=4,mem=1G", (("cpu", 4), ("mem", 1024))),
        ("mem=1500M,cpu=4", (("cpu", 4), ("mem", 1500))),
        ("mem=3T", (("mem", 3 * 1024 * 1024),)),
        ("mem=1.50G", (("mem", 1536),)),
        ("gres/gpu=2,node=1", (("gres/gpu", 2), ("node", 1))),
    ],
)
def test_limits(text: str, limits: tuple[tuple[str, int], ...]) -> None:
    assert parse_limits(text) == limits


def test_rows_of_accounts_with_bars_in_their_description() -> None:
    rows = parse_rows("a|one|two|org|c|u|cpu=1|\nnonsense\n")
    assert [(row.account, row.description, row.organization, row.user) for row in rows] == [
        ("a", "one|two", "org", "u")
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        AccountingCluster(cluster="raspi-hpc"),
        AccountingCluster(cluster="Raspi-HPC"),
        Account(account="compute", description="Compute account", organization="Raspi-HPC"),
        PI,
        Association(user="pi", account="compute", limits=(("mem", 1024), ("cpu", 4))),
    ],
)
def test_as_declared(
    board: Board, answers: Answers, wanted: AccountingCluster | Account | Association
) -> None:
    """sacctmgr keeps small letters and an order of its own."""
    answers[SHOW] = RECORDED
    assert wanted.observe(board) == wanted


def test_one_question_for_everything(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    answers[SHOW] = RECORDED
    AccountingCluster(cluster="raspi-hpc").observe(board)
    Account(account="compute", description="", organization="").observe(board)
    PI.observe(board)
    Association(user="kim", account="compute").observe(board)
    assert len(ran) == 1


def test_absent(board: Board, answers: Answers) -> None:
    answers[SHOW] = "root|default root account|root|other|||\n"
    assert AccountingCluster(cluster="raspi-hpc").observe(board) is None
    assert Account(account="compute", description="", organization="").observe(board) is None
    assert PI.observe(board) is None


def test_an_account_of_another_cluster_in_the_same_database(
    board: Board, root: Path, answers: Answers
) -> None:
    (root / "etc/slurm").mkdir()
    (root / "etc/slurm/slurm.conf").write_text("# x\nClusterName = New  # renamed\n")
    answers[SHOW] = RECORDED
    assert PI.observe(board) is None
    assert Account(account="compute", description="", organization="").observe(board) is None
    assert AccountingCluster(cluster="new").observe(board) is None


@pytest.mark.parametrize(
    "answer", [(1, REFUSED), (127, "No such file"), (124, "no end after 60 s")]
)
def test_while_slurmdbd_does_not_answer(
    board: Board, answers: Answers, answer: tuple[int, str]
) -> None:
    answers[SHOW] = answer
    for wanted in (AccountingCluster(cluster="x"), PI):
        with pytest.raises(NotYet, match=r"service:slurmdbd\.service"):
            wanted.observe(board)


def test_a_cluster_is_added(board: Board, answers: Answers) -> None:
    answers[SHOW] = ""
    cluster = AccountingCluster(cluster="raspi-hpc")
    observed = cluster.observe(board)

    def add() -> str:
        answers[SHOW] = RECORDED
        return ""

    answers[sacctmgr("add", "cluster", "raspi-hpc")] = add
    cluster.converge(board, observed)
    assert cluster.observe(board) == cluster


def test_an_account_is_added_or_corrected(board: Board, answers: Answers) -> None:
    account = Account(account="compute", description="all of us", organization="lab")
    facts = ("description=all of us", "organization=lab")
    answers[sacctmgr("add", "account", "compute", *facts)] = ""
    account.converge(board, None)
    answers[SHOW] = RECORDED
    observed = account.observe(board)
    assert account.difference(observed) == (
        "  description: compute account -> all of us",
        "  organization: raspi-hpc -> lab",
    )
    answers[sacctmgr("modify", "account", "compute", "set", *facts)] = ""
    account.converge(board, observed)


NOBODY = "compute|compute account|raspi-hpc|raspi-hpc|||\n"
LIMITS = "GrpTRES=cpu=4,mem=1024"
HERE = ("where", "account=compute")


def test_a_person_is_added_with_limits_by_one_command(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    """Each takes a quarter of a second on a small board, and a class has many people."""
    answers[SHOW] = NOBODY
    answers[sacctmgr("add", "user", "pi", "account=compute", LIMITS)] = ""
    PI.converge(board, PI.observe(board))
    assert len(ran) == 2


def test_a_class_is_added_by_one_command(
    board: Board, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    """Those who have the same limits and are not there; 25 by themselves took 75 s."""
    others = [Association(user=name, account="compute", limits=PI.limits) for name in ("a", "b")]
    less = Association(user="c", account="compute", limits=(("cpu", 1),))
    there = Association(user="kim", account="compute", limits=PI.limits)
    elsewhere = Association(user="d", account="school", limits=PI.limits)
    gone = Association(user="e", account="compute", active=False)
    board.declared = (PI, *others, less, there, elsewhere, gone)
    row = "compute|compute account|raspi-hpc|raspi-hpc|{}|cpu=4,mem=1G|\n"
    answers[SHOW] = NOBODY + row.format("kim")

    def add() -> str:
        answers[SHOW] = NOBODY + "".join(map(row.format, ("kim", "pi", "a", "b")))
        return ""

    answers[sacctmgr("add", "user", "pi,a,b", "account=compute", LIMITS)] = add
    PI.converge(board, PI.observe(board))
    assert [other.observe(board) for other in (PI, *others)] == [PI, *others]
    assert len(ran) == 3


def test_a_person_who_moves_is_charged_to_the_new_account(board: Board, answers: Answers) -> None:
    moved = Association(user="pi", account="school", limits=PI.limits)
    answers[SHOW] = RECORDED
    assert moved.key != PI.key, "or the old association would never be taken back"
    assert moved.observe(board) is None
    answers[sacctmgr("add", "user", "pi", "account=school", LIMITS)] = ""
    answers[sacctmgr("modify", "user", "pi", "set", "defaultaccount=school")] = ""
    moved.converge(board, None)


def test_a_person_who_leaves(board: Board, answers: Answers) -> None:
    gone = Association(user="pi", account="compute", active=False)
    answers[SHOW] = RECORDED
    observed = gone.observe(board)
    assert observed != gone
    assert gone.difference(observed) == ("- association:pi@compute",)

    def delete() -> str:
        answers[SHOW] = NOBODY
        return ""

    answers[sacctmgr("delete", "user", "pi", *HERE)] = delete
    gone.converge(board, observed)
    assert gone.observe(board) == gone


@pytest.mark.parametrize("code", [0, 1])
def test_jobs_of_a_person_who_leaves_go_on_and_no_new_ones_are_taken(
    board: Board, answers: Answers, code: int
) -> None:
    gone = Association(user="pi", account="compute", active=False)
    answers[SHOW] = RECORDED
    answers[sacctmgr("delete", "user", "pi", *HERE)] = code, " Error with request: Job(s) active"
    answers[sacctmgr("modify", "user", "pi", *HERE, "set", "MaxSubmitJobs=0")] = ""
    gone.converge(board, gone.observe(board))
    answers[SHOW] = RECORDED.replace("cpu=4,mem=1G|", "cpu=4,mem=1G|0")
    assert gone.observe(board) == gone
    # ... until the person comes back.
    observed = PI.observe(board)
    assert PI.difference(observed) == ("  active: no -> yes",)
    answers[sacctmgr("modify", "user", "pi", *HERE, "set", LIMITS, "MaxSubmitJobs=-1")] = ""
    PI.converge(board, observed)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ((("cpu", 8), ("mem", 1024)), "cpu=8,mem=1024"),
        ((("cpu", 4),), "cpu=4,mem=-1"),
        ((), "cpu=-1,mem=-1"),
        ((("cpu", 4), ("mem", 1024), ("node", 1)), "cpu=4,mem=1024,node=1"),
    ],
)
def test_limits_are_set_and_lifted(
    board: Board, answers: Answers, limits: tuple[tuple[str, int], ...], told: str
) -> None:
    answers[SHOW] = RECORDED
    person = Association(user="pi", account="compute", limits=limits)
    observed = person.observe(board)
    assert observed != person
    where = ("where", "account=compute", "set", f"GrpTRES={told}")
    answers[sacctmgr("modify", "user", "pi", *where)] = ""
    person.converge(board, observed)


def test_commands() -> None:
    assert PI.commands() == ("sudo sacctmgr -i add user pi account=compute GrpTRES=cpu=4,mem=1024",)
    assert Association(user="pi", account="compute", active=False).commands() == PI.undo()
