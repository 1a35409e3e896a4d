"""Who saves what, who keeps it, and what is there before any package."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.measured import PI

from wulfling import spec
from wulfling.components import backup, compile_cluster
from wulfling.model.cluster import BackupSecrets, Cluster, Secrets
from wulfling.model.resource import Resource
from wulfling.node.resources.file import File
from wulfling.node.resources.restored import Restored
from wulfling.spec import document

OPENS = BackupSecrets("password", "key", "ssh-ed25519 AAAA public")
FILE = """\
wulfling: 1
cluster: c
nodes:
  n1: {address: 10.0.0.1, roles: [head, compute]}
  n2: {address: 10.0.0.2}
  disk: {address: 10.0.0.3, roles: [storage]}
people:
  kim: {uid: 2001}
admin:
  keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd kim]
backup: {to: "n2:/srv/backup"}
"""


def cluster(text: str = FILE) -> Cluster:
    from pathlib import Path

    read, _ = spec.check(document.parse(text.encode(), Path("c.yaml")))
    names = ("n1", "n2", "disk")
    hardware = {name: replace(PI, machine_id=f"{name:0>32}") for name in names}
    return spec.resolve(read, hardware, Secrets(b"m" * 64, OPENS), ())


def of(found: Cluster, node: str) -> dict[str, Resource]:
    return {resource.key: resource for resource in compile_cluster(found)[node]}


def test_each_board_saves_what_is_on_its_own_disk() -> None:
    timers = {
        node: [k for k in of(cluster(), node) if k.startswith("service:wulfling-backup")]
        for node in ("n1", "n2", "disk")
    }
    assert timers == {
        "n1": ["service:wulfling-backup-head.timer", "service:wulfling-backup-drill.timer"],
        "n2": [],
        "disk": ["service:wulfling-backup-homes.timer", "service:wulfling-backup-drill.timer"],
    }


def test_homes_are_saved_by_who_has_them() -> None:
    found = cluster()
    assert [found.homes_on(node) for node in found.nodes] == [(), (), ("/home",)]
    heads = cluster(f"{FILE}storage: {{/home: n1}}\n")
    assert [heads.homes_on(node) for node in heads.nodes] == [("/home",), (), ()]
    unshared = cluster(f"{FILE}storage: false\n")
    assert [unshared.homes_on(node) for node in unshared.nodes] == [("/home",)] * 3
    own = cluster(f"{FILE}storage: {{/home/kim: disk}}\n")
    assert [own.homes_on(node) for node in own.nodes] == [(), (), ("/home/kim",)]


def test_only_the_boards_that_save_may_come_and_only_for_files() -> None:
    key = of(cluster(), "n2")[f"file:{backup.KEY_FILE}"]
    assert isinstance(key, File)
    assert key.content == (
        'restrict,from="10.0.0.1,10.0.0.3",command="internal-sftp" ssh-ed25519 AAAA public\n'
    )


def test_the_key_is_there_before_the_packages_that_may_wait_for_the_head() -> None:
    """A blank head waits for it, and with `slurm: {build: ...}` packages wait for the head."""
    keys = list(of(cluster(), "n2"))
    assert keys.index(f"file:{backup.KEY_FILE}") < keys.index("packages:apt")
    restored = of(cluster(), "n1")["restored:slurm"]
    assert restored.awaits == (f"n2/file:{backup.KEY_FILE}",)


def test_daemons_are_held_before_their_packages_and_restored_before_they_start() -> None:
    keys = list(of(cluster(), "n1"))
    drop_in = "file:/usr/local/lib/systemd/system/slurmctld.service.d/wulfling-backup.conf"
    assert keys.index(drop_in) < keys.index("state_known:slurm") < keys.index("packages:apt")
    for unit in ("slurmdbd", "slurmctld"):
        assert keys.index("restored:slurm") < keys.index(f"service:{unit}.service")
    assert keys.index("restored:slurm") < keys.index("database:slurm_acct_db")


def test_nothing_is_brought_back_unless_asked() -> None:
    found = cluster()
    assert found.backup
    plain = of(found, "n1")["restored:slurm"]
    asked = of(replace(found, backup=replace(found.backup, restore="2026-11-27T15")), "n1")
    again = asked["restored:slurm"]
    assert isinstance(plain, Restored)
    assert isinstance(again, Restored)
    assert (plain.at, again.at) == ("", "2026-11-27T15")
    assert plain == again  # a head that has its queue differs by neither


def test_a_head_that_is_away_takes_nothing_from_anybody() -> None:
    away = replace(cluster(), secrets=None)
    assert not [r for node in away.nodes for r in backup.resources(away, node)]
    assert not [r for node in away.nodes for r in backup.before(away, node)]


def test_no_backup_unless_the_file_says_so() -> None:
    none = cluster(FILE.replace("backup:", "#"))
    assert none.backup is None
    assert not [r.key for node in none.nodes for r in backup.resources(none, node)]
