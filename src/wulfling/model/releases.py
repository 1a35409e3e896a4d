"""The releases of Debian and Ubuntu that a virtual board can start from, by code name."""

from __future__ import annotations

from typing import Final, Literal

Release = Literal["bookworm", "trixie", "noble"]
DEFAULT_RELEASE: Final = "bookworm"
