"""A home of their own for tests that boot boards, and the means to look for leftovers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from wulfling.lab import (
    BoardSpec,
    LabSpec,
    destroy,
    host_key,
    processes,
    proxy_command,
)
from wulfling.lab.places import LabFiles, lab_files

NETWORK = IPv4Network("10.0.0.0/24")
ADMIN = "keeper"


@dataclass(frozen=True)
class Lab:
    """A lab under test, and the key that opens its boards."""

    spec: LabSpec
    key: Path
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.spec.name

    @property
    def files(self) -> LabFiles:
        """Where it keeps its files."""
        return lab_files(self.name)

    def ssh(self, board: str, script: str, *, check: bool = True) -> str:
        """What a script said on a board, over OpenSSH with the pinned host key alone."""
        address = self.spec.board(board).address
        known = self.key.with_name("known_hosts")
        known.write_text(f"{address} {host_key(self.name, board)}\n")
        options = {
            "BatchMode": "yes",
            "HostKeyAlgorithms": "ssh-ed25519",
            "IdentitiesOnly": "yes",
            "ProxyCommand": " ".join(proxy_command(self.name)),
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(known),
        }
        words = ["ssh", "-F", "none", "-i", str(self.key)]
        words += [word for pair in options.items() for word in ("-o", "=".join(pair))]
        done = subprocess.run(
            [*words, f"{ADMIN}@{address}", script],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def leftovers(self) -> list[str]:
        """Processes, folders and mounts that exist because of the lab."""
        found = [
            " ".join(p.argv) for p in processes.own_processes() if p.mentions(self.files.folder)
        ]
        found += [str(p) for p in (self.files.folder, self.files.runtime) if p.exists()]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return found + [line for line in mounts if str(self.files.folder) in line]


@pytest.fixture(scope="session")
def admin_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key of the boards' administrator."""
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def make_lab(admin_key: Path) -> Callable[..., Lab]:
    """Describes a lab, with as many boards as there are memory sizes; nothing is started."""

    def make(name: str, *memory_mb: int) -> Lab:
        boards = tuple(
            BoardSpec(f"n{n}", IPv4Address(f"10.0.0.{n}"), size)
            for n, size in enumerate(memory_mb, start=1)
        )
        keys = (admin_key.with_suffix(".pub").read_text().strip(),)
        return Lab(LabSpec(name, NETWORK, boards, ADMIN, keys), admin_key, print)

    return make


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """Two boards for all tests of a file. After a failure they are kept."""
    lab = make_lab("test-lab", 192, 192)
    destroy(lab.name, lab.say)
    return lab


@pytest.fixture
def own_lab(make_lab: Callable[..., Lab]) -> Iterator[Callable[..., Lab]]:
    """Makes labs that are gone after the test, also when it failed."""
    made = []

    def make(name: str, *memory_mb: int) -> Lab:
        lab = make_lab(name, *memory_mb)
        destroy(lab.name, lab.say)
        made.append(lab)
        return lab

    yield make
    for lab in made:
        destroy(lab.name, lab.say)
