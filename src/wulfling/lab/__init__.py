"""Virtual boards: user-mode-linux Debian machines on this PC, joined by a network of their own."""

from wulfling.lab.lab import (
    console_path,
    cut,
    destroy,
    dial,
    down,
    host_key,
    inside,
    list_labs,
    plug,
    proxy_command,
    relay_socket,
    start,
    status,
    up,
)
from wulfling.lab.record import BoardSpec, BoardStatus, LabSpec, LabStatus

__all__ = [
    "BoardSpec",
    "BoardStatus",
    "LabSpec",
    "LabStatus",
    "console_path",
    "cut",
    "destroy",
    "dial",
    "down",
    "host_key",
    "inside",
    "list_labs",
    "plug",
    "proxy_command",
    "relay_socket",
    "start",
    "status",
    "up",
]
