"""Finding the processes of a lab in /proc, and ending them and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wulfling.lab import processes
from wulfling.lab.processes import Process

LAB = Path("/state/labs/a")


def process(pid: int, *argv: str, group: int = 0) -> Process:
    """A process as /proc would tell of it."""
    return Process(pid, group or pid, 1, argv)


@pytest.mark.parametrize(
    ("argument", "mentioned"),
    [
        ("/state/labs/a", True),
        ("--lab=/state/labs/a", True),
        ("ubd0=/state/labs/a/boards/n1/disk.cow,/cache/image", True),
        ("ubd0=x,/state/labs/a/disk", True),
        ("/state/labs/ab", False),
        ("/state/labs/a-b/boards", False),
        ("/other/state/labs/a", False),
        ("", False),
    ],
)
def test_a_folder_is_mentioned_by_its_whole_path_only(argument: str, mentioned: bool) -> None:
    assert process(1, "linux.uml", argument).mentions(LAB) is mentioned


def test_the_group_of_a_board_belongs_to_the_lab_and_a_pager_does_not() -> None:
    everyone = (
        process(10, "/usr/bin/linux.uml", f"ubd0={LAB}/boards/n1/disk.cow,/i"),
        process(11, "uml-userspace", group=10),
        process(20, "less", f"{LAB}/boards/n1/console.log"),
        process(30, "/usr/bin/linux.uml", "ubd0=/state/labs/ab/boards/n1/disk.cow,/i"),
        process(40, "python3", "-I", "-S", "/lib/relay.py", f"--lab={LAB}"),
    )
    assert [p.pid for p in processes.members(everyone, LAB)] == [10, 11, 40]


def test_our_own_group_is_never_taken() -> None:
    mine = process(5, "linux.uml", str(LAB), group=os.getpgrp())
    assert processes.members((mine,), LAB) == ()


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a board, with a child that only shares its group."""
    program = tmp_path / "linux.uml"
    shutil.copy("/bin/sh", program)
    words = [str(program), "-c", "sleep 60 & sleep 60", "sh", f"ubd0={tmp_path}/disk.cow,/i"]
    with subprocess.Popen(words, start_new_session=True) as child:
        yield child
        child.kill()


def test_ending_a_folder_ends_whole_groups_and_waits(
    stand_in: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    processes.adopt(stand_in.poll)
    deadline = time.monotonic() + 10
    while len(processes.members(processes.own_processes(), tmp_path)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert processes.end(tmp_path)
    assert processes.members(processes.own_processes(), tmp_path) == ()
    assert not processes.end(tmp_path)


def test_a_process_that_took_over_a_number_is_another_one() -> None:
    me = next(p for p in processes.own_processes() if p.pid == os.getpid())
    assert processes.is_alive(me)
    assert not processes.is_alive(Process(me.pid, me.group, me.started - 1, me.argv))


def test_zombies_do_not_count() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.pid not in {p.pid for p in processes.own_processes()}
    child.wait()
