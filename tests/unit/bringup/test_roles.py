"""Which board should be what: the boards of the guides, and mixes that Slurm would refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.measured import PI

from wulfling.bringup.roles import Measured, suggest
from wulfling.model.devices import Devices, Disk, Kind, Link

SYSTEMS = {"12": "debian", "13": "debian", "22.04": "ubuntu", "24.04": "ubuntu", "9": "alpine"}
SD = Disk("mmcblk0", Kind.SD, 32, root=True)
SSD = Disk("sda", Kind.SSD, 500, usb=True)


def board(
    name: str,
    memory: int,
    *disks: Disk,
    version: str = "12",
    cores: int = 4,
    mbit: int = 1000,
    wifi: bool = False,
) -> Measured:
    hardware = replace(
        PI, memory_mb=memory, cores=cores, os_id=SYSTEMS[version], os_version=version
    )
    link = Link("wlan0", "", 0, wireless=True) if wifi else Link("eth0", "", mbit)
    return Measured(name, hardware, Devices(disks or (SD,), (link,)))


def roles(*boards: Measured) -> dict[str, str]:
    return {s.name: "+".join(role.value for role in s.roles) for s in suggest(boards)}


def test_guide_002() -> None:
    """Two Pi 4 with 2 GB and a Pi 3 with 1 GB: head and compute, compute, storage."""
    boards = [board("small", 920, mbit=300), board("one", 1850), board("two", 1848)]
    assert roles(*boards) == {"small": "storage", "one": "head+compute", "two": "compute"}
    why = {s.name: s.why for s in suggest(boards)}
    assert (
        why["one"]
        == "4 cores, 1850 MiB, 1000 Mbit/s, Debian 12, its Slurm 22.05 understands 3 of 3"
    )
    assert "SD card of 32 GB is slow for many writers" in why["small"]


def test_guide_000_the_best_board_leads_unless_its_slurm_is_too_old() -> None:
    """A VIM4 with Ubuntu 22.04 has the most memory, and Slurm 21.08 (trap 7)."""
    vim = board("vim4", 7800, version="22.04", cores=8)
    found = suggest([vim, board("a", 1850), board("b", 1850)])
    assert [s.roles[0].value for s in found] == ["storage", "head", "compute"]
    assert "21.08 cannot hold jobs to their limits" in found[0].why


def test_the_newest_slurm_leads_and_what_it_refuses_stays_out() -> None:
    new = [board(f"t{n}", 1850, version="13") for n in (1, 2, 3)]
    boards = [board("old", 8000), board("older", 7000), *new]
    assert roles(*boards) == {
        "old": "",
        "older": "storage",
        "t1": "head",
        "t2": "compute",
        "t3": "compute",
    }
    assert "its Slurm 22.05 does not go with the head's 24.11: install" in suggest(boards)[0].why


def test_files_lie_on_the_disk_that_is_no_card() -> None:
    boards = [board("a", 1850), board("b", 1850, SD, SSD), board("c", 1850)]
    assert roles(*boards) == {"a": "head+compute", "b": "storage", "c": "compute"}
    assert "the only disk that is no card: USB SSD of 500 GB" in suggest(boards)[1].why


@pytest.mark.parametrize("count", [1, 2])
def test_few_boards_have_no_file_server_to_spare(count: int) -> None:
    boards = [board(f"n{n}", 1850) for n in range(count)]
    assert list(roles(*boards).values()) == ["head+compute", "compute"][:count]
    assert "files lie here as well, on its SD card of 32 GB" in suggest(boards)[0].why


def test_with_many_boards_the_head_only_leads() -> None:
    found = roles(*(board(f"n{n}", 1850) for n in range(8)))
    assert list(found.values()).count("compute") == 6
    assert found["n0"] == "head"


def test_a_cable_before_memory() -> None:
    boards = [board("air", 7800, wifi=True), board("wire", 1850)]
    assert roles(*boards) == {"air": "compute", "wire": "head+compute"}
    assert suggest([board("air", 7800, wifi=True)])[0].why.count("a cable is better") == 1


def test_an_unknown_system_does_not_lead() -> None:
    assert roles(board("x", 8000, version="9"), board("y", 1850))["y"] == "head+compute"
    assert "no release of Slurm is known" in suggest([board("x", 8000, version="9")])[0].why


def test_nobody() -> None:
    assert suggest([]) == ()
