"""``plan``, ``apply`` and ``explain``, against boards that are a table."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from wulfling.errors import IdentityMismatch, NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.plan import Status
from wulfling.transport.fake import Fake
from wulfling.transport.link import Refused

Run = Callable[..., tuple[int, str, str]]
Boards = Callable[[Mapping[str, Mapping[str, Status] | WulflingError]], Fake]

HOSTS = {"block:/etc/hosts": Status.CHANGE}
GONE = Unreachable("10.9.9.2: No route to host", hint="is it switched on?", where="two")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_plan_with_nothing_to_do(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": {}})
    assert run("plan") == (0, "0 changes on 2 nodes\n", "")


def test_a_plan_with_changes_exits_with_2_and_says_what_to_type(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": HOSTS})
    code, out, err = run("plan")
    assert code == 2
    assert out.startswith("two: 1 to change\n  + block:/etc/hosts\n1 change on 1 of 2 nodes")
    assert err == "next: wulfling -f cluster.yaml apply\n"


def test_a_plan_with_a_board_away(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": GONE})
    code, out, err = run("plan")
    assert code == 3
    assert "two: unreachable: 10.9.9.2: No route to host\n" in out
    assert err == "  hint: is it switched on?\n"


def test_a_hint_for_many_boards_is_given_once(run: Run, boards: Boards) -> None:
    boards({"one": Unreachable("a", hint="look at the switch"), "two": GONE})
    assert run("plan")[2].count("hint") == 2
    boards({"one": Unreachable("a", hint="is it switched on?"), "two": GONE})
    assert run("plan")[2].count("hint") == 1


def test_a_plan_with_a_board_that_refuses(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": Refused("two lets nobody in", hint="ssh-copy-id")})
    code, _, err = run("plan")
    assert code == 4
    assert "two: two lets nobody in\n  hint: ssh-copy-id\n" in err


def test_an_impostor_ends_it_with_8(run: Run, boards: Boards) -> None:
    boards({"one": GONE, "two": IdentityMismatch("two has another host key", where="two")})
    for words in (["plan"], ["apply", "-y"], ["verify"], ["status"]):
        code, out, err = run(*words)
        assert (code, out) == (8, ""), words
        assert "two: error: two has another host key" in err


def test_apply_asks_nobody_without_a_terminal(run: Run, boards: Boards) -> None:
    fake = boards({"one": {}, "two": HOSTS})
    code, out, err = run("apply")
    assert (code, out) == (64, "")
    assert "`apply -y`" in err
    assert fake.links == {}


def test_apply(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": HOSTS})
    code, out, err = run("apply", "-y")
    assert code == 0
    assert [line.partition(",")[0] for line in out.splitlines()] == [
        "one: 0 changed",
        "two: 1 changed",
    ]
    assert err == "next: wulfling -f cluster.yaml verify\n"


def test_apply_shows_the_plan_and_does_it_when_told_yes(
    run: Run, boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = boards({"one": {}, "two": HOSTS})
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    code, out, _ = run("apply")
    assert code == 0
    assert "1 change on 1 of 2 nodes" in out
    assert "two: 1 changed" in out
    assert fake.links["two"].heard[0]["do"] == "apply"


def test_a_no_is_no_interruption_and_changes_nothing(
    run: Run, boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = boards({"one": {}, "two": HOSTS})
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, _, err = run("apply")
    assert code == 2
    assert err == "nothing was changed\n"
    assert fake.links["two"].heard[0]["do"] == "plan"


def test_ctrl_d_at_the_question_is_an_interruption(
    run: Run, boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards({"one": {}, "two": HOSTS})
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert run("apply")[0] == 130


def test_apply_asks_nothing_when_there_is_nothing_to_do(
    run: Run, boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards({"one": {}, "two": {}})
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert run("apply") == (0, "0 changes on 2 nodes\n", "")


def test_an_apply_that_failed_says_where_and_what_next(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": {"block:/etc/hosts": Status.FAILED}})
    code, out, err = run("apply", "-y")
    assert code == 4
    assert "two:  ! block:/etc/hosts\n" in out
    assert "as its table says" in out
    assert "again" in err


def test_what_waits_for_a_board_that_is_away_is_pending_and_told(run: Run, boards: Boards) -> None:
    boards({"one": GONE, "two": HOSTS})
    code, out, _ = run("apply", "-y")
    assert code == 3
    assert "one: unreachable: " in out
    assert "two: 1 changed" in out


# -- json


@pytest.mark.parametrize("words", [["plan"], ["apply", "-y"]])
@pytest.mark.parametrize("two", [{}, HOSTS, GONE, NodeFailed("sudo asks for a password")])
def test_stdout_is_json_and_nothing_else(
    run: Run, boards: Boards, words: list[str], two: Mapping[str, Status] | WulflingError
) -> None:
    boards({"one": {}, "two": two})
    told = json.loads(run(*words, "-o", "json")[1])
    assert {step["node"] for step in told["steps"]} >= {"one"}
    assert ("two" in told["unreachable"]) is isinstance(two, Unreachable)
    assert ("two" in told["errors"]) is isinstance(two, NodeFailed)


def test_why_a_board_failed_is_in_the_json_and_on_stderr(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": NodeFailed("sudo asks for a password", hint="visudo")})
    code, out, err = run("plan", "-o", "json")
    assert code == 4
    assert json.loads(out)["errors"] == {"two": "sudo asks for a password"}
    assert err == "two: sudo asks for a password\n  hint: visudo\n"


@pytest.mark.parametrize(("differs", "answer"), [(HOSTS, "y\n"), (HOSTS, "n\n"), ({}, "")])
def test_stdout_is_json_also_when_apply_asks(
    run: Run,
    boards: Boards,
    monkeypatch: pytest.MonkeyPatch,
    differs: Mapping[str, Status],
    answer: str,
) -> None:
    boards({"one": {}, "two": differs})
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    _, out, err = run("apply", "-o", "json")
    told = json.loads(out)
    assert told["changes"] == len(differs)
    assert ("Apply?" in err) is bool(differs)


# -- explain


def test_explain(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": {}})
    code, out, err = run("explain", "two", "/etc/hosts")
    assert (code, err) == (0, "")
    assert out.startswith("# block:/etc/hosts\n# why: every board finds every other one")
    assert "sudo tee -a /etc/hosts" in out
    assert "# undo: " in out


def test_explain_never_shows_the_munge_key(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": {}})
    for output in ("text", "json"):
        out = run("explain", "one", "munge", "-o", output)[1]
        assert "/etc/munge/munge.key" in out
        assert "first apply makes it" not in out


def test_explain_in_json(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": {}})
    told = json.loads(run("explain", "two", "-o", "json")[1])
    assert all(step["commands"] and step["undo"] for step in told)


def test_explain_what_is_not_there(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": {}})
    code, out, err = run("explain", "three")
    assert (code, out) == (1, "")
    assert "there is no node three" in err
    assert "one, two" in err
    code, out, err = run("explain", "two", "nonsense")
    assert (code, out) == (1, "")
    assert "nothing on two is called nonsense" in err


def test_explain_a_board_that_is_away(run: Run, boards: Boards) -> None:
    boards({"one": {}, "two": GONE})
    code, out, err = run("explain", "two")
    assert (code, out) == (3, "")
    assert "No route to host" in err


# -- boards whose MPI cannot talk to each other


def test_plan_and_apply_warn_of_ranks_that_would_wait_for_ever(
    run: Run, boards: Callable[..., Fake], board: Hardware, file: Path
) -> None:
    file.write_text(file.read_text() + "slurm: false\n")
    boards({"one": {}, "two": {}}, two=replace(board, arch="armhf"))
    for words in (["plan"], ["apply", "-y"], ["plan", "-o", "json"]):
        code, out, err = run(*words)
        assert code == 0
        assert err.startswith(
            "machinefile: warning: it has one with MPICH 4.0 on UCX and two with MPICH 4.0 on ch3:"
            " ranks of one MPI job that meet across them wait for ever\n"
            "  hint: give each of these groups a machinefile of its own, or install"
        ), words
        assert "MPICH" not in out


# -- what is missing


def test_a_cluster_file_of_another_name(run: Run, boards: Boards, file: Path) -> None:
    boards({"one": {}, "two": HOSTS})
    file.rename("other.yaml")
    assert run("-f", "other.yaml", "plan")[2] == "next: wulfling -f other.yaml apply\n"


def test_the_file_from_the_environment(
    run: Run, boards: Boards, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards({"one": {}, "two": {}})
    file.rename("other.yaml")
    monkeypatch.setenv("WULFLING_FILE", "other.yaml")
    assert run("plan")[0] == 0
