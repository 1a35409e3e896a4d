"""Makes a bootable arm64 image of Debian packages alone, for `card write` to customise.

It needs neither root nor a loop device: mmdebstrap(1) works in a user namespace, as for virtual
boards, and sfdisk, mkfs.vfat, mcopy and mke2fs write into a file.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wulfling.bringup import debian_recipe as recipe
from wulfling.errors import WulflingError
from wulfling.lab import image as lab_image
from wulfling.lab import needs
from wulfling.lab.archive import DEBIAN
from wulfling.lab.places import cache_root, private_folder
from wulfling.proc import run

PATIENCE = 3600.0
"""Seconds; it takes some minutes, most of them in programs of the other processor."""

PROGRAMS = {
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "setpriv": "util-linux",
    "sfdisk": "fdisk",
    "unshare": "util-linux",
}
"""Each program of a build, and the Debian package that has it."""

_EMULATOR = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
_KEYRING = Path(DEBIAN.keyring)


@dataclass(frozen=True)
class Built:
    """An image that is complete. ``size`` is in bytes, ``used`` what it takes of the disk."""

    path: Path
    size: int
    used: int
    sha256: str


def build(target: Path) -> Built:
    """Make the image at ``target``, which appears when it is whole.

    Raises ``WulflingError`` when this machine cannot build it, or with the end of what the
    build said.
    """
    check(needs.this_machine(image_wanted=True), platform.machine(), _EMULATOR, _KEYRING)
    folder = target.absolute().parent
    if target.exists() and not target.is_file():
        raise WulflingError(f"{target} is no file", hint="--to debian.img, then: card write")
    if not folder.is_dir():
        raise WulflingError(f"there is no folder {folder}", hint=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise WulflingError(f"you may not write to {folder}", hint=f"ls -ld {folder}")
    private_folder(cache_root())
    with tempfile.TemporaryDirectory(prefix="card-", dir=cache_root()) as name:
        fresh = Path(name) / "image"
        _make(Path(name), fresh)
        return _moved(fresh, target)


def check(machine: needs.Machine, architecture: str, emulator: Path, keyring: Path) -> None:
    """Return when everything is there.

    Raises ``WulflingError`` that names all that is missing, with the command that brings it.
    """
    missing = {
        f"{name} ({PROGRAMS[name]})": PROGRAMS[name]
        for name in sorted(PROGRAMS)
        if not machine.has_program(name)
    }
    if architecture != "aarch64" and not emulator.is_file():
        missing["an emulator for arm64 (qemu-user-static)"] = "qemu-user-static"
    if not keyring.is_file():
        missing["Debian's keys (debian-archive-keyring)"] = "debian-archive-keyring"
    sudo = "" if machine.uid == 0 else "sudo "
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise WulflingError(
            f"no card can be built here, not installed: {', '.join(missing)}",
            hint=f"{sudo}apt install --no-install-recommends {packages}",
        )
    needs.check_namespaces(machine, "no card can be built here")


def _make(folder: Path, fresh: Path) -> None:
    work, early, late = folder / "work", folder / "early.tar", folder / "late.tar"
    work.mkdir()
    early.write_bytes(recipe.early())
    late.write_bytes(recipe.late())
    words = (
        *_namespace(),
        *("/bin/sh", "-c", recipe.BUILD_SCRIPT, "build"),
        f"--include={','.join(recipe.PACKAGES)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.LEFT_OUT),
        *(f"--dpkgopt=path-include={pattern}" for pattern in recipe.KEPT),
        "--dpkgopt=force-confold",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=Acquire::http::Timeout "180"',
        *(f"--aptopt={option}" for option in (*lab_image.apt_options(), *_proxy())),
    )
    environment = lab_image.environment(
        work,
        EMULATOR="" if platform.machine() == "aarch64" else str(_EMULATOR),
        WORK=str(work),
        EARLY=str(early),
        LATE=str(late),
        IMAGE=str(fresh),
        SUITE=recipe.SUITE,
        BOOT_MB=str(recipe.BOOT_MB),
        ROOT_MB=str(recipe.ROOT_MB),
    )
    sources = "".join(f"{line}\n" for line in _sources())
    done = run(words, stdin=sources, check=False, timeout=PATIENCE, env=environment)
    if done.code != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise WulflingError(f"the card could not be built:\n{said}", hint="run it again")


def _moved(fresh: Path, target: Path) -> Built:
    """Copy with its holes, synced, and renamed: whoever sees the name sees all of it."""
    new = target.with_name(f".{target.name}.wulfling-new")
    try:
        run(("cp", "--sparse=always", str(fresh), str(new)), timeout=600)
        with new.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(4 << 20), b""):
                digest.update(piece)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    stat = target.stat()
    return Built(target, stat.st_size, stat.st_blocks * 512, digest.hexdigest())


def _namespace() -> tuple[str, ...]:
    """As for virtual boards; root too gets a user namespace, so that the emulator is registered
    there and not on this machine."""
    if os.getuid():
        return lab_image.namespace()
    return ("/bin/sh", "-c", recipe.AS_MAPPED_ROOT, "root", *lab_image.namespace())


def _sources() -> tuple[str, ...]:
    """This machine's own mirrors where it has some, with the firmware's component."""
    lines = lab_image.own_mirrors(recipe.SUITE)
    return tuple(f"{line} non-free-firmware" for line in lines) or recipe.public_sources()


def _proxy() -> Iterator[str]:
    """The proxy that this machine's apt uses: mmdebstrap does not read its configuration."""
    said = run(("apt-config", "dump", "Acquire::http::Proxy"), check=False).stdout
    for line in said.splitlines():
        if line.startswith("Acquire::http::Proxy ") and '""' not in line:
            yield line.rstrip(";")
