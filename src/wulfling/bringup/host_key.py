"""A board's SSH host key, made before the board: so its first answer can already be verified."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from wulfling import proc
from wulfling.transport import pins


@dataclass(frozen=True)
class HostKey:
    """``private`` is the text of the file, ``public`` "ssh-ed25519 AAAA...", without comment."""

    public: str
    private: str = field(repr=False)


def new(cluster: str, node: str) -> HostKey:
    """A fresh key; nothing of it stays on this machine. Raises ``CommandFailed``."""
    with tempfile.TemporaryDirectory(prefix="key-", dir=pins.state_directory(cluster)) as folder:
        file = Path(folder) / "key"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", node, "-f", str(file)]
        proc.run(argv, timeout=30, hint="sudo apt-get install openssh-client")
        public = Path(f"{file}.pub").read_text(encoding="utf-8").split()
        return HostKey(" ".join(public[:2]), file.read_text(encoding="utf-8"))
