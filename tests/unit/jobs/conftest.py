"""A head on this machine: an ssh that starts what sshd would start, and a Slurm of one script.

What is real: the sessions, the desk in a process of its own, files, jobs that run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from wulfling.jobs.door import Door
from wulfling.transport.link import Address

SSH = """#!/bin/sh
echo $$ >> "$HEAD/ssh.pids"
[ ! -e "$HEAD/off" ] || { echo "ssh: connect to host h port 22: No route to host" >&2; exit 255; }
[ ! -e "$HEAD/refused" ] || { echo "kim@h: Permission denied (publickey)." >&2; exit 255; }
for command; do :; done
cd "$HEAD/home"
HOME="$HEAD/home" exec sh -c "exec $command"
"""

# A job is a process; its number is the line it has in the queue, its state what it left there.
SLURM = r"""#!/usr/bin/python3 -IS
import os, pathlib, subprocess, sys
head = pathlib.Path(os.environ["HEAD"])
verb, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with open(head / "asked", "a") as log:
    log.write(" ".join([verb, *words]) + "\n")
if (head / "silent").exists():
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
def job(number):
    folder = head / "queue" / number
    if not folder.exists():
        return None
    code = folder / "code"
    state = (folder / "state").read_text() if (folder / "state").exists() else ""
    if not state:
        state = "RUNNING"
        if code.exists():
            state = "COMPLETED" if code.read_text() == "0\n" else "FAILED"
    return {
        "JobId": number, "JobState": state,
        "ExitCode": (code.read_text().strip() if code.exists() else "0") + ":0",
        "Restarts": "0", "BatchHost": os.uname().nodename, "NodeList": "n1", "Reason": "None",
        "StdOut": (folder / "out").read_text(), "StdErr": (folder / "out").read_text(),
        "WorkDir": (folder / "where").read_text(),
    }
if verb == "srun":  # as a batch script of submitit has it
    at = {word: words.index(word) + 1 for word in ("--output", "--error")}
    for number, word in ((1, "--output"), (2, "--error")):
        name = words[at[word]].replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    os.execvp("env", ["env", "SLURM_PROCID=0", *words[max(at.values()) + 1 :]])
if verb == "sbatch":
    where = os.getcwd()
    script = words[2:] if "--parsable" in words else words
    if not os.path.exists(os.path.join(where, script[0])):
        sys.exit("sbatch: error: Unable to open file " + script[0])
    number = str(len(list((head / "queue").iterdir())) + 1)
    folder = head / "queue" / number
    folder.mkdir()
    out = os.path.join(where, "slurm-" + number + ".out")
    (folder / "out").write_text(out)
    (folder / "where").write_text(where)
    run = 'bash "$@" > "$0" 2>&1; echo $? > ' + str(folder / "code")
    process = subprocess.Popen(["sh", "-c", run, out, *script], cwd=where, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "SLURM_JOB_ID": number})
    (folder / "pid").write_text(str(process.pid))
    if (head / "dies").exists():
        (head / "dies").rename(head / (head / "dies").read_text())
        os.kill(os.getppid(), 9)
        sys.exit(1)
    print(number if "--parsable" in words else "Submitted batch job " + number)
elif verb == "scontrol":
    found = job(words[2])
    if found is None:
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    print("\n".join("   " + name + "=" + value for name, value in found.items()))
elif verb == "squeue":
    for folder in sorted((head / "queue").iterdir()):
        found = job(folder.name)
        if "%Z" in words[-1]:
            print(folder.name + "|" + found["WorkDir"])
        else:
            print(folder.name + "|" + found["JobState"] + "|0:01|n1|2026-01-02T03:04:05|None|a | b")
elif verb == "scancel":
    (head / "queue" / words[0] / "state").write_text("CANCELLED")
    os.killpg(int((head / "queue" / words[0] / "pid").read_text()), 9)
"""


@dataclass(frozen=True)
class Head:
    """The stand-in's folder; ``home`` is the person's."""

    place: Path

    @property
    def home(self) -> Path:
        """Where the desk works."""
        return self.place / "home"

    @property
    def queue(self) -> Path:
        """A folder for each job that was submitted."""
        return self.place / "queue"

    def say(self, name: str) -> Path:
        """Put the file ``name`` there: off, refused or silent."""
        file = self.place / name
        file.touch()
        return file

    def dies(self, then: str = "dead") -> None:
        """The desk is killed in the next sbatch, and then the file ``then`` is there."""
        (self.place / "dies").write_text(then)

    @property
    def asked(self) -> list[str]:
        """The commands of Slurm that were started."""
        return (self.place / "asked").read_text().splitlines()

    @property
    def sessions(self) -> list[int]:
        """The process numbers of all ssh so far."""
        return [int(line) for line in (self.place / "ssh.pids").read_text().split()]


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Head:
    """A head that lets everybody in."""
    place = tmp_path / "head"
    for folder in ("home", "queue", "bin"):
        (place / folder).mkdir(parents=True)
    tools = {
        "ssh": SSH,
        "sbatch": "",
        "scontrol": "",
        "squeue": "",
        "sacct": "",
        "scancel": "",
        "srun": "",
    }
    for name, text in tools.items():
        file = place / "bin" / name
        file.write_text(text or SLURM)
        file.chmod(0o755)
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    # A login shell has a PATH of its own, and some talk.
    (place / "home" / ".bash_profile").write_text(f"PATH={path}\necho welcome\n")
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("HEAD", str(place))
    return Head(place)


@pytest.fixture
def door(head: Head, tmp_path: Path) -> Door:
    """The way to that head, for kim."""
    address = Address(node="head", host="h", users=("kim", "wulfling"))
    return Door(address, "kim", "c", tmp_path / "cluster.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a job in it."""
    place = tmp_path / "work"
    (place / "data").mkdir(parents=True)
    (place / "data" / "in.txt").write_text("42\n")
    (place / "job.sh").write_text("cat data/in.txt; echo made > out.txt\n")
    return place
