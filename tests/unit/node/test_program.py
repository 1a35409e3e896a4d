"""The node program from its first word to its last, on a board in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from wulfling.model.resource import Resource
from wulfling.node.board import Board
from wulfling.node.resources import KINDS
from wulfling.node.resources.block import Block
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.kernel import KernelFlags
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import PROPERTIES, Service
from wulfling.node.resources.slurm import SHOW, AccountingCluster
from wulfling.node.resources.wheel import Wheel

if TYPE_CHECKING:
    from tests.unit.node.conftest import Answers, Talk

    Run = Callable[..., Talk]

CONF = File(path="/etc/chrony/wulfling.conf", content="makestep 1 -1\n")
DECLARED: tuple[Resource, ...] = (
    Block(path="/etc/hosts", text="10.0.0.1 rpnode01\n"),
    Directory(path="/etc/chrony"),
    CONF,
    Service(unit="chrony.service", configured="abc", watches=(CONF.key,)),
)


@pytest.fixture
def chrony(answers: Answers) -> Answers:
    """A board with chrony, enabled and running."""
    state = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n"
    for units in (("chrony.service", "chrony.service"), ("chrony.service",)):
        words = ("systemctl", "show", "--property", PROPERTIES, *dict.fromkeys(units))
        answers[words] = f"Id=chrony.service\nNames=chrony.service\n{state}"
    answers["systemctl", "restart", "chrony.service"] = ""
    return answers


def tree(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below the root, with the time of its last change."""
    return {
        str(place): (
            place.lstat().st_mtime_ns,
            place.lstat().st_ino,
            place.read_bytes() if place.is_file() else b"",
        )
        for place in root.rglob("*")
    }


def statuses(one: Talk) -> list[str]:
    return list(one.statuses.values())


def test_a_plan_tells_every_step_and_writes_nothing(run: Run, chrony: Answers, root: Path) -> None:
    before = tree(root)
    plan = run("plan", *DECLARED)
    assert tree(root) == before
    assert statuses(plan) == ["change"] * 4
    assert plan.steps["block:/etc/hosts"]["diff"][0] == "--- a/etc/hosts"
    assert [event["event"] for event in plan.events] == ["hello", *["step"] * 4, "done"]
    assert plan.code == 0


def test_an_apply_and_all_that_follows(run: Run, chrony: Answers, root: Path) -> None:
    first = run("apply", *DECLARED)
    assert statuses(first) == ["changed"] * 4
    begun = [event["key"] for event in first.events if event["event"] == "begin"]
    assert begun == [resource.key for resource in DECLARED]
    assert all(isinstance(step["ms"], int) for step in first.steps.values())

    before = {name: what for name, what in tree(root).items() if "/run" not in name}
    second = run("apply", *DECLARED)
    assert statuses(second) == ["ok"] * 4
    assert [event["event"] for event in second.events] == ["hello", *["step"] * 4, "done"]
    assert {name: what for name, what in tree(root).items() if "/run" not in name} == before

    assert statuses(run("plan", *DECLARED)) == ["ok"] * 4
    assert (root / "var/lib/wulfling/journal").read_text() == ""


def test_a_daemon_is_restarted_when_what_it_reads_changes(
    run: Run, chrony: Answers, ran: list[tuple[str, ...]]
) -> None:
    run("apply", *DECLARED)
    new = File(path=CONF.path, content="makestep 1 3\n")
    service = Service(unit="chrony.service", configured="xyz", watches=(CONF.key,))
    assert statuses(run("plan", Directory(path="/etc/chrony"), new, service)) == [
        "change",  # the block is no longer declared
        "ok",
        "change",
        "change",
    ]
    ran.clear()
    run("apply", *DECLARED[:2], new, service)
    assert ("systemctl", "restart", "chrony.service") in ran


def test_slow_questions_are_asked_before_they_are_needed(
    run: Run, chrony: Answers, expected: list[str]
) -> None:
    """And their answers do not outlive a change."""
    chrony[SHOW] = "root|default root account|root|c|||\n"
    everything = (*DECLARED, AccountingCluster(cluster="c"))
    run("plan", CONF)
    assert expected == ["nothing"]
    expected.clear()
    run("apply", *everything)
    assert expected == ["sacctmgr", "systemctl", *["nothing"] * (len(DECLARED) + 1)]
    expected.clear()
    run("plan", *everything)
    assert expected == ["sacctmgr", "systemctl", "nothing"]


def test_drift_in_a_watched_file_shows_the_restart_in_the_plan(
    run: Run, chrony: Answers, root: Path
) -> None:
    """The digest of what is declared is that of the last start; the file on the board is not."""
    run("apply", *DECLARED)
    (root / "etc/chrony/wulfling.conf").write_text("by hand\n")
    plan = run("plan", *DECLARED)
    assert statuses(plan) == ["ok", "ok", "change", "change"]
    assert plan.steps["service:chrony.service"]["diff"] == [
        "  restart: file:/etc/chrony/wulfling.conf changes"
    ]
    assert statuses(run("apply", *DECLARED)) == ["ok", "ok", "changed", "changed"]


def test_a_restart_that_a_crash_prevented_is_made_up_for(
    run: Run, chrony: Answers, root: Path, ran: list[tuple[str, ...]]
) -> None:
    run("apply", *DECLARED)
    (root / "etc/chrony/wulfling.conf").write_text("by hand\n")
    chrony["systemctl", "restart", "chrony.service"] = (1, "power cut")
    chrony["journalctl", "--no-pager", "-o", "cat", "-n", "15", "-u", "chrony.service"] = ""
    assert statuses(run("apply", *DECLARED))[2:] == ["changed", "failed"]
    chrony["systemctl", "restart", "chrony.service"] = ""
    plan = run("plan", *DECLARED)
    assert statuses(plan) == ["ok", "ok", "ok", "change"]
    assert statuses(run("apply", *DECLARED))[3] == "changed"


def test_after_a_failure_the_rest_is_not_tried(run: Run, chrony: Answers, root: Path) -> None:
    broken = File(path="/etc/none/x", content="")
    one = run("apply", DECLARED[0], broken, *DECLARED[1:])
    assert statuses(one) == ["changed", "failed", "skipped", "skipped", "skipped"]
    assert "/etc/none is no directory" in one.steps["file:/etc/none/x"]["message"]
    assert one.code == 0
    assert (root / "var/lib/wulfling/journal").read_text() == ""


def test_what_a_failed_run_made_is_ours_as_well(run: Run, root: Path) -> None:
    """The first try fails, the operator changes the file, the second try is another cluster."""
    line = Block(path="/etc/fstab", text="filenode01:/home /home nfs4 defaults 0 0\n")
    exports = File(path="/etc/exports", content="/home 10.0.0.1(rw)\n")
    broken = File(path="/etc/none/x", content="")
    assert statuses(run("apply", line, exports, broken)) == ["changed", "changed", "failed"]
    run("apply")
    assert (root / "etc/fstab").read_text() == ""
    assert not (root / "etc/exports").exists()


def test_a_plan_tells_every_failure(run: Run, chrony: Answers, root: Path) -> None:
    (root / "etc/dir").mkdir()
    one = run("plan", File(path="/etc/dir", content=""), *DECLARED)
    assert statuses(one) == ["failed", *["change"] * 4]


def test_an_error_of_the_system_is_a_failure(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/etc/chrony")

    monkeypatch.setattr(Directory, "converge", full)
    one = run("apply", DECLARED[1], DECLARED[2])
    assert statuses(one) == ["failed", "skipped"]
    assert "No space left on device: '/etc/chrony'" in one.steps["directory:/etc/chrony"]["message"]


def test_what_does_not_take_effect_is_a_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Directory, "converge", lambda *_: None)
    one = run("apply", DECLARED[1])
    assert one.steps["directory:/etc/chrony"]["message"] == (
        "directory:/etc/chrony still differs after it was changed: + directory:/etc/chrony"
    )


def test_what_cannot_be_known_yet(run: Run, answers: Answers) -> None:
    answers[SHOW] = (127, "no such command")
    cluster = AccountingCluster(cluster="c")
    plan = run("plan", Packages(names=("slurmdbd",)), cluster)
    assert statuses(plan) == ["change", "pending"]
    assert plan.steps["accounting:c"]["message"] == "after service:slurmdbd.service"
    apply = run("apply", cluster)
    assert statuses(apply) == ["failed"]
    assert apply.steps["accounting:c"]["message"] == "service:slurmdbd.service is not there"


def test_only_what_is_about_to_change_awaits(run: Run) -> None:
    directory = Directory(path="/srv", awaits=("rpnode01/service:slurmctld.service",))
    first = run("apply", directory)
    assert [e["event"] for e in first.events] == ["hello", "await", "begin", "step", "done"]
    assert first.events[1]["for"] == ["rpnode01/service:slurmctld.service"]
    assert "await" not in [e["event"] for e in run("apply", directory).events]
    assert "await" not in [e["event"] for e in run("plan", Directory(path="/x")).events]


def test_giving_up_leaves_what_needs_it_pending_and_the_rest_goes_on(
    talk: Callable[[], Talk], answers: Answers
) -> None:
    answers[SHOW] = (1, "Connection refused")
    one = talk()
    one.say(do="apply", operator="kim@laptop")
    one.hear("hello")
    awaiting = Directory(path="/srv", awaits=("rpnode01/service:slurmctld.service",))
    one.declare(awaiting, AccountingCluster(cluster="c"), Directory(path="/opt"))
    key = one.hear("await")["key"]
    one.say(**{"give up": key, "because": "rpnode01 failed"})
    one.hear("done")
    assert one.rest() == 0
    assert one.statuses == {
        "directory:/srv": "pending",
        "accounting:c": "pending",
        "directory:/opt": "changed",
    }
    assert one.steps["directory:/srv"]["message"] == "rpnode01 failed"
    assert one.steps["accounting:c"]["message"] == (
        "after service:slurmdbd.service: rpnode01 failed"
    )


def test_a_file_from_the_controller(run: Run) -> None:
    import hashlib
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x-1.dist-info/METADATA", "")
    data = packed.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    wheel = Wheel(distribution="x", version="1", blob=sha256, into="/opt")
    one = run("apply", wheel, blobs={sha256: data})
    assert statuses(one) == ["changed"]
    assert [e["event"] for e in one.events] == ["hello", "begin", "need", "step", "done"]


def test_a_file_that_the_controller_cannot_get(talk: Callable[[], Talk]) -> None:
    one = talk()
    one.say(do="apply", operator="kim@laptop")
    one.hear("hello")
    one.declare(Wheel(distribution="x", version="1", blob="ff", into="/opt"))
    one.say(blob=one.hear("need")["blob"], because="PyPI is away")
    one.hear("done")
    one.rest()
    assert one.steps["wheel:x"]["status"] == "failed"
    assert one.steps["wheel:x"]["message"] == "PyPI is away"


def test_hello(run: Run, root: Path) -> None:
    secrets = root / "var/lib/wulfling/secrets"
    secrets.mkdir(parents=True)
    (secrets / "munge_key").write_bytes(b"\0secret")
    (secrets / ".munge_key.wulfling-new").write_bytes(b"half")
    (root / "var/lib/wulfling/cluster").mkdir()
    (root / "var/lib/wulfling/cluster/hardware.json").write_text('{"rpnode01": {}}\n')
    hello = run("plan", secrets=True).events[0]
    assert hello["secrets"] == {"munge_key": "AHNlY3JldA=="}
    assert json.loads(hello["known"]) == {"rpnode01": {}}
    assert hello["facts"]["python"]
    assert hello["repaired"] == []
    assert run("plan").events[0]["secrets"] == {}


def test_a_check_is_a_hello(talk: Callable[[], Talk], root: Path) -> None:
    before = tree(root)
    one = talk()
    one.say(do="check", operator="kim@laptop")
    assert one.rest() == 0
    assert [event["event"] for event in one.events] == ["hello", "done"]
    assert "devices" not in one.events[0]
    other = talk()
    other.say(do="check", operator="", devices=True)
    assert other.rest() == 0
    assert other.events[0]["devices"] == {"disks": [], "links": []}
    assert tree(root) == before


def test_what_a_crash_left_is_repaired_in_an_apply_only(run: Run, root: Path) -> None:
    journal = root / "var/lib/wulfling/journal"
    journal.parent.mkdir()
    journal.write_text("file:/etc/x\n")
    assert run("plan").events[0]["repaired"] == []
    assert len(run("apply").events[0]["repaired"]) == 1
    assert run("apply").events[0]["repaired"] == []


def test_what_is_declared_no_more_is_taken_back(run: Run, chrony: Answers, root: Path) -> None:
    run("apply", *DECLARED)
    plan = run("plan", *DECLARED[1:2], DECLARED[3])
    assert plan.statuses["retired:/etc/chrony/wulfling.conf"] == "change"
    assert plan.steps["retired:/etc/chrony/wulfling.conf"]["diff"] == [
        "- /etc/chrony/wulfling.conf"
    ]
    assert (root / "etc/chrony/wulfling.conf").exists()
    run("apply", *DECLARED[1:2], DECLARED[3])
    assert not (root / "etc/chrony/wulfling.conf").exists()
    assert "wulfling" not in (root / "etc/hosts").read_text()
    assert "retired:/etc/chrony/wulfling.conf" not in run("plan", *DECLARED[1:2]).steps


def test_an_old_key_goes_after_the_new_one_has_come(run: Run, root: Path) -> None:
    (root / "etc/sudoers.d").mkdir()
    old, new = (File(path=f"/etc/sudoers.d/{name}", content="") for name in ("kim", "lee"))
    run("apply", old)
    one = run("apply", File(path="/etc/none/x", content=""), new)
    assert one.statuses["retired:/etc/sudoers.d/kim"] == "skipped"
    assert (root / "etc/sudoers.d/kim").exists()
    assert list(run("apply", new).steps) == [new.key, "retired:/etc/sudoers.d/kim"]
    assert not (root / "etc/sudoers.d/kim").exists()


def test_nothing_is_taken_back_while_not_everything_is_known(
    talk: Callable[[], Talk], run: Run, chrony: Answers, root: Path
) -> None:
    """The head is away, so its key is unknown and nothing of Slurm is declared."""
    run("apply", *DECLARED)
    one = talk()
    one.say(do="apply", operator="kim@laptop")
    one.hear("hello")
    one.declare(DECLARED[0])
    one.hear("done")
    one.rest()
    assert list(one.steps) == ["block:/etc/hosts"]
    assert (root / "etc/chrony/wulfling.conf").exists()
    assert "retired:/etc/chrony/wulfling.conf" in run("plan", DECLARED[0], DECLARED[3]).steps


def test_a_run_about_something_takes_back_and_forgets_nothing_else(
    talk: Callable[[], Talk], run: Run, chrony: Answers, root: Path
) -> None:
    (root / "etc/keys").mkdir()
    kim, lee = (File(path=f"/etc/keys/{name}", content="") for name in ("kim", "lee"))
    run("apply", *DECLARED, kim)
    one = talk()
    one.say(do="apply", operator="kim@laptop")
    one.hear("hello")
    one.declare(lee, retire=True, scope=["file:/etc/keys/"])
    one.hear("done")
    one.rest()
    assert list(one.steps) == ["retired:/etc/keys/kim", lee.key]
    assert (root / "etc/chrony/wulfling.conf").exists()
    assert set(run("plan", *DECLARED).steps) == {
        *(resource.key for resource in DECLARED),
        "retired:/etc/keys/lee",
    }


def test_a_file_that_stays_says_why(run: Run, root: Path) -> None:
    run("apply", Directory(path="/etc/chrony"), CONF)
    (root / "etc/chrony/wulfling.conf").write_text("by hand\n")
    step = run("plan", Directory(path="/etc/chrony")).steps["retired:/etc/chrony/wulfling.conf"]
    assert step["status"] == "ok"
    assert "changed since by somebody else" in step["message"]


def test_kernel_flags_ask_for_a_reboot(run: Run, root: Path) -> None:
    (root / "boot").mkdir()
    (root / "boot/cmdline.txt").write_text("root=/dev/sda1\n")
    (root / "proc/cmdline").write_text("root=/dev/sda1\n")
    flags = KernelFlags(file="/boot/cmdline.txt", flags=("psi=1",))
    for status in ("changed", "ok"):
        step = run("apply", flags).steps["kernel:/boot/cmdline.txt"]
        assert (step["status"], step["message"]) == (status, "psi=1 will count after a reboot")
    (root / "proc/cmdline").write_text("root=/dev/sda1 psi=1\n")
    assert run("plan", flags).steps["kernel:/boot/cmdline.txt"]["message"] == ""


class Surprise(Directory):
    """A resource with a bug."""

    kind: ClassVar[str] = "surprise"

    def observe(self, board: Board) -> Directory | None:
        """Fall over."""
        raise KeyError("nobody foresaw this")


def test_a_bug_is_told_with_its_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "surprise", Surprise)
    one = run("plan", Surprise(path="/x"))
    assert one.code == 1
    assert one.events[-1]["event"] == "failed"
    assert one.events[-1]["message"].startswith("KeyError: 'nobody foresaw this' (test_program.py:")


def test_a_resource_unknown_here(talk: Callable[[], Talk]) -> None:
    one = talk()
    one.say(do="plan", operator="kim@laptop")
    one.hear("hello")
    one.say(resources=[{"kind": "teapot"}])
    assert one.hear("failed")["message"] == "there is no kind of resource called 'teapot'"
    assert one.rest() == 1


@pytest.mark.parametrize("order", [b"", b'{"do": "pla', b"ssh: banner\n"])
def test_a_controller_that_never_was(talk: Callable[[], Talk], root: Path, order: bytes) -> None:
    before = tree(root)
    one = talk()
    one.shout(order)
    one.hang_up()
    assert one.rest() == 1
    assert one.events == []
    assert tree(root) == before


def test_a_controller_that_dies_before_it_says_what_it_wants(
    talk: Callable[[], Talk], root: Path
) -> None:
    for do in ("plan", "apply"):
        one = talk()
        one.say(do=do, operator="kim@laptop")
        one.hear("hello")
        one.hang_up()
        assert one.rest() == 1


def test_a_controller_that_dies_while_a_node_awaits(talk: Callable[[], Talk], root: Path) -> None:
    one = talk()
    one.say(do="apply", operator="kim@laptop")
    one.hear("hello")
    one.declare(Directory(path="/srv", awaits=("rpnode01/x",)), Directory(path="/opt"))
    one.hear("await")
    one.hang_up()
    assert one.rest() == 1
    assert not (root / "srv").exists()
    assert not (root / "opt").exists()
