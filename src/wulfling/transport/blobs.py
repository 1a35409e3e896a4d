"""Brings pinned files to the operator's cache, for boards that have no internet of their own."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from wulfling import proc
from wulfling.errors import WulflingError
from wulfling.model.wheels import WHEELS, WheelPin

# PEP 600 platform tags, oldest first: pip takes a wheel only for a tag that it is told.
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_PLATFORMS = ("manylinux1", "manylinux2014", "manylinux_2_5", "manylinux_2_17", "manylinux_2_28")


def cache_directory() -> Path:
    """Where blobs are kept, each under its own sha256: all of it can be fetched again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wulfling" / "blobs"


def blob(sha256: str) -> bytes:
    """The content with this hash, from the cache or, the first time, from PyPI by pip.

    Raises ``WulflingError`` when nothing with this hash is pinned or what came is not it.
    """
    kept = cache_directory() / sha256
    if kept.exists():
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    for pin in WHEELS:
        if pin.sha256 == sha256:
            return _fetched(pin, kept)
    raise WulflingError(f"no file with the sha256 {sha256[:12]}... is pinned")


def _fetched(pin: WheelPin, kept: Path) -> bytes:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        proc.run(_pip_arguments(pin, folder), hint="this machine needs PyPI once; then try again")
        for file in Path(folder).glob("*.whl"):
            data = file.read_bytes()
            if hashlib.sha256(data).hexdigest() == pin.sha256:
                file.replace(kept)
                return data
    raise WulflingError(
        f"PyPI gave another {pin.distribution} {pin.version} than the pinned {pin.sha256[:12]}...",
        hint="nothing was installed; compare the hash with the project's own announcement",
    )


def _pip_arguments(pin: WheelPin, folder: str) -> list[str]:
    machine = _MACHINES[pin.arch]
    arguments = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    arguments += ["--only-binary=:all:", "--python-version", pin.python, "--dest", folder]
    for platform in _PLATFORMS:
        arguments += ["--platform", f"{platform}_{machine}"]
    return [*arguments, f"{pin.distribution}=={pin.version}"]
