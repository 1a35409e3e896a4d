"""A board looks after itself: Slurm runs this every minute (slurm.conf(5), HealthCheckProgram).

It gives up jobs that a power cut has ended here. It drains the board with a reason in words when
something is wrong, and resumes it when all is well again, if the drain was its own. What a
person has drained is left alone, and so is a board that falls ill again and again.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wulfling.node.board import STATE, Board
from wulfling.node.health.ailments import Ailment, ailments
from wulfling.node.health.looks import look

PROGRAM = "/etc/slurm/health-check"
MARK = "health: "
"""How the reason of every drain begins that is this program's own."""

MEMORY = "/run/wulfling-health.json"  # of this boot
BOOTS = f"{STATE}/boots.json"  # of the last ones

ROUNDS = 2  # as often in a row it has to be bad before a drain, and good before it ends
QUICK = 5.0  # seconds for one question; Slurm ends the whole after sixty
PEOPLES = ("/home", "/nfs", "/srv")  # what people fill up there does not make a board ill
FLAPS, FLAP_SPAN = 3, 600  # starts within so many seconds
RELAPSES, RELAPSE_SPAN = 3, 3600  # drains of our own within so many seconds


@dataclass(frozen=True)
class Expected:
    """What the cluster file says of this board, in the words of the program's arguments."""

    mounts: tuple[str, ...] = ()
    people: tuple[tuple[str, int], ...] = ()
    clock: bool = False  # whether it follows the head's

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments that say so."""
        return (
            *(f"--mount={path}" for path in self.mounts),
            *(f"--person={name}:{uid}" for name, uid in self.people),
            *(("--clock",) if self.clock else ()),
        )


@dataclass(frozen=True)
class Memory:
    """What earlier rounds of this boot left: rounds in a row that were bad or good, whether the
    drain that there is may be ours, and when ours began."""

    bad: int = 0
    good: int = 0
    drained: bool = True  # nothing is known after a boot, so ask
    drains: tuple[float, ...] = ()


def main(arguments: Sequence[str], board: Board | None = None) -> int:
    """One round; with ``--tell`` only what is wrong, on stdout. The exit code is 0."""
    board = board or Board()
    found = tuple(found_here(board, expected(arguments)))
    if "--tell" in arguments:
        for ailment in found:
            sys.stdout.write(f"{ailment.words}\n")
        return 0
    give_up_lost_jobs(board, time.time())
    judge(board, found, time.time())
    return 0


def expected(arguments: Sequence[str]) -> Expected:
    """The opposite of ``Expected.words``."""
    pairs = [word.partition("=")[::2] for word in arguments]
    people = (value.rpartition(":")[::2] for key, value in pairs if key == "--person")
    return Expected(
        mounts=tuple(value for key, value in pairs if key == "--mount"),
        people=tuple((name, int(uid)) for name, uid in people),
        clock="--clock" in arguments,
    )


# What can be wrong


def found_here(board: Board, wanted: Expected) -> Iterator[Ailment]:
    """Everything that is wrong with this board now: what doctor would find in the same facts, and
    what takes a memory of the last starts."""
    health = look(board, wanted.mounts)
    spaces = tuple(space for space in health.spaces if space.path not in PEOPLES)
    health = replace(health, spaces=spaces, clock=health.clock if wanted.clock else None)
    yield from (ailment for ailment in ailments(health) if not ailment.over)
    for check in (_flaps, _accounts):
        try:
            yield from check(board, wanted)
        except OSError as error:
            yield Ailment(f"{error.filename or check.__name__} cannot be read: {error.strerror}")


def _flaps(board: Board, wanted: Expected) -> Iterator[Ailment]:
    """A board that starts anew again and again has a bad supply or a bad card. When the
    controller has started since, the power of all was cut, and this one board is not to blame."""
    now = time.time()
    starts = [start for start in _starts(board, now) if 0 <= now - start <= FLAP_SPAN]
    if len(starts) < FLAPS:
        return
    said = board.ask(("scontrol", "show", "config"), timeout=4 * QUICK)[1]
    found = re.search(r"^BOOT_TIME\s*=\s*(\S+)", said, re.MULTILINE)
    try:
        controller = time.mktime(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) if found else now
    except ValueError:
        return
    if sum(start > controller for start in starts) >= FLAPS:
        words = f"it started {len(starts)} times within {FLAP_SPAN // 60} minutes"
        words += ": look at its power supply and its SD card"
        yield Ailment(words, at_once=True, lasting=True)


def _starts(board: Board, now: float) -> tuple[float, ...]:
    """When this board started, the last times; this boot is noted on its first round."""
    boot = (board.text("/proc/sys/kernel/random/boot_id") or "").strip()
    uptime = float((board.text("/proc/uptime") or "0").split()[0])
    known = [item for item in _read(board, BOOTS).get("boots", ()) if len(item) == 2]
    if boot and boot not in [name for name, _ in known]:
        known = [*known, [boot, now - uptime]][-FLAPS:]
        _write(board, BOOTS, {"boots": known})
    return tuple(float(start) for _, start in known)


def _accounts(board: Board, wanted: Expected) -> Iterator[Ailment]:
    """A person whose number differs here would own other people's files."""
    there = board.accounts("/etc/passwd")
    for name, uid in wanted.people:
        if name not in there:
            yield Ailment(f"there is no account {name} on it")
        elif there[name][2] != str(uid):
            yield Ailment(f"{name} has the uid {there[name][2]} on it, and {uid} elsewhere")


# What comes of it


def judge(board: Board, found: Sequence[Ailment], now: float) -> None:
    """Drain, or resume, or wait for another round."""
    memory = _remembered(board)
    bad = memory.bad + 1 if found else 0
    good = 0 if found else memory.good + 1
    drained, drains = memory.drained, memory.drains
    if found and (bad >= ROUNDS or any(ailment.at_once for ailment in found)):
        drains, drained = _drain(board, found, drains, now), True
    elif good >= ROUNDS and drained:
        drained = not _resume(board)
    after = Memory(bad, good, drained, drains)
    if after != memory:
        _write(board, MEMORY, asdict(after))


def _drain(
    board: Board, found: Sequence[Ailment], drains: tuple[float, ...], now: float
) -> tuple[float, ...]:
    """Drain this board, unless it is; the times of our drains."""
    if _reason(board) is not None:
        return drains
    recent = tuple(at for at in drains if 0 <= now - at <= RELAPSE_SPAN)
    worst = next((ailment for ailment in found if ailment.at_once), found[0])
    reason = f"{MARK}{worst.words}"
    if len(recent) + 1 >= RELAPSES:  # without the mark nothing but a person resumes it
        reason = f"ill again and again, to be resumed by hand: {worst.words}"
    elif worst.lasting:
        reason = worst.words
    done = _scontrol(board, "update", f"NodeName={_name(board)}", "State=DRAIN", f"Reason={reason}")
    return (*recent, now) if done[0] == 0 else drains


def _resume(board: Board) -> bool:
    """Resume this board if its drain was ours; whether it is not drained any more."""
    said = _reason(board)
    if said is None:
        return _scontrol(board, "ping")[0] == 0  # nobody answered, or it is not drained
    if not said.startswith(MARK):
        return False
    return _scontrol(board, "update", f"NodeName={_name(board)}", "State=RESUME")[0] == 0


def _reason(board: Board) -> str | None:
    """Why this node is drained, None when it is not."""
    said = _scontrol(board, "--oneliner", "show", "node", _name(board))[1]
    state = re.search(r" State=(\S+)", said)
    if not state or "DRAIN" not in state[1]:
        return None
    reason = re.search(r" Reason=(.*?) \[[^\[\] ]*@[0-9T:-]+\]", said)
    return reason[1] if reason else ""


def _scontrol(board: Board, *words: str) -> tuple[int, str, str]:
    return board.ask(("scontrol", *words), timeout=4 * QUICK)


def _name(board: Board) -> str:
    return (board.text("/proc/sys/kernel/hostname") or os.uname().nodename).strip()


def give_up_lost_jobs(board: Board, now: float) -> None:
    """End the jobs that Slurm takes for running here and that ended with a former boot.

    Slurm learns of an end that its controller had not saved when the power went only at the
    node's next but one registration, minutes later, and of the end of an srun never. A job
    cannot have begun before this board did, nor in the future (a board without a battery wakes
    in the past), unless a clock was set meanwhile; so it also has no process here.
    """
    found = re.search(r"^btime (\d+)", board.text("/proc/stat") or "", re.MULTILINE)
    booted = int(found[1]) if found else 0
    told = ("--Format=JobID,BatchFlag,StartTime", "--states=running,suspended")
    argv = ("env", "SLURM_TIME_FORMAT=%s", "squeue", "--noheader", f"--nodelist={_name(board)}")
    for line in board.ask((*argv, *told), timeout=6 * QUICK)[1].splitlines():
        job, batch, began = (*line.split(), "", "", "")[:3]
        if not began.isdigit() or booted <= int(began) <= now + 60:
            continue
        if board.ask(("pgrep", "-f", rf"^slurmstepd: \[{job}\."), timeout=QUICK)[0] == 0:
            continue
        # Never "requeue or else cancel": when another board was first, that cancels what waits.
        board.ask(("scontrol", "requeue", job) if batch == "1" else ("scancel", job), timeout=QUICK)


def _remembered(board: Board) -> Memory:
    known = _read(board, MEMORY)
    try:
        return Memory(
            bad=int(known["bad"]),
            good=int(known["good"]),
            drained=bool(known["drained"]),
            drains=tuple(map(float, known["drains"])),
        )
    except (KeyError, TypeError, ValueError):
        return Memory()


def _read(board: Board, path: str) -> Mapping[str, Any]:
    try:
        found = json.loads(board.text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(board: Board, path: str, value: Mapping[str, Any]) -> None:
    """The file is the old or the new one; where the disk takes none, this round is forgotten."""
    place = board.path(path)
    try:
        new = place.with_name(f".{place.name}.new")
        new.write_text(json.dumps(value))
        new.replace(place)
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
