"""Holes that were found in what wulfling installs, and the versions that mend them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MUNGE, PMIX, SLURM = "munge", "pmix", "slurm"

_MUNGE = ("munge", "libmunge2")
_SLURM = ("slurm-client", "slurm-wlm-basic-plugins", "slurmctld", "slurmd", "slurmdbd")


@dataclass(frozen=True)
class Advisory:
    """``packages``, all of one source, had ``cves`` before the version ``fixed`` in ``release``."""

    source: str
    release: str
    packages: tuple[str, ...]
    fixed: str
    cves: tuple[str, ...]


# Debian's rows are from the changelogs of these very packages (apt-get changelog), read on
# 2026-11-27; Ubuntu's is as others cite USN-8040-1, and was not read there. Not here: Slurm of
# Ubuntu 24.04 and Slurm that was built, for which nobody says which version mends what, and PMIx
# from Debian 13 on, which had no such hole.
ADVISORIES: Final = (
    Advisory(MUNGE, "bookworm", _MUNGE, "0.5.15-2+deb12u1", ("CVE-2026-25506",)),
    Advisory(MUNGE, "trixie", _MUNGE, "0.5.16-1.1~deb13u1", ("CVE-2026-25506",)),
    Advisory(MUNGE, "noble", _MUNGE, "0.5.15-4ubuntu0.1", ("CVE-2026-25506",)),
    Advisory(PMIX, "bookworm", ("libpmix2",), "4.2.2-1+deb12u1", ("CVE-2023-41915",)),
    Advisory(
        SLURM,
        "bookworm",
        _SLURM,
        "22.05.8-4+deb12u3",
        (
            *("CVE-2023-41914", "CVE-2023-49933", "CVE-2023-49935", "CVE-2023-49936"),
            *("CVE-2023-49937", "CVE-2023-49938", "CVE-2025-43904"),
        ),
    ),
    Advisory(
        SLURM,
        "trixie",
        _SLURM,
        "24.11.5-4+deb13u1",
        (
            *("CVE-2026-65107", "CVE-2026-65108", "CVE-2026-65109", "CVE-2026-65138"),
            *("CVE-2026-65139", "CVE-2026-65140", "CVE-2026-65165"),
        ),
    ),
)


def of_release(release: str) -> tuple[Advisory, ...]:
    """Those for a release by its code name, "bookworm"; none for one that is not known here."""
    return tuple(one for one in ADVISORIES if one.release == release)


def of_munge(release: str) -> Advisory | None:
    """The one after which the munge key may be known: what read memory could read it."""
    return next((one for one in of_release(release) if one.source == MUNGE), None)
