"""wulfling turns boards that people already own into a real HPC cluster and keeps it one."""

__version__ = "0.1.0"
