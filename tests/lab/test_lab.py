"""Real virtual boards through their whole life. In file order; each test goes on from the last."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.conftest import ADMIN, Lab

from wulfling import lab as labs
from wulfling.errors import WulflingError
from wulfling.lab import packages, processes

pytestmark = pytest.mark.lab

OFFLINE = """
import sys
from ipaddress import IPv4Address, IPv4Network
from wulfling.lab import BoardSpec, LabSpec, up
boards = tuple(BoardSpec(f"n{n}", IPv4Address(f"10.0.0.{n}"), 192) for n in (1, 2))
print("begun", flush=True)
up(LabSpec(sys.argv[1], IPv4Network("10.0.0.0/24"), boards, "keeper", tuple(sys.argv[2:])), print)
"""


def test_up_returns_when_every_board_answers(lab: Lab) -> None:
    labs.up(lab.spec, lab.say)
    boards = labs.status(lab.name).boards
    assert [(b.name, b.running, b.answering) for b in boards] == [
        ("n1", True, True),
        ("n2", True, True),
    ]
    assert lab.name in {found.name for found in labs.list_labs()}


def test_a_board_is_a_fresh_debian_with_an_administrator(lab: Lab) -> None:
    said = lab.ssh(
        "n1", "hostname; id -un; sudo -n id -u; cat /etc/hosts; . /etc/os-release; echo $ID"
    )
    lines = said.splitlines()
    assert lines[:3] == ["n1", ADMIN, "0"]
    assert lines[-1] == "debian"
    assert "127.0.1.1\tn1" in lines
    assert not lab.ssh("n1", "command -v slurmd munged mpicc", check=False)


def test_a_board_has_booted_without_a_failed_unit(lab: Lab) -> None:
    assert lab.ssh("n1", "systemctl is-system-running --wait") == "running"


def test_a_disk_that_nobody_reads_is_read_all_the_same(lab: Lab) -> None:
    """Else an answer of the disk that user-mode-linux overlooked is overlooked for ever."""
    said = lab.ssh("n1", "cat /sys/block/ubda/stat; sleep 10; cat /sys/block/ubda/stat")
    before, after = (int(line.split()[0]) for line in said.splitlines())
    assert after - before >= 10


def test_boards_have_identities_of_their_own(lab: Lab) -> None:
    ids = {lab.ssh(board, "cat /etc/machine-id") for board in ("n1", "n2")}
    assert len(ids) == 2
    assert len({labs.host_key(lab.name, board) for board in ("n1", "n2")}) == 2


def test_boards_reach_each_other_and_nothing_else(lab: Lab) -> None:
    lab.ssh("n1", "ping -qc2 -W2 10.0.0.2")
    assert "unreachable" in lab.ssh("n1", "ping -c1 -W5 192.0.2.1 2>&1 || true").lower()


def test_modules_of_file_servers_and_networks_are_there(lab: Lab) -> None:
    lab.ssh("n1", "sudo modprobe -a nfs nfsd fuse dummy tun veth br_netfilter sch_netem drbd")


def test_boards_get_packages_from_the_cache(lab: Lab) -> None:
    lab.ssh("n1", "sudo apt-get -qq update && sudo apt-get -qq -y install tree >&2")
    assert "tree v" in lab.ssh("n1", "tree --version")


def test_dial_is_a_stream_to_a_board(lab: Lab) -> None:
    with labs.dial(lab.name, "10.0.0.2", 22) as plug:
        assert isinstance(plug, socket.socket)
        assert plug.recv(4) == b"SSH-"
    with pytest.raises(ConnectionError, match="No route to host"):
        labs.dial(lab.name, "10.0.0.99", 22)


def test_a_running_lab_is_left_alone(lab: Lab) -> None:
    before = labs.status(lab.name)
    labs.up(lab.spec, lab.say)
    after = labs.status(lab.name)
    assert [b.pid for b in before.boards] == [b.pid for b in after.boards]
    assert before.holder == after.holder


def test_the_same_network_may_be_in_two_labs_at_once(lab: Lab, own_lab: Callable[..., Lab]) -> None:
    other = own_lab("test-lab-other", 160)
    labs.up(other.spec, other.say)
    assert other.ssh("n1", "cat /etc/machine-id") != lab.ssh("n1", "cat /etc/machine-id")
    labs.destroy(other.name, other.say)
    assert other.leftovers() == []
    assert all(board.answering for board in labs.status(lab.name).boards)


def test_a_pulled_cable_is_silence_and_a_plugged_one_is_not(lab: Lab) -> None:
    labs.plug(lab.name, ["n2"], plugged=False)
    assert not labs.status(lab.name).boards[1].answering
    assert labs.status(lab.name).boards[1].running
    labs.plug(lab.name, ["n2"], plugged=True)
    assert labs.status(lab.name).boards[1].answering


def test_a_relay_that_dies_comes_back_into_the_same_network(lab: Lab) -> None:
    status = labs.status(lab.name)
    subprocess.run(["kill", "-9", str(status.holder)], check=True)
    labs.up(lab.spec, lab.say)
    again = labs.status(lab.name)
    assert again.holder != status.holder
    assert [b.pid for b in again.boards] == [b.pid for b in status.boards]
    lab.ssh("n1", "true")


def test_a_reboot_from_inside_is_a_reboot(lab: Lab) -> None:
    first = lab.ssh("n2", "cat /proc/sys/kernel/random/boot_id")
    lab.ssh("n2", "sudo systemctl reboot", check=False)
    deadline = time.monotonic() + 60
    second = ""
    while second in ("", first) and time.monotonic() < deadline:
        time.sleep(0.5)
        second = lab.ssh("n2", "cat /proc/sys/kernel/random/boot_id", check=False)
    assert second not in ("", first)


def test_down_is_clean_and_up_brings_the_same_disks_back(lab: Lab) -> None:
    lab.ssh("n1", f"echo kept >{'~'}/file")
    key = labs.host_key(lab.name, "n1")
    labs.down(lab.name, lab.say, [["n2"], ["n1"]])
    assert not [p for p in processes.own_processes() if p.mentions(lab.files.folder)]
    assert not lab.files.runtime.exists()
    assert not any(board.running for board in labs.status(lab.name).boards)
    labs.up(lab.spec, lab.say)
    assert lab.ssh("n1", "cat ~/file") == "kept"
    assert labs.host_key(lab.name, "n1") == key
    assert "recover" not in lab.ssh("n1", "sudo dmesg | grep EXT4 || true")


def test_what_the_board_changed_in_etc_stays_changed(lab: Lab) -> None:
    lab.ssh("n1", "sudo sed -i /127.0.1.1/d /etc/hosts; sync")
    labs.cut(lab.name, ["n1"])
    labs.start(lab.name, ["n1"], lab.say)
    assert "127.0.1.1" not in lab.ssh("n1", "cat /etc/hosts")


def test_a_board_that_was_given_another_host_key_keeps_it(lab: Lab) -> None:
    """Also when the lab has something new for it: `rotate ssh` changes both, and the old key, which
    somebody may have, came back with the next boot."""
    public = "/etc/ssh/ssh_host_ed25519_key.pub"
    lab.ssh("n1", f"sudo sed -i 's/$/ another/' {public}; sync")
    labs.cut(lab.name, ["n1"])
    more = f"{lab.spec.admin_keys[0]} more"
    labs.up(replace(lab.spec, admin_keys=(*lab.spec.admin_keys, more)), lab.say)
    assert lab.ssh("n1", "tail -n 1 ~/.ssh/authorized_keys") == more
    assert lab.ssh("n1", f"cat {public}").endswith(" another")


def test_a_power_cut_takes_one_board_at_once_and_it_comes_back(lab: Lab) -> None:
    lab.ssh("n1", "echo synced >~/synced; sync")
    before = {board.name: board.pid for board in labs.status(lab.name).boards}
    labs.cut(lab.name, ["n1"])
    boards = {board.name: board for board in labs.status(lab.name).boards}
    assert not boards["n1"].running
    assert boards["n2"].pid == before["n2"]
    own = lab.files.board("n1").folder
    assert not [p for p in processes.own_processes() if p.mentions(own)]
    labs.start(lab.name, ["n1"], lab.say)
    assert lab.ssh("n1", "cat ~/synced") == "synced"
    assert "recovery complete" in lab.ssh("n1", "sudo dmesg")


def test_a_board_starts_while_another_command_waits_for_a_slow_one(lab: Lab) -> None:
    labs.cut(lab.name, ["n1", "n2"])
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(labs.start, lab.name, ["n1"], lab.say)
        while not (pid := labs.status(lab.name).boards[0].pid):
            assert not slow.done(), slow.result()
        os.kill(pid, signal.SIGSTOP)
        try:
            labs.start(lab.name, ["n2"], lab.say)
            assert not slow.done()
        finally:
            os.kill(pid, signal.SIGCONT)
        slow.result()
    assert all(board.answering for board in labs.status(lab.name).boards)


def test_up_starts_only_the_board_that_is_missing(lab: Lab) -> None:
    labs.cut(lab.name, ["n2"])
    labs.up(lab.spec, lab.say)
    assert all(board.answering for board in labs.status(lab.name).boards)


def test_the_package_cache_comes_back_when_it_died(lab: Lab) -> None:
    processes.end(packages.folder())
    labs.up(lab.spec, lab.say)
    lab.ssh("n1", "sudo apt-get -qq update")


def test_destroy_leaves_nothing_and_may_be_said_twice(lab: Lab) -> None:
    labs.destroy(lab.name, lab.say)
    assert lab.leftovers() == []
    labs.destroy(lab.name, lab.say)
    assert lab.name not in {found.name for found in labs.list_labs()}


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.6, 1.0, 3.0, random.uniform(0, 5)])
def test_destroy_cleans_up_after_an_up_that_was_killed(
    own_lab: Callable[..., Lab], tmp_path: Path, seconds: float
) -> None:
    lab = own_lab("test-lab-killed", 192, 192)
    words = [sys.executable, "-c", OFFLINE, lab.name]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
    labs.destroy(lab.name, lab.say)
    assert lab.leftovers() == []


def test_up_goes_on_where_a_killed_one_ended(own_lab: Callable[..., Lab]) -> None:
    lab = own_lab("test-lab-killed", 192, 192)
    # The same keys as below: a board that already runs is left alone.
    words = [sys.executable, "-c", OFFLINE, lab.name, *lab.spec.admin_keys]
    for seconds in (0.3, 0.6, 2.0):
        with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(seconds)
            child.send_signal(signal.SIGKILL)
    labs.up(lab.spec, lab.say)
    assert lab.ssh("n2", "hostname") == "n2"


def test_a_board_that_cannot_boot_shows_the_end_of_its_console(own_lab: Callable[..., Lab]) -> None:
    lab = own_lab("test-lab-small", 16)
    with pytest.raises(WulflingError) as caught:
        labs.up(lab.spec, lab.say)
    assert caught.value.where == "n1"
    assert caught.value.hint == "wulfling lab console n1"
    assert "the end of its console" in caught.value.message
    assert labs.console_path(lab.name, "n1").is_file()


def test_a_broken_disk_shows_the_end_of_the_console(own_lab: Callable[..., Lab]) -> None:
    lab = own_lab("test-lab-broken", 160)
    labs.up(lab.spec, lab.say)
    labs.down(lab.name, lab.say)
    lab.files.board("n1").disk.write_bytes(b"OOOM" + b"\0" * 8192)
    with pytest.raises(WulflingError, match="the end of its console"):
        labs.up(lab.spec, lab.say)
