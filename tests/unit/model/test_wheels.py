"""Pins: one for each Python and architecture that a board may have."""

from __future__ import annotations

import re

import pytest

from wulfling.model.wheels import WHEELS, pinned


@pytest.mark.parametrize("python", ["3.11", "3.11.2", "3.11.2+", "3.11.0rc1"])
def test_found_by_the_first_two_numbers(python: str) -> None:
    pin = pinned("mpi4py", python, "arm64")
    assert pin is not None
    assert (pin.python, pin.arch) == ("3.11", "arm64")


@pytest.mark.parametrize(
    ("python", "arch"), [("3.9.2", "arm64"), ("3.1", "amd64"), ("3.11.2", "armhf"), ("", "")]
)
def test_no_pin_for_what_pypi_has_not(python: str, arch: str) -> None:
    assert pinned("mpi4py", python, arch) is None


@pytest.mark.parametrize("python", ["3.10.12", "3.11.2", "3.13", "3.99"])
def test_mpich_is_the_same_file_for_every_python(python: str) -> None:
    pin = pinned("mpich", python, "arm64")
    assert pin is not None
    assert pin.arch == "arm64"
    assert pin is pinned("mpich", "3.11", "arm64")
    assert pinned("mpich", python, "armhf") is None


def test_another_distribution() -> None:
    assert pinned("numpy", "3.11", "arm64") is None


def test_each_pin_is_of_its_own_file() -> None:
    assert len({pin.sha256 for pin in WHEELS}) == len(WHEELS)
    assert len({(p.distribution, p.python, p.arch) for p in WHEELS}) == len(WHEELS)
    assert all(re.fullmatch("[0-9a-f]{64}", pin.sha256) for pin in WHEELS)
