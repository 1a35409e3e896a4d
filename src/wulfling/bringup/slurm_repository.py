"""The cluster's own apt repository: what was built, signed by a key that never leaves this machine.

The key can be made again, as the operator's other keys: the next apply gives its new public
half to the boards, over SSH.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

from wulfling.bringup.slurm_build import Wanted
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Hardware, Repository, Role, SlurmBuild
from wulfling.proc import run
from wulfling.transport.pins import state_directory

USES_SLURM = frozenset({Role.HEAD, Role.COMPUTE, Role.LOGIN})


def wanted(cluster: Cluster) -> tuple[Wanted, ...]:
    """What has to be built for the boards that were measured: one for each release and
    architecture that does not have this version from Debian.

    Raises ``WulflingError`` for boards that are no Debian.
    """
    build = cluster.slurm.build if cluster.slurm else None
    if build is None:
        return ()
    found: dict[Wanted, None] = {}
    for node in cluster.nodes:
        board = node.hardware
        if board is None or not node.roles & USES_SLURM or board.os_codename == build.source:
            continue
        if board.os_id != "debian":
            raise WulflingError(
                f"it has {board.os_id.capitalize()} {board.os_version}, and Slurm is built for"
                " Debian and the 64-bit Raspberry Pi OS alone",
                hint=f"install Debian on {node.name}, or take its roles compute and login",
                where=node.name,
            )
        found[_for(build, board)] = None
    return tuple(found)


def joined(cluster: Cluster) -> Cluster:
    """The cluster with its repositories. Raises ``WulflingError`` when one is not built yet."""
    kinds = wanted(cluster)
    if not kinds:
        return cluster
    missing = [f"Debian {kind.os_version} {kind.arch}" for kind in kinds if not kind.is_built]
    if missing:
        raise WulflingError(
            f"Slurm {kinds[0].version} is not built yet for {' and '.join(missing)}",
            hint="wulfling build   # once; takes minutes",
        )
    assert cluster.slurm
    assert cluster.slurm.build
    build = replace(
        cluster.slurm.build,
        key=_public_key(cluster.name),
        repositories=tuple(_repository(cluster.name, kind) for kind in kinds),
    )
    return replace(cluster, slurm=replace(cluster.slurm, build=build))


def blob(kinds: tuple[Wanted, ...], sha256: str) -> bytes | None:
    """The package with this hash, if it is one of these repositories'."""
    for kind in kinds:
        for name, known in _packages(kind.folder):
            if known == sha256:
                return (kind.folder / name).read_bytes()
    return None


def _for(build: SlurmBuild, board: Hardware) -> Wanted:
    return Wanted(build.version, build.source, board.os_codename, board.os_version, board.arch)


def _repository(cluster: str, kind: Wanted) -> Repository:
    index = (kind.folder / "Packages").read_text(encoding="utf-8")
    return Repository(
        os_codename=kind.codename,
        arch=kind.arch,
        packages=_packages(kind.folder),
        index=index,
        release=_signed(cluster, kind, index),
    )


def _packages(folder: Path) -> tuple[tuple[str, str], ...]:
    """Name and sha256 of each package, from the index (deb822(5))."""
    found = []
    name = ""
    for line in (folder / "Packages").read_text(encoding="utf-8").splitlines():
        if line.startswith("Filename: "):
            name = line[10:].removeprefix("./")
        elif line.startswith("SHA256: "):
            found.append((name, line[8:]))
    return tuple(found)


def _signed(cluster: str, kind: Wanted, index: str) -> str:
    """The repository's InRelease, made once for each index and key, so that a second plan
    finds nothing new."""
    content = index.encode()
    of = hashlib.sha256(content + _public_key(cluster).encode()).hexdigest()[:12]
    kept = state_directory(cluster) / "apt" / f"InRelease-{kind.codename}-{kind.arch}-{of}"
    if not kept.exists():
        text = (
            f"Origin: wulfling\nLabel: {cluster}\nDate: {formatdate(usegmt=True)}\n"
            f"Architectures: {kind.arch}\nDescription: Slurm {kind.version}\nSHA256:\n"
            f" {hashlib.sha256(content).hexdigest()} {len(content)} Packages\n"
        ).replace("GMT", "UTC")
        with _gpg(cluster) as gpg:
            signed = run((*gpg, "--clearsign"), stdin=text).stdout
        _write(kept, signed)
    return kept.read_text(encoding="utf-8")


def _public_key(cluster: str) -> str:
    """The public half in ASCII armour; the pair is made when it is missing."""
    folder = state_directory(cluster) / "apt"
    public = folder / "key.asc"
    if not public.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        with _gpg("") as gpg:
            who = f"wulfling {cluster}"
            run((*gpg, "--passphrase", "", "--quick-gen-key", who, "ed25519", "sign", "never"))
            _write(folder / "key.secret.asc", run((*gpg, "--armor", "--export-secret-keys")).stdout)
            _write(public, run((*gpg, "--armor", "--export")).stdout)
    return public.read_text(encoding="utf-8")


@contextmanager
def _gpg(cluster: str) -> Iterator[tuple[str, ...]]:
    """The words that start gpg in a folder of its own, which holds the cluster's key if one is
    named. The key comes by stdin, and the folder and gpg's agent are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wulfling-", ignore_cleanup_errors=True) as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback")
        try:
            if cluster:
                secret = state_directory(cluster) / "apt" / "key.secret.asc"
                run((*gpg, "--import"), stdin=secret.read_text(encoding="utf-8"))
            yield gpg
        finally:
            run(("gpgconf", "--homedir", home, "--kill", "all"), check=False)


def _write(place: Path, text: str) -> None:
    fresh = place.with_name(f".{place.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(place)
