"""Builds one version of Slurm as Debian packages for a release, in a clean root, without root.

The source is the tarball of a Debian release, which apt checks against Debian's signed index, and
the packaging is the one in it; why is in docs/explanation/slurm-from-source.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab import image, needs
from wulfling.lab.archive import DEBIAN
from wulfling.lab.places import cache_root, private_folder
from wulfling.lab.record import held
from wulfling.proc import run

PATIENCE = 2 * 3600.0
SOURCE = "http://deb.debian.org/debian"

# Runs as (mapped) root in mount and pid namespaces of its own; the tree is in memory, and goes
# with the namespace however the build ends. apt compares the tarball with Debian's signed index.
SCRIPT = r"""set -eu
work=$1 packages=$2 codename=$3 suite=$4 version=$5 suffix=$6
shift 6
mount -t tmpfs -o mode=0755,size=75% build "$work"
tree=$work/tree
mmdebstrap --mode=root --variant=buildd --format=directory "$@" \
    --include=apt-utils,ca-certificates,dpkg-dev "$codename" "$tree" ${MIRRORS:+"$MIRRORS"}
mount --bind /proc "$tree/proc"
mount --bind /dev "$tree/dev"
cp "$KEYRING" "$tree/usr/share/keyrings/slurm-source.gpg"
echo "deb-src [signed-by=/usr/share/keyrings/slurm-source.gpg] $SOURCE $suite main" \
    > "$tree/etc/apt/sources.list.d/slurm-source.list"
mkdir -m 755 "$tree/build" "$tree/packages"
cat > "$tree/build/steps" <<'END'
set -eu
version=$1 suffix=$2 suite=$3 codename=$4
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root TMPDIR=/tmp
cd /build
apt-get -q update
full=$(apt-cache showsrc --only-source slurm-wlm \
    | sed -n "s/^Version: \($version-.*\)/\1/p" | tail -n 1)
test -n "$full" || { echo "$suite has no Slurm $version"; exit 9; }
apt-get -q --download-only --tar-only source "slurm-wlm=$full"
sha256sum ./*.orig.tar.* > /packages/source
mkdir slurm
tar -x --strip-components=1 -C slurm -f ./*.orig.tar.*
cd slurm
date=$(dpkg-parsechangelog -S Date)
printf 'slurm-smd (%s) %s; urgency=medium\n\n  * Built by wulfling.\n\n -- %s  %s\n' \
    "$version-1$suffix" "$codename" "wulfling <wulfling@localhost>" "$date" > debian/changelog
apt-get -q -y --no-install-recommends build-dep ./
export DEB_BUILD_OPTIONS="nocheck nodoc noautodbgsym parallel=$(nproc)"
export DEB_BUILD_PROFILES="nocheck nodoc"
dpkg-buildpackage -b -uc -us
cd ..
for package in slurm-smd slurm-smd-client slurm-smd-slurmctld \
    slurm-smd-slurmd slurm-smd-slurmdbd; do
    mv "${package}"_*.deb /packages
done
cd /packages
apt-ftparchive packages . > Packages
END
chroot "$tree" /bin/sh /build/steps "$version" "$suffix" "$suite" "$codename"
cp "$tree"/packages/* "$packages"
"""


@dataclass(frozen=True)
class Wanted:
    """Slurm ``version`` ("24.11.5") from the release ``source`` ("trixie") for a kind of board."""

    version: str
    source: str
    codename: str  # "bookworm"
    os_version: str  # "12"
    arch: str  # "amd64"

    @property
    def folder(self) -> Path:
        """Where the packages are kept, by all that they are made of."""
        made_of = hashlib.sha256(SCRIPT.encode()).hexdigest()[:12]
        name = f"{self.version}-{self.source}-{self.codename}-{self.arch}-{made_of}"
        return cache_root() / "slurm" / name

    @property
    def is_built(self) -> bool:
        """Whether a build of this has come to its end."""
        return (self.folder / "Packages").is_file()


def build(wanted: Wanted, proxy: str, say: Callable[[str], None]) -> Path:
    """The folder with the packages and their index, built now if it is missing.

    Raises ``WulflingError`` when this machine cannot build it, or with the end of what the
    build said.
    """
    if wanted.is_built:
        return wanted.folder
    _can_build(wanted)
    private_folder(wanted.folder.parent)
    lock = wanted.folder.with_name(f".{wanted.folder.name}.lock")
    with held(lock, f"the build of Slurm for {wanted.codename}", patience=PATIENCE):
        if not wanted.is_built:
            say(f"building Slurm {wanted.version} for Debian {wanted.os_version} {wanted.arch}")
            _build(wanted, proxy)
    return wanted.folder


def _can_build(wanted: Wanted) -> None:
    here = run(("dpkg", "--print-architecture")).stdout.strip()
    if here != wanted.arch:
        raise WulflingError(
            f"Slurm for {wanted.arch} is built on an {wanted.arch} machine, this one is {here}",
            hint=f"run the same command on a {wanted.arch} machine with Debian, and copy what it"
            f" leaves in {wanted.folder} to the same folder here",
        )
    needs.check(needs.this_machine(image_wanted=True))


def _build(wanted: Wanted, proxy: str) -> None:
    fresh = wanted.folder.with_name(f".new-{wanted.folder.name}")
    work = wanted.folder.with_name(f".work-{wanted.folder.name}")
    for folder in (fresh, work):
        shutil.rmtree(folder, ignore_errors=True)
        private_folder(folder)
    mirrors = image.own_mirrors(wanted.codename)
    try:
        done = run(
            _words(wanted, proxy, work, fresh),
            stdin="\n".join((*mirrors, "")),
            check=False,
            timeout=PATIENCE,
            env=image.environment(
                work, KEYRING=DEBIAN.keyring, SOURCE=SOURCE, MIRRORS="-" if mirrors else ""
            ),
        )
        if done.code != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
            raise WulflingError(f"Slurm could not be built:\n{said}", hint="wulfling build")
        os.sync()  # the name says that all of it is there
        fresh.rename(wanted.folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)


def _words(wanted: Wanted, proxy: str, work: Path, fresh: Path) -> Sequence[str]:
    return (
        *image.namespace(),
        *("/bin/sh", "-c", SCRIPT, "build", str(work), str(fresh)),
        *(wanted.codename, wanted.source, wanted.version, f"~wulfling{wanted.os_version}+1"),
        f'--aptopt=Acquire::http::Proxy "{proxy}"',
        '--aptopt=Acquire::http::Timeout "180"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={option}" for option in image.apt_options()),
    )
