"""What a lab is asked to be: checks, the file that keeps it, and the lock."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from wulfling.errors import Locked, WulflingError
from wulfling.lab import record
from wulfling.lab.places import LabFiles
from wulfling.lab.record import BoardSpec, LabSpec


def lab_spec(*boards: tuple[str, str], network: str = "10.0.0.0/24") -> LabSpec:
    """A lab with these boards, of 192 MB each."""
    return LabSpec(
        name="guide",
        network=IPv4Network(network),
        boards=tuple(BoardSpec(name, IPv4Address(address), 192) for name, address in boards),
        admin="admin",
        admin_keys=("ssh-ed25519 AAAA me",),
    )


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (lab_spec(("n1", "10.0.0.1"), ("n1", "10.0.0.2")), "the name n1"),
        (lab_spec(("n1", "10.0.0.1"), ("n2", "10.0.0.1")), "the address 10.0.0.1"),
        (lab_spec(("n1", "10.0.1.1")), "not in 10.0.0.0/24"),
        (lab_spec(("n1", "10.0.0.0")), "no machine can have"),
        (lab_spec(("n1", "10.0.0.255")), "no machine can have"),
        (lab_spec(("n1", "10.0.0.254")), "belongs to the lab itself"),
        (lab_spec(("n1", "10.0.0.1"), network="10.0.0.0/30"), "too small"),
    ],
)
def test_what_cannot_work_is_refused(spec: LabSpec, words: str) -> None:
    with pytest.raises(WulflingError, match=words):
        record.check(spec)


def test_the_lab_itself_has_the_last_address_of_its_network() -> None:
    assert str(lab_spec().bridge_address) == "10.0.0.254"
    assert str(lab_spec(network="192.168.0.0/20").bridge_address) == "192.168.15.254"


def test_a_record_reads_back_as_it_was_written_and_keeps_its_token(tmp_path: Path) -> None:
    files = LabFiles(tmp_path)
    spec = lab_spec(("n1", "10.0.0.1"), ("n2", "10.0.0.2"))
    first = record.keep(files, spec, ("Acquire::Check-Date false",))
    assert record.load(files) == first
    newer = replace(spec, boards=(replace(spec.boards[0], release="trixie"),))
    assert record.keep(files, newer, ()).spec.boards[0].release == "trixie"
    assert record.load(files).spec == newer
    again = record.keep(files, lab_spec(("n1", "10.0.0.1")), ())
    assert again.token == first.token
    assert record.load(files).spec.boards == spec.boards[:1]


def test_an_unknown_lab_and_an_unknown_board_are_named(tmp_path: Path) -> None:
    with pytest.raises(WulflingError, match="there is no lab none"):
        record.load(LabFiles(tmp_path / "none"))
    with pytest.raises(WulflingError, match="has no board n9") as caught:
        lab_spec(("n1", "10.0.0.1")).board("n9")
    assert "n1" in caught.value.hint


def test_a_broken_record_says_what_to_do(tmp_path: Path) -> None:
    files = LabFiles(tmp_path)
    files.record.write_text("{")
    with pytest.raises(WulflingError) as caught:
        record.find(files)
    assert "wulfling lab destroy" in caught.value.hint


def test_the_lock_is_for_one_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with record.held(path, "lab x"):
        with pytest.raises(Locked, match="lab x"), record.held(path, "lab x", patience=0.1):
            pass
        assert path.exists()
    assert not path.exists()


def test_many_who_want_the_lock_get_it_one_after_the_other(tmp_path: Path) -> None:
    inside: list[int] = []
    overlaps: list[int] = []

    def change() -> None:
        for _ in range(20):
            with record.held(tmp_path / "lock", "x"):
                inside.append(1)
                if len(inside) > 1:
                    overlaps.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overlaps
    assert os.listdir(tmp_path) == []
