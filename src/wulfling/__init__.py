"""wulfling turns boards that people already own into a real HPC cluster and keeps it one."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``wulfling.Cluster``, when somebody asks for it (PEP 562): this file is also shipped to
    boards, which have nothing of it, and the command line pays only for what it uses."""
    if name != "Cluster":
        raise AttributeError(f"module 'wulfling' has no attribute {name!r}")
    import importlib

    return importlib.import_module("wulfling.jobs.functions").Cluster
