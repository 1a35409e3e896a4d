"""The tutorial is typed from its second section to its end, and prints what the page shows."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from boards import ROOT, Cluster, cluster_file

pytestmark = pytest.mark.crash

PAGE = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = "test-tutorial"  # nobody's own lab called `first` is to be touched
PROMPT = r"[$#] $"
QUESTION = r"\[y/N\]: $"
LOOKS = re.compile(r"(sinfo|squeue|sacct|wulfling status)\b")
PATIENCE = 1200


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block from section 2 on, about a cluster called ``NAME``."""
    page = PAGE.read_text(encoding="utf-8").partition("\n## 2. ")[2]
    found = FENCE.findall(page.replace("~/first-cluster", "."))
    return [(language, re.sub(r"\bfirst\b", NAME, text)) for language, text in found]


def commands(block: str) -> list[str]:
    """What is typed, each with the lines that follow it without a ``$``."""
    return [command.rstrip("\n") for command in re.split(r"^\$ ", block, flags=re.M)[1:]]


def shape(text: str) -> list[str]:
    """Lines without what differs from run to run: numbers, dates, fingerprints, spaces."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    text = re.sub(r"\b\w{3} \w{3} +\d+ [\d:]+ \d{4}\b", "DATE", text)
    text = re.sub(r"\b(?=\w*\d)[0-9a-f]{12}\b", "FINGERPRINT", text)
    text = re.sub(r"[█░]+", "BAR", text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    text = text.replace("N (N sec.)", "N")  # newer packages come on any day
    text = re.sub(r"unreachable: .*", "unreachable: WHY", text)  # the kernel's word, or ssh's
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[pexpect.spawn]:
    """A shell in an empty folder, with ``wulfling`` in its path. No board of an earlier run is
    left: after a failure they were kept."""
    Cluster(cluster_file(tmp_path_factory.mktemp("earlier"), NAME)).wulfling("lab", "destroy")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = pexpect.spawn(
        "bash --norc --noprofile",
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PS1": "$ ", "TERM": "dumb"},
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(50, 250),
        timeout=PATIENCE,
    )
    shell.expect(PROMPT)
    yield shell
    shell.close(force=True)


def typed(shell: pexpect.spawn, command: str) -> str:
    """What one command printed; a question is answered by ``y``."""
    shell.sendline(command)
    said = ""
    while shell.expect([PROMPT, QUESTION]) == 1:
        said += shell.before
        shell.sendline("y")
    return said + str(shell.before)


def missing(block: str, said: list[str]) -> list[str]:
    """The lines of the page that were not printed."""
    return [line for line in shape(block) if line != "..." and line not in said]


def test_the_tutorial_from_its_second_section_on(terminal: pexpect.spawn, tmp_path: Path) -> None:
    said: list[str] = []
    last = ""
    for language, block in blocks():
        if language == "yaml":
            (tmp_path / "cluster.yaml").write_text(block, encoding="utf-8")
        elif language == "console":
            words = commands(block)
            said = shape("".join(typed(terminal, command) for command in words))
            last = words[-1]
        else:
            # We type faster than people: who looked too early looks again.
            deadline = time.monotonic() + 60
            while missing(block, said) and LOOKS.match(last) and time.monotonic() < deadline:
                time.sleep(1)
                said += shape(typed(terminal, last))
            lost = missing(block, said)
            assert not lost, "\n".join(["the page shows", *lost, "and it said", *said])
