"""What every block of the cluster file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A block of the file: unknown keys are refused, and nobody changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
