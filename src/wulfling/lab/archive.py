"""Where the packages of a release come from, and the keys that vouch for them."""

from __future__ import annotations

import hashlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from wulfling.errors import WulflingError
from wulfling.lab.needs import program
from wulfling.proc import run

PATIENCE = 180.0  # seconds


@dataclass(frozen=True)
class Archive:
    """A distribution's archive. ``origin`` is its name in apt's own lists, ``keyring`` the file
    with its keys on every system of its kind, ``mirror`` where to ask when this machine is of
    another kind (empty: mmdebstrap knows)."""

    origin: str
    components: tuple[str, ...]
    keyring: str
    mirror: str = ""

    def mirrors(self, release: str, targets: str) -> tuple[str, ...]:
        """The sources.list lines for ``release`` that this machine itself uses, from apt's own
        list, or else the archive's own.

        Empty when mmdebstrap knows better. Boards ask through the package cache, which speaks
        http.
        """
        lines = set()
        suites = (release, f"{release}-updates", f"{release}-security")
        for target in targets.splitlines():
            fields = target.split("|")
            if len(fields) != 5:
                continue
            kind, origin, suite, component, uri = fields
            if kind == "Packages" and origin == self.origin and suite in suites:
                scheme, _, rest = uri.partition("://")
                if scheme in ("http", "https") and component in self.components:
                    lines.add(f"deb http://{rest} {suite} {component}")
        if any(f" {release} " in line for line in lines):
            return tuple(sorted(lines))
        everything = " ".join(self.components)
        return tuple(f"deb {self.mirror} {suite} {everything}" for suite in suites if self.mirror)


DEBIAN = Archive("Debian", ("main",), "/usr/share/keyrings/debian-archive-keyring.gpg")
UBUNTU = Archive(
    "Ubuntu",
    ("main", "universe"),
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    "http://archive.ubuntu.com/ubuntu",
)
# Debian has no package of Ubuntu's keys. This is Ubuntu's own; in it, the archive's key of 2018
# has the fingerprint F6ECB3762474EDA9D21B7022871920D1991BC93C.
UBUNTU_KEYS = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"


def archive(release: str) -> Archive:
    """The archive that has ``release``."""
    return UBUNTU if release == "noble" else DEBIAN


def keyring(source: Archive, folder: Path, proxy: str) -> Path:
    """The keys of ``source``: this machine's own, or for Ubuntu fetched once into ``folder``.

    Raises ``WulflingError`` when what comes is not the pinned package.
    """
    own = Path(source.keyring)
    if own.is_file() or source is not UBUNTU:
        return own
    kept = folder / UBUNTU_KEYS_SHA256[:12]
    if not (kept / own.relative_to("/")).is_file():
        package = folder / f"{kept.name}.deb"
        package.write_bytes(_fetch(f"{source.mirror}/{UBUNTU_KEYS}", proxy))
        run((program("dpkg-deb"), "--extract", str(package), str(kept)))
        package.unlink()
    return kept / own.relative_to("/")


def _fetch(url: str, proxy: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            data: bytes = answer.read()
    except OSError as error:
        raise WulflingError(f"{url}: {error}", hint="wulfling lab up, to try again") from None
    if hashlib.sha256(data).hexdigest() != UBUNTU_KEYS_SHA256:
        raise WulflingError(
            f"{url} is not the file with the sha256 {UBUNTU_KEYS_SHA256[:12]}...",
            hint="nothing was installed; ask whoever runs the mirror or the proxy",
        )
    return data
