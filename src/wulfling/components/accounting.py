"""Who used what and how much they may: MariaDB and slurmdbd on the head."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.node.resources.database import Database
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

MARIADB_FILE = "/etc/mysql/mariadb.conf.d/99-wulfling.cnf"
SLURMDBD_FILE = "/etc/slurm/slurmdbd.conf"
DROP_IN = "/etc/systemd/system/slurmdbd.service.d/wulfling.conf"

# slurmdbd asks for these two (accounting.html of Slurm); the buffer pool fits a 1 GB board.
# The pool's maximum is a start-up reservation and has to be there before the first start.
MARIADB_TEXT = """[mysqld]
bind-address = 127.0.0.1
innodb_buffer_pool_size = 64M
loose-innodb_buffer_pool_size_max = 128M
innodb_log_file_size = 64M
innodb_lock_wait_timeout = 900
performance_schema = OFF
"""

DROP_IN_TEXT = """[Unit]
After=mariadb.service munge.service
Wants=mariadb.service
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=2
"""


def before(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The database's memory limits, which count from its first start on."""
    if _keeps_accounts(cluster, node):
        yield Directory(path="/etc/mysql")
        yield Directory(path="/etc/mysql/mariadb.conf.d")
        yield _mariadb_settings()


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """The database and the daemon in front of it. No password exists: the socket knows
    which user is calling (2-33)."""
    if not _keeps_accounts(cluster, node):
        return
    assert cluster.slurm
    settings = _mariadb_settings()
    yield Packages(
        names=("mariadb-server", *cluster.slurm.packages(node, "slurmdbd")),
        versions=cluster.slurm.versions(node, "slurmdbd"),
        why="accounts and finished jobs",
    )
    yield Service(
        unit="mariadb.service",
        configured=digest(settings.content),
        watches=(settings.key,),
        why="the database of jobs and accounts",
    )
    yield Database(
        database="slurm_acct_db",
        user="slurm",
        why="slurmdbd's own database, open to the system user slurm through the socket alone",
    )
    daemon = File(
        path=SLURMDBD_FILE,
        content=_slurmdbd_conf(cluster),
        owner="slurm",
        group="slurm",
        mode=0o600,
        why="slurmdbd.conf(5) (2-34); slurmdbd refuses a file that others can read",
    )
    drop_in = File(
        path=DROP_IN, content=DROP_IN_TEXT, why="start after the database, and start again"
    )
    yield daemon
    yield Directory(path=DROP_IN.rpartition("/")[0])
    yield drop_in
    yield Service(
        unit="slurmdbd.service",
        configured=digest(daemon.content, drop_in.content, *cluster.slurm.version_read),
        watches=(daemon.key, drop_in.key, "service:munge.service"),
        ready=("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6819"),
        why="keeps the accounts; the controller has to find it at its first start",
    )


def _keeps_accounts(cluster: Cluster, node: Node) -> bool:
    return cluster.slurm is not None and cluster.secrets is not None and node.name == cluster.head


def _mariadb_settings() -> File:
    return File(
        path=MARIADB_FILE,
        content=MARIADB_TEXT,
        why="a database that fits beside Slurm on a 1 GB board and listens to nobody outside",
    )


def _slurmdbd_conf(cluster: Cluster) -> str:
    pairs = {
        "AuthType": "auth/munge",
        "DbdHost": cluster.head,
        "LogFile": "/var/log/slurm/slurmdbd.log",
        "PidFile": "/run/slurmdbd.pid",
        "SlurmUser": "slurm",
        "StorageHost": "localhost",
        "StorageLoc": "slurm_acct_db",
        "StorageType": "accounting_storage/mysql",
        "StorageUser": "slurm",
    }
    return "".join(f"{key}={value}\n" for key, value in pairs.items())
