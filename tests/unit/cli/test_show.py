"""How plans, findings and tables look, to the letter."""

from __future__ import annotations

import json

import click
import pytest

from wulfling.cli import show
from wulfling.model.finding import Finding, Verdict
from wulfling.model.plan import Plan, Status, Step
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages

HOSTS = (
    "--- a/etc/hosts",
    "+++ b/etc/hosts",
    "@@ -1 +1 @@",
    "-10.0.0.9 one",
    "+10.0.0.1 one",
)


def plain(*steps: Step, **unreachable: str) -> str:
    lines = show.plan_lines(Plan(steps, unreachable))
    return click.unstyle("\n".join(lines))


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step("one", "block:/etc/hosts", Status.OK), ""),
        (
            Step("one", "block:/etc/hosts", Status.CHANGE, HOSTS),
            """\
one: 1 to change
  ~ block:/etc/hosts
      --- a/etc/hosts
      +++ b/etc/hosts
      @@ -1 +1 @@
      -10.0.0.9 one
      +10.0.0.1 one""",
        ),
        (
            Step("one", "file:/x", Status.CHANGE, ("+ file:/x",)),
            "one: 1 to change\n  + file:/x",
        ),
        (
            Step("one", "file:/x", Status.CHANGE, ("- file:/x",)),
            "one: 1 to change\n  - file:/x",
        ),
        (
            Step("one", "packages:apt", Status.CHANGE, ("+ chrony", "+ dbus")),
            "one: 1 to change\n  ~ packages:apt\n      + chrony\n      + dbus",
        ),
        (
            Step("one", "file:/x", Status.CHANGED, ("+ file:/x",), 12),
            "one: 1 changed\n  + file:/x",
        ),
        (
            Step("one", "kernel:/boot/cmdline.txt", Status.CHANGED, (), 3, "needs a reboot"),
            "one: 1 changed\n  ~ kernel:/boot/cmdline.txt  (needs a reboot)",
        ),
        (
            Step("one", "service:slurmd", Status.PENDING, message="after packages:apt"),
            "one: 1 pending\n  ? service:slurmd  (after packages:apt)",
        ),
        (
            Step("one", "file:/x", Status.FAILED, (), 1, "disk full\nwulfling node shell one"),
            "one: 1 failed\n  ! file:/x\n      disk full\n      wulfling node shell one",
        ),
        (
            Step("one", "file:/y", Status.SKIPPED, message="an earlier step failed"),
            "one: 1 skipped\n  . file:/y  (an earlier step failed)",
        ),
    ],
)
def test_each_status(step: Step, text: str) -> None:
    assert plain(step) == text


@pytest.mark.parametrize("status", [Status.FAILED, Status.PENDING, Status.SKIPPED])
def test_what_was_not_done_does_not_look_done(status: Status) -> None:
    """A ``+`` in front of it would say that the file is there now."""
    sign = show.SIGNS[status][0]
    step = Step("one", "file:/x", status, ("+ file:/x",), message="why")
    assert f"  {sign} file:/x" in plain(step)


def test_nodes_in_order_with_their_counts_and_who_is_away() -> None:
    text = plain(
        Step("one", "file:/a", Status.OK),
        Step("one", "file:/b", Status.CHANGE, ("+ file:/b",)),
        Step("one", "file:/c", Status.PENDING, message="after file:/b"),
        Step("two", "file:/a", Status.OK),
        Step("three", "file:/a", Status.CHANGE, ("+ file:/a",)),
        four="10.0.0.4: No route to host",
    )
    assert (
        text
        == """\
one: 1 to change, 1 pending
  + file:/b
  ? file:/c  (after file:/b)
three: 1 to change
  + file:/a
four: unreachable: 10.0.0.4: No route to host"""
    )


def test_korean_in_a_difference_stays_korean() -> None:
    was = File(path="/etc/motd", content="안녕\n")
    want = File(path="/etc/motd", content="어서 오세요\n")
    text = plain(Step("one", want.key, Status.CHANGE, want.difference(was)))
    assert text.endswith("      -안녕\n      +어서 오세요")
    step = Step("one", want.key, Status.CHANGE, want.difference(was))
    assert "+어서 오세요" in show.as_json(show.plan_json(Plan((step,), {})))


@pytest.mark.parametrize("before", [None, "old key old key old key"])
def test_a_secret_is_never_shown(before: str | None) -> None:
    path = "/etc/munge/munge.key"
    want = File(path=path, content="hush " * 20, mode=0o400, secret=True)
    was = None if before is None else File(path=path, content=before, secret=True)
    step = Step("one", want.key, Status.CHANGE, want.difference(was))
    for text in (plain(step), show.as_json(show.plan_json(Plan((step,), {})))):
        assert "hush" not in text
        assert "old key" not in text
        assert ("sha256 " in text) is (before is not None)


def test_legible_without_colour() -> None:
    coloured = "".join(show.step_lines(Step("one", "file:/x", Status.CHANGE, ("+ file:/x",))))
    assert "\x1b[32m" in coloured
    assert click.unstyle(coloured) == "  + file:/x"


def test_json_of_a_plan() -> None:
    step = Step("one", "packages:apt", Status.CHANGE, Packages(names=("a",)).difference(None), 4)
    plan = Plan((step, Step("one", "file:/x", Status.OK)), {"two": "off"})
    told = json.loads(show.as_json(show.plan_json(plan, {"three": "sudo asks for a password"})))
    assert told["changes"] == 1
    assert told["unreachable"] == {"two": "off"}
    assert told["errors"] == {"three": "sudo asks for a password"}
    assert told["fingerprint"] == plan.fingerprint
    assert [s["status"] for s in told["steps"]] == ["change", "ok"]


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (Finding("one", "clock", Verdict.GOOD, "fine"), "ok   one: clock: fine"),
        (
            Finding("one", "clock", Verdict.BAD, "off", "chronyc sources"),
            "BAD  one: clock: off\n       hint: chronyc sources",
        ),
        (
            Finding("one", "clock", Verdict.UNKNOWN, "No route to host", "is it on?"),
            "?    one: clock: No route to host\n       hint: is it on?",
        ),
    ],
)
def test_findings(finding: Finding, text: str) -> None:
    assert click.unstyle(show.finding_line(finding)) == text


def test_a_table() -> None:
    lines = show.table(("NODE", "STATE"), [("rpnode01", "idle"), ("f", "")])
    assert list(lines) == ["NODE      STATE", "rpnode01  idle", "f"]


def test_a_table_counts_korean_letters_as_the_two_columns_they_take() -> None:
    lines = list(show.table(("STATE", "UP"), [("down (점검)", "1"), ("idle", "2")]))
    assert lines == ["STATE        UP", "down (점검)  1", "idle         2"]


def test_an_empty_table_is_its_header() -> None:
    assert list(show.table(("A", "B"), [])) == ["A  B"]
