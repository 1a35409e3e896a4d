"""What three cards of one image may differ in: names, addresses, keys, and nothing else."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from tests.unit.bringup.conftest import program

from wulfling.bringup import partitions
from wulfling.model.cluster import Cluster

OF_A_NODE = {"user-data", "network-config", "meta-data"}
_PRIVATE = re.compile(r"(?<=-----BEGIN OPENSSH PRIVATE KEY-----\n).*?(?= *-----END)", re.DOTALL)
_PUBLIC = re.compile(r'(?<=ed25519_public: ")ssh-ed25519 [A-Za-z0-9+/=]+')
_INSTANCE = re.compile(r"(?<=instance-id: wulfling-)[0-9a-f]{16}")


def boot_files(image: Path, folder: Path) -> dict[str, bytes]:
    """Every file of the boot partition, copied out to ``folder``."""
    folder.mkdir(parents=True)
    with image.open("rb") as file:
        start = partitions.boot(partitions.read(file.read(partitions.HEAD))).start
    mcopy = [program("mcopy"), "-s", "-i", f"{image}@@{start}", "::*", str(folder)]
    subprocess.run(mcopy, check=True, capture_output=True)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def hold_differences(cluster: Cluster, base: Path, cards: dict[str, Path], folder: Path) -> None:
    """Assert that ``cards``, by node, are ``base`` but for what makes each a node."""
    outside = _outside(base)
    images = {name: boot_files(image, folder / name) for name, image in cards.items()}
    original = boot_files(base, folder / "base")
    secrets = set()
    told: list[dict[str, str]] = []
    for name, files in images.items():
        assert _outside(cards[name]) == outside, f"{name}: something beside its boot partition"
        assert files.keys() == original.keys()
        changed = {file for file in files if files[file] != original[file]}
        assert OF_A_NODE <= changed <= OF_A_NODE | {"cmdline.txt"}
        texts = {file: files[file].decode() for file in changed}
        secrets |= set(_PRIVATE.findall(texts["user-data"]))
        told.append({file: _nameless(cluster, name, text) for file, text in texts.items()})
    assert len(secrets) == len(cards), "two nodes have one host key"
    assert all(texts == told[0] for texts in told)


def _nameless(cluster: Cluster, name: str, text: str) -> str:
    """``text`` without what makes it this node's; each of it has to be there somewhere."""
    for pattern in (_PRIVATE, _PUBLIC, _INSTANCE):
        text = pattern.sub("X", text)
    address = re.escape(str(cluster.node(name).address))
    return re.sub(rf"\b{address}(?=/)|\b{re.escape(name)}\b", "X", text)


def _outside(image: Path) -> tuple[bytes, str]:
    """What is before the boot partition, and the SHA-256 of what is behind it."""
    with image.open("rb") as file:
        boot = partitions.boot(partitions.read(file.read(partitions.HEAD)))
        file.seek(0)
        before = file.read(boot.start)
        file.seek(boot.end)
        digest = hashlib.sha256()
        while piece := file.read(4 << 20):
            digest.update(piece)
    return before, digest.hexdigest()
