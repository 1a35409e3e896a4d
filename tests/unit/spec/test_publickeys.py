"""Public keys: lines and files are taken whole, private keys are refused and never quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wulfling.spec.problem import Refused
from wulfling.spec.publickeys import operator_keys, public_keys

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
KEY = f"ssh-ed25519 {BLOB} kim@laptop"
OTHER = f"ssh-ed25519 {BLOB[:-4]}AAAA"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    return folder


def refused(entry: str, folder: Path) -> str:
    with pytest.raises(Refused) as caught:
        public_keys(entry, folder)
    assert caught.value.hint
    said = caught.value.message + caught.value.hint
    assert "c2VjcmV0" not in said
    return said


def test_a_key_itself(tmp_path: Path) -> None:
    assert public_keys(KEY, tmp_path) == (KEY,)
    assert public_keys(f"  {OTHER}\n", tmp_path) == (OTHER,)


def test_a_file_beside_the_cluster_file_and_one_at_home(tmp_path: Path, home: Path) -> None:
    (tmp_path / "kim.pub").write_text(f"{KEY}\n", encoding="utf-8")
    (home / "id_ed25519.pub").write_text(f"# mine\n\n{KEY}\n{OTHER}\n", encoding="utf-8")
    assert public_keys("kim.pub", tmp_path) == (KEY,)
    assert public_keys(str(tmp_path / "kim.pub"), Path("/")) == (KEY,)
    assert public_keys("~/.ssh/id_ed25519.pub", tmp_path) == (KEY, OTHER)


def test_lines_that_are_no_key(tmp_path: Path) -> None:
    assert "is not whole" in refused(KEY[:60], tmp_path)
    assert "is not whole" in refused(f"ssh-ed25519 {BLOB}=", tmp_path)
    assert "is not whole" in refused(f"ssh-rsa {BLOB}", tmp_path)
    assert "'ssh-dss' are not taken" in refused(f"ssh-dss {BLOB}", tmp_path)
    assert "one public key on one line" in refused(
        f"ssh-ed25519 {BLOB[:20]}\n{BLOB[20:]}", tmp_path
    )


def test_a_private_key_is_refused_loudly(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text(PRIVATE, encoding="utf-8")
    (tmp_path / "key.ppk").write_text("PuTTY-User-Key-File-3: c2VjcmV0", encoding="utf-8")
    said = refused("id_ed25519", tmp_path)
    assert "'id_ed25519' is a PRIVATE key" in said
    assert "id_ed25519.pub" in said
    assert "is a PRIVATE key" in refused("key.ppk", tmp_path)
    refused(PRIVATE, tmp_path)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pub").touch()
    (tmp_path / "bytes.pub").write_bytes(b"\xff\xfe")
    (tmp_path / "words.pub").write_text("hello\n", encoding="utf-8")
    (tmp_path / "large.pub").write_text(f"{KEY}\n" * 1000, encoding="utf-8")
    os.mkfifo(tmp_path / "fifo.pub")
    assert "there is no key file 'missing.pub'" in refused("missing.pub", tmp_path)
    assert "there is no key in 'empty.pub'" in refused("empty.pub", tmp_path)
    assert "is not a file of public keys" in refused("bytes.pub", tmp_path)
    assert "'words.pub': this is not one public key" in refused("words.pub", tmp_path)
    assert "it is larger than 64 KiB" in refused("large.pub", tmp_path)
    assert "it is not a regular file" in refused("fifo.pub", tmp_path)
    assert "it is a directory" in refused(".", tmp_path)
    assert "no home folder" in refused("~nobody-has-this-name/x.pub", tmp_path)
    assert "null" in refused("a\0b", tmp_path)


def test_the_operators_own_keys(home: Path) -> None:
    assert operator_keys() == ()
    (home / "id_rsa.pub").write_text("broken", encoding="utf-8")
    (home / "id_ed25519").write_text(PRIVATE, encoding="utf-8")
    (home / "id_ed25519.pub").write_text(f"{KEY}\n", encoding="utf-8")
    (home / "id_z.pub").write_text(f"{OTHER}\n{KEY}\n", encoding="utf-8")
    assert operator_keys() == (KEY, OTHER)
