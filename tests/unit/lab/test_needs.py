"""What is said when a machine cannot run virtual boards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wulfling.errors import WulflingError
from wulfling.lab import needs
from wulfling.lab.needs import Machine

GOOD = Machine(
    architecture="x86_64",
    user="pi",
    uid=1000,
    has_program=lambda name: True,
    namespaces_work=lambda: True,
    subordinate_ids="other:100000:65536\npi:165536:65536\n",
    image_wanted=True,
)


def refusal(machine: Machine) -> WulflingError:
    """The error for this machine."""
    with pytest.raises(WulflingError) as caught:
        needs.check(machine)
    return caught.value


def test_a_good_machine_is_good() -> None:
    needs.check(GOOD)


def test_all_that_is_missing_is_named_at_once_with_one_command() -> None:
    missing = {"linux.uml", "mmdebstrap"}
    error = refusal(replace(GOOD, has_program=lambda name: name not in missing, subordinate_ids=""))
    assert "linux.uml, mmdebstrap" in error.message
    assert "/etc/subuid" in error.message
    assert error.hint.splitlines()[0] == (
        "sudo apt install --no-install-recommends mmdebstrap user-mode-linux"
    )
    assert error.hint.splitlines()[1].endswith(" pi")


def test_root_needs_neither_sudo_nor_subordinate_ids() -> None:
    root = replace(GOOD, user="root", uid=0, subordinate_ids="")
    needs.check(root)
    hint = refusal(replace(root, has_program=lambda name: name != "ethtool")).hint
    assert hint == "apt install --no-install-recommends ethtool"


def test_subordinate_ids_are_for_building_an_image_only() -> None:
    needs.check(replace(GOOD, subordinate_ids="", image_wanted=False))


@pytest.mark.parametrize("ranges", ["pi:100000:1000\n", "pi:100000\n", "# pi:1:65536\n", "pi:a:b"])
def test_a_range_that_is_too_small_or_broken_is_none(ranges: str) -> None:
    assert "/etc/subuid" in refusal(replace(GOOD, subordinate_ids=ranges)).message


def test_a_range_may_name_the_number_of_the_user() -> None:
    needs.check(replace(GOOD, subordinate_ids="1000:100000:65536\n"))


def test_closed_namespaces_come_with_the_switch_that_opens_them() -> None:
    error = refusal(replace(GOOD, namespaces_work=lambda: False))
    assert "user and network namespace" in error.message
    assert error.hint.startswith("sudo sysctl -w ")


def test_other_processors_are_refused() -> None:
    assert "aarch64" in refusal(replace(GOOD, architecture="aarch64")).message
