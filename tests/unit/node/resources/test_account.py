"""Users and groups: the number is what counts, and nobody's number is taken away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.account import NOBODY_GETS_IN, Closed, Group, User, is_ours

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers

PI = User(user="pi", uid=2000, gid=2000, home="/home/pi", shell="/bin/bash")

PAIRS = (("pi", 2000), ("ann", 2001))


def adding(root: Path, table: str, line: str) -> str:
    with (root / "etc" / table).open("a") as file:
        file.write(f"{line}\n")
    return ""


def test_group_is_added(board: Board, root: Path, answers: Answers) -> None:
    group = Group(group="pi", gid=2000)
    assert group.observe(board) is None
    answers["systemd-sysusers", "-"] = lambda: adding(root, "group", "pi:x:2000:")
    group.converge(board, None)
    assert group.observe(board) == group


def test_groups_of_a_class_are_added_at_once(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    pi, ann, bo = (Group(group=name, gid=gid) for name, gid in (("pi", 1), ("ann", 2), ("bo", 112)))
    board.declared = (pi, ann, bo, Group(group="munge", gid=112))
    answers["systemd-sysusers", "-"] = lambda: adding(root, "group", "pi:x:1:\nann:x:2:")
    pi.converge(board, None)
    assert ran == [("systemd-sysusers", "-", "g pi 1\ng ann 2\n")], "munge has the number of bo"
    assert ann.observe(board) == ann


def test_group_gets_its_number(board: Board, answers: Answers, ran: list[tuple[str, ...]]) -> None:
    group = Group(group="munge", gid=115)
    observed = group.observe(board)
    assert group.difference(observed) == ("  gid: 112 -> 115",)
    answers["groupmod", "--gid", "115", "munge"] = ""
    group.converge(board, observed)
    assert len(ran) == 1


def test_user_is_added_without_a_home_and_a_password(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    assert PI.observe(board) is None
    line = "pi:x:2000:2000::/home/pi:/bin/bash"
    answers["systemd-sysusers", "-"] = lambda: adding(root, "passwd", line)
    PI.converge(board, None)
    assert ran == [("systemd-sysusers", "-", 'u pi 2000:2000 "" /home/pi /bin/bash\n')]
    assert PI.observe(board) == PI
    assert is_ours(board, "pi")


def test_people_of_a_class_are_added_at_once(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    adding(root, "group", "pi:x:2000:\nann:x:2001:")
    ann = User(user="ann", uid=2001, gid=2001, home="/home/ann")
    alone = User(user="bo", uid=2002, gid=2002, home="/home/bo")
    taken = User(user="cy", uid=111, gid=2000, home="/home/cy")
    board.declared = (PI, ann, alone, taken)
    lines = "pi:x:2000:2000::/home/pi:/bin/bash\nann:x:2001:2001::/home/ann:/bin/bash"
    answers["systemd-sysusers", "-"] = lambda: adding(root, "passwd", lines)
    PI.converge(board, None)
    said = "".join(f'u {name} {uid}:{uid} "" /home/{name} /bin/bash\n' for name, uid in PAIRS)
    assert ran == [("systemd-sysusers", "-", said)], "bo has no group, and munge the number of cy"
    assert ann.observe(board) == ann
    assert is_ours(board, "ann") and not is_ours(board, "bo")


def test_only_what_differs_is_changed(board: Board, root: Path, answers: Answers) -> None:
    """usermod refuses --uid and --home for somebody who is logged in, even the same ones; the
    one who is logged in is the account that wulfling itself uses."""
    adding(root, "passwd", "pi:x:2000:2000:Pi,,,:/home/pi:/bin/sh")
    observed = PI.observe(board)
    assert PI.difference(observed) == ("  shell: /bin/sh -> /bin/bash",)
    answers["usermod", "--shell", "/bin/bash", "pi"] = ""
    PI.converge(board, observed)


@pytest.mark.parametrize(
    "wanted",
    [
        Group(group="pi", gid=112),
        Group(group="video", gid=112),
        User(user="pi", uid=111, gid=2000, home="/home/pi"),
    ],
)
def test_a_number_that_another_one_has(board: Board, wanted: Group | User) -> None:
    with pytest.raises(WulflingError, match=r"gives number 11\d, which .* is to have, to munge"):
        wanted.observe(board)


def test_a_name_and_number_that_are_right_do_not_mind_a_twin(board: Board, root: Path) -> None:
    adding(root, "passwd", "pi:x:2000:2000::/home/pi:/bin/bash")
    adding(root, "passwd", "toor:x:2000:2000::/home/pi:/bin/bash")
    assert PI.observe(board) == PI


def test_whether_it_is_a_system_account_is_no_part_of_the_state(board: Board, root: Path) -> None:
    adding(root, "passwd", "wulf:x:970:970::/var/local/wulf:/bin/bash")
    wulf = User(user="wulf", uid=970, gid=970, home="/var/local/wulf", system=True)
    assert wulf.observe(board) == wulf
    assert "--system" in wulf.commands()[0]


def test_the_number_of_an_account_that_is_there_is_never_changed(tmp_path: Path) -> None:
    """usermod refuses it for somebody who is logged in, and files would be nobody's."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("pi:x:1000:1000::/home/pi:/bin/bash\n")
    with pytest.raises(WulflingError) as refused:
        PI.observe(Board(tmp_path))
    assert "uid: 1000" in refused.value.hint


CLOSE = ("usermod", "--expiredate", "1", "--shell", NOBODY_GETS_IN, "pi")


def closing(root: Path) -> str:
    (root / "etc/passwd").write_text(f"pi:x:2000:2000::/home/pi:{NOBODY_GETS_IN}\n")
    (root / "etc/shadow").write_text("pi:!:19000:0:99999:7::1:\n")
    return ""


def test_an_account_is_closed_and_stays(board: Board, root: Path, answers: Answers) -> None:
    closed = Closed(user="pi")
    assert closed.observe(board) == closed, "there is nobody to shut out"
    adding(root, "passwd", "pi:x:2000:2000::/home/pi:/bin/bash")
    adding(root, "shadow", "pi:!:19000:0:99999:7:::")
    board.forget("/etc/passwd")
    assert closed.observe(board) is None
    answers[CLOSE] = lambda: closing(root)
    closed.converge(board, None)
    assert closed.observe(board) == closed


def test_a_shell_without_an_expiry_closes_nothing(board: Board, root: Path) -> None:
    """sshd would still forward ports (sshd(8))."""
    closing(root)
    (root / "etc/shadow").write_text("pi:!:19000:0:99999:7:::\n")
    assert Closed(user="pi").observe(board) is None


def test_somebody_comes_back(
    board: Board, root: Path, answers: Answers, ran: list[tuple[str, ...]]
) -> None:
    """The shell is changed last: a run that is cut off in between is seen by the next."""
    closing(root)
    answers["usermod", "--expiredate", "", "pi"] = ""
    answers["usermod", "--shell", "/bin/bash", "pi"] = ""
    PI.converge(board, PI.observe(board))
    assert [words[1] for words in ran] == ["--expiredate", "--shell"]
