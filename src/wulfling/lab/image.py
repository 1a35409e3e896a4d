"""The image all boards start from: built once per recipe, read-only, named by its inputs."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab import modules, needs, recipe
from wulfling.lab.archive import archive, keyring
from wulfling.lab.needs import program, search_path
from wulfling.lab.places import cache_root, private_folder, state_root
from wulfling.lab.record import held
from wulfling.proc import run

_BUILD_PATIENCE = 3600.0


@dataclass(frozen=True)
class Ingredients:
    """Everything an image depends on."""

    release: str
    kernel: str
    mirrors: tuple[str, ...]
    apt_options: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The release, and a hash of all ingredients."""
        text = "\0".join(
            (
                self.release,
                self.kernel,
                str(recipe.SIZE_MB),
                recipe.BUILD_SCRIPT,
                *recipe.PACKAGES,
                *recipe.LEFT_OUT,
                *modules.WANTED,
                *self.mirrors,
                *self.apt_options,
            )
        )
        digest = hashlib.sha256(text.encode() + recipe.overlay()).hexdigest()
        return f"{self.release}-{digest[:12]}.ext4"


def folder() -> Path:
    """Where images are."""
    return cache_root() / "images"


def ingredients(release: str) -> Ingredients:
    """What an image made now would be made of."""
    return Ingredients(release, modules.kernel_version(), own_mirrors(release), apt_options())


def ensure(proxy: str, say: Callable[[str], None], release: str) -> Path:
    """The image of ``release``, built now if it is missing; packages come through ``proxy``.

    Raises ``WulflingError`` when this machine cannot build it, or with the end of what the
    build said.
    """
    wanted = ingredients(release)
    image = folder() / wanted.file_name
    if image.is_file():
        return image
    needs.check(needs.this_machine(image_wanted=True))
    private_folder(folder())
    lock = folder() / f".{wanted.file_name}.lock"
    with held(lock, f"the image {image.name}", patience=_BUILD_PATIENCE):
        if not image.is_file():
            say(f"building the {wanted.release} image (once; it is kept in {folder()})")
            _sweep(wanted.file_name)
            _build(wanted, image, proxy)
            _forget_old(image)
    return image


def _build(wanted: Ingredients, image: Path, proxy: str) -> None:
    """Make the image under another name, and give it its own when it is safely on disk."""
    work = folder() / f".build-{image.name}"
    private_folder(work)
    fresh, overlay, wishes = (
        work.with_name(f"{work.name}.{end}") for end in ("new", "tar", "modules")
    )
    overlay.write_bytes(recipe.overlay())
    wishes.write_text("\n".join(modules.files(wanted.kernel)) + "\n")
    words = (
        *namespace(),
        "/bin/sh",
        "-c",
        recipe.BUILD_SCRIPT,
        "build",
        *(str(path) for path in (work, fresh, overlay, wishes)),
        wanted.kernel,
        str(recipe.SIZE_MB),
        wanted.release,
        f"--include={','.join(recipe.PACKAGES)}",
        f"--keyring={keyring(archive(wanted.release), folder(), proxy)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.LEFT_OUT),
        f'--aptopt=Acquire::http::Proxy "{proxy}"',
        '--aptopt=Acquire::http::Timeout "180"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={option}" for option in wanted.apt_options),
        "--skip=cleanup/apt/lists",
    )
    try:
        sources = "\n".join((*wanted.mirrors, ""))
        done = run(
            words,
            stdin=sources,
            check=False,
            timeout=_BUILD_PATIENCE,
            env=_environment(wanted, work),
        )
        if done.code != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
            raise WulflingError(
                f"the image could not be built:\n{said}", hint="wulfling lab up, to try again"
            )
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.chmod(0o444)
        fresh.rename(image)
    finally:
        _sweep(image.name)


def _environment(wanted: Ingredients, work: Path) -> dict[str, str]:
    return environment(
        work,
        KEYRING=archive(wanted.release).keyring,
        MODULE_ROOT=str(modules.MODULE_ROOT),
        MIRRORS="-" if wanted.mirrors else "",
    )


def environment(work: Path, **more: str) -> dict[str, str]:
    """What a build script knows besides its arguments: ``more``, and nothing of ours."""
    return {
        "PATH": search_path(),
        "LANG": "C.UTF-8",
        "HOME": str(work),
        "TMPDIR": str(work),
        "DEBIAN_FRONTEND": "noninteractive",
        **more,
    }


def namespace() -> tuple[str, ...]:
    """The words that run a program as root of its own mounts and processes.

    A plain user gets a user namespace with its subordinate ids; root is root already. All that
    was started ends with us: ``--pdeathsig`` ends ``unshare``, and that ends its child, which
    is the first of the pid namespace.
    """
    unshare = program("unshare")
    mapped = ("--user", "--map-auto", "--map-root-user") if os.getuid() else ()
    return (
        unshare,
        *mapped,
        "--mount",
        "--propagation=private",
        program("setpriv"),
        "--pdeathsig=KILL",
        unshare,
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    )


def _sweep(file_name: str) -> None:
    """Remove what builds left behind: those of this image, whose lock must be held, and others
    that began so long ago that nobody waits for them."""
    for path in folder().glob(".build-*"):
        own = path.name.startswith(f".build-{file_name}")
        if not own and time.time() - path.stat().st_mtime < 2 * _BUILD_PATIENCE:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _forget_old(image: Path) -> None:
    """Remove images of other recipes that no board has a hard link to, if boards have such."""
    labs = state_root()
    if not labs.is_dir() or labs.stat().st_dev != image.stat().st_dev:
        return
    release = image.name.rpartition("-")[0]
    for other in folder().glob(f"{release}-*.ext4"):
        if other != image and other.stat().st_nlink == 1:
            other.unlink(missing_ok=True)


def apt_options() -> tuple[str, ...]:
    """What this machine's apt was told about the age of indices; boards share its mirrors."""
    said = run(("apt-config", "dump"), check=False).stdout
    names = ("Acquire::Check-Date ", "Acquire::Check-Valid-Until ")
    lines = (line.rstrip(";") for line in said.splitlines() if line.startswith(names))
    return tuple(sorted(lines))


def own_mirrors(release: str) -> tuple[str, ...]:
    """The sources.list lines for ``release`` of the machine we run on; see ``Archive.mirrors``."""
    form = "$(CREATED_BY)|$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
    targets = run(("apt-get", "indextargets", "--format", form), check=False).stdout
    return archive(release).mirrors(release, targets)
