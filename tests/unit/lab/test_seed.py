"""The archive that gives a board its identity."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.unit.lab.test_record import lab_spec

from wulfling.lab import seed
from wulfling.lab.places import BoardFiles
from wulfling.lab.record import Record

SPEC = lab_spec(("n1", "10.0.0.1"), ("n2", "10.0.0.2"))
RECORD = Record(SPEC, "token", ())
KEY = (b"private\n", "ssh-ed25519 AAAA n1")


def archive() -> dict[str, tarfile.TarInfo]:
    """The members of a board's archive by name."""
    content = seed.make(RECORD, SPEC.boards[0], KEY)
    assert len(content) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {entry.name: entry for entry in tar.getmembers()}


def text(path: str, record: Record = RECORD) -> str:
    """The content of one member."""
    with tarfile.open(fileobj=io.BytesIO(seed.make(record, SPEC.boards[0], KEY))) as tar:
        file = tar.extractfile(path)
        assert file is not None
        return file.read().decode()


def test_secrets_and_sudo_have_the_modes_their_readers_insist_on() -> None:
    entries = archive()
    modes = {
        "once/etc/ssh/ssh_host_ed25519_key": 0o600,
        "always/etc/sudoers.d/lab-admin": 0o440,
        f"always{seed.home('admin')}/.ssh/authorized_keys": 0o600,
        f"always{seed.home('admin')}/.ssh": 0o700,
    }
    assert {path: entries[path].mode for path in modes} == modes


def test_what_an_installer_writes() -> None:
    assert text("once/etc/hostname") == "n1\n"
    assert "127.0.1.1\tn1\n" in text("once/etc/hosts")


def test_the_network_is_matched_exactly() -> None:
    network = text("always/etc/systemd/network/10-lab.network")
    assert "Name=vec0\nMACAddress=02:57:0a:00:00:01\n" in network
    assert "Address=10.0.0.1/24\nGateway=10.0.0.254\n" in network


def test_apt_asks_the_cache_and_is_told_what_this_machine_is_told() -> None:
    apt = text(
        "always/etc/apt/apt.conf.d/30lab-mirror",
        Record(SPEC, "t", ('Acquire::Check-Date "false"',)),
    )
    assert apt == 'Acquire::http::Proxy "http://10.0.0.254:3142";\nAcquire::Check-Date "false";\n'


def test_equal_input_makes_equal_bytes() -> None:
    assert seed.make(RECORD, SPEC.boards[0], KEY) == seed.make(RECORD, SPEC.boards[0], KEY)


def test_machine_ids_differ_between_boards_and_between_labs() -> None:
    ids = {
        seed.machine_id(Record(SPEC, token, ()), board)
        for token in ("one", "two")
        for board in SPEC.boards
    }
    assert len(ids) == 4
    assert all(len(found) == 32 and int(found, 16) for found in ids)


def test_a_host_key_is_made_once_and_is_a_key(tmp_path: Path) -> None:
    files = BoardFiles(tmp_path)
    private, public = seed.host_key(files)
    assert seed.host_key(files) == (private, public)
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(files.host_key)], capture_output=True, text=True, check=True
    )
    assert derived.stdout.split()[:2] == public.split()[:2]


def test_a_key_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    files = BoardFiles(tmp_path)
    seed.host_key(files)
    files.host_key.unlink()
    assert seed.host_key(files)[0] == files.host_key.read_bytes()


def test_the_script_a_board_runs_is_sound_shell() -> None:
    subprocess.run(["/bin/sh", "-n"], input=text("apply"), text=True, check=True)
