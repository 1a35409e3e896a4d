"""The linters, as tests: `./dev lint` runs these and the architecture."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
SCRIPTS = ("dev", ".ci/run", "tools/demo", "examples/nbody/submit.sh")


def passes(*words: str) -> None:
    """Run a tool at the root; when it complains, what it says is the failure."""
    tool = TOOLS / words[0]
    if not tool.exists():
        pytest.fail(f"{words[0]} is not in {TOOLS}; next: ./dev lint", pytrace=False)
    done = subprocess.run(
        [tool, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        pytest.fail(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_ruff_check() -> None:
    passes("ruff", "check", "--quiet", "--output-format=concise")


def test_ruff_format() -> None:
    """`./dev lint --fix` mends this one."""
    passes("ruff", "format", "--check", "--output-format=concise")


def test_mypy() -> None:
    passes("mypy")


@pytest.mark.parametrize("script", SCRIPTS)
def test_shell_scripts(script: str) -> None:
    """They parse; and shellcheck has nothing to say, where there is one."""
    done = subprocess.run(
        ["bash", "-n", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if shellcheck := shutil.which("shellcheck"):
        done = subprocess.run(
            [shellcheck, script], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
