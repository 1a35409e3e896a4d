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
    value = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(value) if value.startswith("/") else Path.home() / ".cache"
    return base / "wulfling" / "blobs"


def blob(sha256: str) -> bytes:
    """The content with this hash, from the cache or, the first time, from PyPI by pip.

    Raises ``WulflingError`` when nothing with this hash is pinned, when what came is not it,
    and when it cannot be kept.
    """
    # A board asks for it by name: nothing else on this machine is even opened.
    pin = next((pin for pin in WHEELS if pin.sha256 == sha256), None)
    if pin is None:
        raise WulflingError(f"no file with the sha256 {sha256[:12]}... is pinned")
    kept = cache_directory() / sha256
    try:
        return _kept(pin, kept) or _fetched(pin, kept)
    except OSError as error:
        raise WulflingError(
            f"{pin.distribution} cannot be kept in {kept.parent}: {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder that you may write to",
        ) from None


def _kept(pin: WheelPin, kept: Path) -> bytes | None:
    data = kept.read_bytes() if kept.is_file() else b""
    return data if hashlib.sha256(data).hexdigest() == pin.sha256 else None


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
