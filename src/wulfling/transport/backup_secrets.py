"""What opens a cluster's backup, on this machine too: it is needed when the head is gone.

The files are ``backup_password``, ``backup_key`` and ``backup_key.pub`` in the cluster's own
folder, which nobody else may look into. The head has the same; its are those that count.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from wulfling.model.cluster import BackupSecrets
from wulfling.transport.pins import held, new_key, state_directory, write_beside

PASSWORD, KEY, PUBLIC = "backup_password", "backup_key", "backup_key.pub"


def kept(cluster: str) -> BackupSecrets | None:
    """Those that this machine has, all of them or none."""
    folder = state_directory(cluster)
    try:
        password, key, public = (
            (folder / name).read_text(encoding="ascii") for name in (PASSWORD, KEY, PUBLIC)
        )
    except FileNotFoundError:
        return None
    return BackupSecrets(password.strip(), key, public.strip())


def settled(cluster: str, from_head: BackupSecrets | None) -> BackupSecrets:
    """The head's, which this machine keeps from now on; or, while the head has none, those of
    this machine, made when they are missing. Raises ``CommandFailed``."""
    here = kept(cluster)
    if from_head is not None and from_head != here:
        _keep(cluster, from_head)
    return from_head or here or _made(cluster)


def place(cluster: str) -> Path:
    """The file with the password."""
    return state_directory(cluster) / PASSWORD


def _made(cluster: str) -> BackupSecrets:
    folder = state_directory(cluster)
    with held(folder):
        if (found := kept(cluster)) is not None:  # somebody was faster
            return found
        new_key(folder / KEY, f"wulfling-backup-{cluster}")
        # The password last: where it is, all are.
        write_beside(folder / PASSWORD, f"{secrets.token_hex(32)}\n")
    found = kept(cluster)
    assert found is not None
    return found


def _keep(cluster: str, new: BackupSecrets) -> None:
    folder = state_directory(cluster)
    with held(folder):
        write_beside(folder / KEY, new.key)
        write_beside(folder / PUBLIC, f"{new.public}\n")
        write_beside(folder / PASSWORD, f"{new.password}\n")
