"""The command line in an empty home, with boards that are a table and an ssh that tells on us."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.measured import PI

from wulfling import spec
from wulfling.cli import proof, river, status
from wulfling.cli.main import main
from wulfling.components import compile_cluster
from wulfling.converge.session import NOT_MADE_YET
from wulfling.errors import WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.plan import Status
from wulfling.transport.fake import Answers, Fake

Said = tuple[int, str, str]

CLUSTER = """\
wulfling: 1
cluster: c
nodes:
  one: {address: 10.9.9.1, roles: [head, compute]}
  two: {address: 10.9.9.2, roles: [compute]}
people:
  kim: {uid: 2001, account: school}
admin:
  keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that we are in: nobody's keys, nobody's clusters. An ``ssh`` that is started
    leaves a file ``ssh-was-started``."""
    for name in ("WULFLING_FILE", "WULFLING_DEBUG", "NO_COLOR", "XDG_CACHE_HOME", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    tools = tmp_path / "bin"
    tools.mkdir()
    ssh = tools / "ssh"
    ssh.write_text(f"#!/bin/sh\ntouch {tmp_path}/ssh-was-started\nexec sleep 30\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Type these words after ``wulfling``: exit code, stdout, stderr."""

    def typed(*words: str) -> Said:
        capfd.readouterr()
        code = main(words)
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return typed


@pytest.fixture
def file(home: Path) -> Path:
    """A cluster file of two real boards."""
    place = home / "cluster.yaml"
    place.write_text(CLUSTER)
    return place


@pytest.fixture
def board() -> Hardware:
    """What both boards are."""
    return PI


@pytest.fixture
def boards(file: Path, board: Hardware, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Fake]:
    """Puts boards at the other end: what is not as declared on each, or why it is away, and
    what those are that are no ``board``."""

    def put(nodes: Mapping[str, Mapping[str, Status] | WulflingError], **others: Hardware) -> Fake:
        hardware = {"one": board, "two": board, **others}
        cluster = spec.resolve(spec.load(file), hardware, NOT_MADE_YET, ())
        declared = compile_cluster(cluster)
        answers: dict[str, Answers | WulflingError] = {}
        for name, differs in nodes.items():
            if isinstance(differs, WulflingError):
                answers[name] = differs
                continue
            steps = {resource.key: Status.OK for resource in declared[name]}
            assert differs.keys() <= steps.keys()
            answers[name] = Answers(hardware=hardware[name], steps={**steps, **differs})
        fake = Fake(answers)
        monkeypatch.setattr(river, "Ssh", lambda: fake)
        monkeypatch.setattr(proof, "Ssh", lambda: fake)
        monkeypatch.setattr(status, "Ssh", lambda: fake)
        return fake

    return put
