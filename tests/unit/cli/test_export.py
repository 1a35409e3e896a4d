"""``wulfling export``: formats that other programs read."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wulfling.transport import pins

Run = Callable[..., tuple[int, str, str]]
VIRTUAL = "wulfling: 1\ncluster: c\nboards: virtual\nnodes: {one: {address: 10.0.0.1}}\n"


def read_by_ssh(text: str, node: str) -> dict[str, list[str]]:
    """What ssh(1) itself makes of the text, by option."""
    Path("ssh_config").write_text(text)
    argv = ["/usr/bin/ssh", "-G", "-F", "ssh_config", node]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    options: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        options.setdefault(name, []).append(value)
    return options


needs_ssh = pytest.mark.skipif(not shutil.which("ssh", path="/usr/bin"), reason="no ssh here")


def test_a_machinefile_has_the_compute_nodes(run: Run, file: Path) -> None:
    file.write_text(
        f"{file.read_text()}\n".replace(
            "people:", "  files: {address: 10.9.9.3, roles: [storage]}\npeople:"
        )
    )
    assert run("export", "machinefile") == (0, "one\ntwo\n", "")
    assert run("export", "machinefile", "--slots", "4")[1] == "one:4\ntwo:4\n"
    assert run("export", "machinefile", "--all")[1] == "one\ntwo\nfiles\n"


def test_hosts(run: Run, file: Path) -> None:
    code, out, _ = run("export", "hosts")
    assert code == 0
    assert out.splitlines()[0].split()[:2] == ["10.9.9.1", "one"]


@needs_ssh
def test_ssh_config_of_real_boards_knows_the_keys_that_wulfling_itself_believes(
    run: Run, file: Path
) -> None:
    """Real boards are pinned by the operator's own first ssh, in ~/.ssh/known_hosts."""
    options = read_by_ssh(run("export", "ssh-config")[1], "two")
    assert options["hostname"] == ["10.9.9.2"]
    assert options["user"] == ["wulfling"]
    assert options["stricthostkeychecking"] == ["true"]
    (files,) = options["userknownhostsfile"]
    assert files.split()[0] == str(pins.known_hosts("c"))
    own = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".ssh"  # ssh takes ~ from there, not from HOME
    assert files.split()[1:] in (
        ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"],
        [f"{own}/known_hosts", f"{own}/known_hosts2"],
    )


@needs_ssh
def test_ssh_config_with_a_space_in_a_path(
    run: Run, file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "my state"))
    options = read_by_ssh(run("export", "ssh-config")[1], "one")
    (files,) = options["userknownhostsfile"]
    own = f"{home}/my state/wulfling/clusters/c/known_hosts"
    assert files.startswith((f"{own} ", f'"{own}" '))


@needs_ssh
def test_ssh_config_with_a_percent_sign_in_a_path(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which starts a token in ssh_config(5), and %h is the host's name."""
    state = home / "100%h"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    Path("cluster.yaml").write_text(VIRTUAL)
    code, out, err = run("export", "ssh-config")
    assert code == 0, err
    options = read_by_ssh(out, "one")
    kept = state / "wulfling" / "clusters" / "c"
    assert [one.replace("%%", "%") for one in options["identityfile"]] == [f"{kept}/id_ed25519"]
    (files,) = options["userknownhostsfile"]
    assert files.replace("%%", "%") == f"{kept}/known_hosts"
    (proxy,) = options["proxycommand"]
    assert proxy.endswith(" 10.0.0.1 22")


def test_virtual_boards_are_pinned_by_the_lab_and_by_nobody_else(run: Run) -> None:
    Path("cluster.yaml").write_text(VIRTUAL)
    assert "~/.ssh" not in run("export", "ssh-config")[1]
