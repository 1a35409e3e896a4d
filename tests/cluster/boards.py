"""A real cluster on virtual boards, used as a person would: by the command line alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "raspi-hpc.yaml"
RELEASE = os.environ.get("WULFLING_RELEASE", "")
MIXED = "mixed"
ONE_SLURM = "slurm:\n  build: {version: 24.11.5, source: trixie}\n"


@dataclass(frozen=True)
class Cluster:
    """A cluster file and the means to use what it describes."""

    file: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ``wulfling`` with these words and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "wulfling", "-f", str(self.file), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def wulfling(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """What ``wulfling`` with these words printed; it has to exit with ``code``."""
        process = self.start(*words)
        out, err = process.communicate(stdin, timeout=3600)
        assert process.returncode == code, f"wulfling {' '.join(words)}:\n{out}\n{err}"
        return out

    def killed(self, *words: str, after: float) -> None:
        """Start ``wulfling`` and kill it after some seconds, if it has not ended by then."""
        process = self.start(*words)
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def on(self, node: str, script: str, *, person: str = "root") -> str:
        """What a shell script printed on ``node``; it has to succeed."""
        # By stdin, because sudo -i takes the line ends out of its arguments.
        words = ["sudo", "-i", "-u", person, "bash", "-euc", 'eval "$(cat)"']
        return self.wulfling("node", "shell", node, "--", *words, stdin=script)

    def pi(self, script: str, node: str = "rpnode01") -> str:
        """A script of the user pi, in pi's home."""
        return self.on(node, f"cd ~; {script}", person="pi")

    def state(self, job: str) -> str:
        """The state of a job as sacct tells it, once the job has ended (60 s at most)."""
        for _ in range(60):
            said = self.pi(f"sacct -n -X -P -j {job} -o State").strip()
            if said and said.split()[0] not in ("PENDING", "RUNNING", "COMPLETING"):
                return said.split()[0]
            time.sleep(1)
        return said

    def wait_idle(self, seconds: int = 120) -> None:
        """Return when every node is idle; fail after ``seconds``."""
        deadline = time.monotonic() + seconds
        said = ""
        while time.monotonic() < deadline:
            try:
                said = self.on("rpnode01", "sinfo -hN -o '%N %T'")
            except AssertionError as error:
                said = str(error)
            if said.split() == ["rpnode01", "idle", "rpnode02", "idle"]:
                return
            time.sleep(1)
        pytest.fail(f"not idle after {seconds} s: {said}")


def cluster_file(folder: Path, name: str) -> Path:
    """The example's cluster under another name, so that tests never meet a user's lab.

    WULFLING_RELEASE=trixie makes its boards of another Debian release; with "mixed" it is
    rpnode02 alone that has trixie, and Slurm is one version, built for the others.
    """
    file = folder / "cluster.yaml"
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "cluster: raspi-hpc\n" in text
    text = text.replace("cluster: raspi-hpc\n", f"cluster: {name}\n")
    if RELEASE == MIXED:
        text = text.replace("rpnode02: {", "rpnode02: {release: trixie, ")
        text = text.replace("slurm:\n", ONE_SLURM)
    elif RELEASE:
        text = text.replace("{address:", f"{{release: {RELEASE}, address:")
    file.write_text(text, encoding="utf-8")
    return file


@contextmanager
def own_lab(file: Path) -> Iterator[Cluster]:
    """New boards for ``file`` alone, gone afterwards. With WULFLING_KEEP=1 those that are there go
    on, and stay."""
    cluster = Cluster(file)
    keep = bool(os.environ.get("WULFLING_KEEP"))
    if not keep:
        cluster.wulfling("lab", "destroy")
    cluster.wulfling("lab", "up")
    yield cluster
    if not keep:
        cluster.wulfling("lab", "destroy")
