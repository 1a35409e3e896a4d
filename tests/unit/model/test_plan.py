"""Plans as data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from wulfling.model.plan import Plan, Status, Step

STEPS = tuple(Step("one", f"file:/{status.value}", status, ("+ x",), 5) for status in Status)
PLAN = Plan(STEPS, {})


def test_changes_are_what_apply_would_do_did_or_could_not_do_yet() -> None:
    kinds = {step.status for step in PLAN.changes}
    assert kinds == {Status.CHANGE, Status.CHANGED, Status.PENDING}


def test_the_fingerprint_is_of_the_changes_and_of_nothing_else() -> None:
    assert len(PLAN.fingerprint) == 12
    int(PLAN.fingerprint, 16)
    slower = Plan(tuple(replace(step, ms=99, message="slow") for step in STEPS), {"two": "off"})
    assert slower.fingerprint == PLAN.fingerprint
    other = Plan((*STEPS, Step("one", "file:/new", Status.CHANGE)), {})
    assert other.fingerprint != PLAN.fingerprint


def test_what_a_plan_foresees_has_the_fingerprint_of_what_apply_then_does() -> None:
    foreseen = Plan((Step("one", "file:/x", Status.CHANGE, ("+ x",)),), {})
    done = Plan((Step("one", "file:/x", Status.CHANGED, ("+ x",), 7),), {})
    assert foreseen.fingerprint == done.fingerprint


@pytest.mark.parametrize("step", STEPS)
def test_a_step_as_json_has_the_names_of_its_fields(step: Step) -> None:
    told = json.loads(json.dumps(step.as_json()))
    assert told == {
        "node": "one",
        "key": step.key,
        "status": step.status.value,
        "diff": ["+ x"],
        "ms": 5,
        "message": "",
    }
