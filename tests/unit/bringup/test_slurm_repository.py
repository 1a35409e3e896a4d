"""The cluster's own repository: what has to be built, and that gpg itself accepts the signature."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from tests.unit.measured import PI

from wulfling.bringup import slurm_repository
from wulfling.bringup.slurm_build import Wanted
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node, Role, Slurm, SlurmBuild

KIND = Wanted("24.11.5", "trixie", "bookworm", "12", "arm64")
DEB = b"a package"
INDEX = f"""Package: slurm-smd
Filename: ./slurm-smd_24.11.5-1_arm64.deb
SHA256: {hashlib.sha256(DEB).hexdigest()}
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A head of Debian 12 and a board of Debian 13, and a machine that has built nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    newer = replace(PI, os_version="13", os_codename="trixie")
    return Cluster(
        name="c",
        network=IPv4Network("10.0.0.0/24"),
        domain="home.local",
        virtual=False,
        head="n1",
        nodes=(
            Node("n1", IPv4Address("10.0.0.1"), frozenset({Role.HEAD, Role.COMPUTE}), PI),
            Node("n2", IPv4Address("10.0.0.2"), frozenset({Role.COMPUTE}), newer),
        ),
        storage=(),
        slurm=Slurm(partitions=(), build=SlurmBuild("24.11.5", "trixie")),
        people=(),
        admin="wulfling",
        admin_keys=(),
        login="pi",
    )


@pytest.fixture
def built(cluster: Cluster) -> Cluster:
    KIND.folder.mkdir(parents=True)
    (KIND.folder / "slurm-smd_24.11.5-1_arm64.deb").write_bytes(DEB)
    (KIND.folder / "Packages").write_text(INDEX)
    return cluster


def test_only_boards_without_this_version_need_a_build(cluster: Cluster) -> None:
    assert slurm_repository.wanted(cluster) == (KIND,)


def test_a_board_that_is_no_debian_is_refused_by_name(cluster: Cluster) -> None:
    ubuntu = replace(PI, os_id="ubuntu", os_version="24.04", os_codename="noble")
    head, other = cluster.nodes
    with pytest.raises(WulflingError, match="Ubuntu 24.04") as caught:
        slurm_repository.wanted(replace(cluster, nodes=(head, replace(other, hardware=ubuntu))))
    assert caught.value.where == "n2"


def test_what_is_not_built_is_named_with_the_command(cluster: Cluster) -> None:
    with pytest.raises(WulflingError, match="not built yet for Debian 12 arm64") as caught:
        slurm_repository.joined(cluster)
    assert caught.value.hint.startswith("wulfling build")


def test_a_board_gets_a_package_by_its_hash_and_nothing_else(built: Cluster) -> None:
    kinds = slurm_repository.wanted(built)
    assert slurm_repository.blob(kinds, hashlib.sha256(DEB).hexdigest()) == DEB
    index = hashlib.sha256(INDEX.encode()).hexdigest()
    assert slurm_repository.blob(kinds, index) is None


@pytest.mark.skipif(not shutil.which("gpgv"), reason="there is no gpgv here")
def test_gpgv_accepts_the_list_and_a_second_plan_gets_the_same(
    built: Cluster, tmp_path: Path
) -> None:
    slurm = slurm_repository.joined(built).slurm
    assert slurm
    assert slurm.build
    (repository,) = slurm.build.repositories
    assert hashlib.sha256(INDEX.encode()).hexdigest() in repository.release
    assert slurm_repository.joined(built).slurm == slurm
    (tmp_path / "key.asc").write_text(slurm.build.key)
    words = ["gpg", "--batch", "--dearmor", "--output", "key.gpg", "key.asc"]
    subprocess.run(words, cwd=tmp_path, check=True)
    checked = subprocess.run(
        ["gpgv", "--keyring", str(tmp_path / "key.gpg")],
        input=repository.release,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "PRIVATE" not in slurm.build.key


@pytest.mark.skipif(not shutil.which("gpg"), reason="there is no gpg here")
def test_nobody_else_reads_the_private_key(built: Cluster, tmp_path: Path) -> None:
    slurm_repository.joined(built)
    folder = tmp_path / "state/wulfling/clusters/c/apt"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for place in folder.iterdir():
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
