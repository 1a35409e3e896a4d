"""What scontrol prints is read as several releases write it."""

from __future__ import annotations

import pytest

from wulfling.day2.scheduler import NodeState, parse_nodes

# Slurm 22.05.8 and 24.11.5 on virtual boards, shortened.
TEXT = (
    "NodeName=rpnode01 Arch=x86_64 CoresPerSocket=4  CPUAlloc=0 CPUEfctv=4 State=IDLE "
    "ThreadsPerCore=1 TmpDisk=0 Weight=1\n"
    "NodeName=rpnode02 CoresPerSocket=4 State=DOWN*+DRAIN ThreadsPerCore=1 Comment=(null)"
    " Reason=new fan, says kim [root@2026-11-24T19:00:00]\n"
    "NodeName=rpnode03 Arch=x86_64 State=MIXED+DRAIN+NOT_RESPONDING Reason=wulfling reboot"
    " (kim@laptop) [slurm@2026-11-24T19:00:00] Comment=x\n"
)


def test_states_and_reasons() -> None:
    found = parse_nodes(TEXT)
    assert list(found) == ["rpnode01", "rpnode02", "rpnode03"]
    assert (found["rpnode01"].answers, found["rpnode01"].drains) == (True, False)
    assert found["rpnode02"].reason == "new fan, says kim"
    assert found["rpnode03"].reason == "wulfling reboot (kim@laptop)"


@pytest.mark.parametrize(
    ("state", "drains", "down", "busy", "answers"),
    [
        ("IDLE", False, False, False, True),
        ("IDLE+DRAIN", True, False, False, True),
        ("ALLOCATED+DRAIN", True, False, True, True),
        ("IDLE+COMPLETING+DRAIN", True, False, True, True),
        ("DOWN*", False, True, False, False),
        ("DOWN*+DRAIN", True, True, False, False),
        ("IDLE*", False, False, False, False),
        ("UNKNOWN", False, True, False, False),
        ("MIXED+NOT_RESPONDING", False, False, True, False),
    ],
)
def test_words(state: str, drains: bool, down: bool, busy: bool, answers: bool) -> None:
    node = NodeState("n", state)
    assert (node.drains, node.down, node.busy, node.answers) == (drains, down, busy, answers)
