"""The authority for host keys: one line for people, and a certificate that OpenSSH accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.golden.test_golden import cluster_of
from tests.unit.measured import PI

from wulfling import proc
from wulfling.components import compile_cluster
from wulfling.components.sshd import CERTIFICATE
from wulfling.model.cluster import Cluster, Hardware
from wulfling.node.resources.sshd import HostCertificate
from wulfling.transport import host_ca, pins


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Every board with a host key of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = cluster_of("head-worker-storage")
    return replace(
        found, nodes=tuple(replace(n, hardware=own(tmp_path, n.name)) for n in found.nodes)
    )


def own(folder: Path, name: str) -> Hardware:
    key = folder / f"host-{name}"
    pins.new_key(key, name)
    public = Path(f"{key}.pub").read_text().split()[:2]
    return replace(PI, host_keys=(" ".join(public),))


def test_no_authority_and_no_certificate_before_somebody_asks(cluster: Cluster) -> None:
    assert host_ca.certificates(cluster) == ()


def test_the_line_vouches_for_every_board_by_each_of_its_names(cluster: Cluster) -> None:
    words = host_ca.line(cluster).split()
    assert words[0] == "@cert-authority"
    for node in cluster.nodes:
        assert {node.name, f"{node.name}.home.local", str(node.address)} <= set(words[1].split(","))
    private = pins.state_directory(cluster.name) / "host_ca"
    assert private.stat().st_mode & 0o777 == 0o600
    assert host_ca.line(cluster).split() == words, "the same for whoever asks next"


def test_a_replaced_board_gets_another_certificate_of_the_same_authority(
    cluster: Cluster, tmp_path: Path
) -> None:
    host_ca.line(cluster)
    before = dict(host_ca.certificates(cluster))
    assert before == dict(host_ca.certificates(cluster)), "signed once"
    first = cluster.nodes[0]
    new = replace(
        cluster, nodes=(replace(first, hardware=own(tmp_path, "new")), *cluster.nodes[1:])
    )
    after = dict(host_ca.certificates(new))
    changed = [name for name, text in after.items() if text != before[name]]
    assert changed == [first.name]
    shown = tmp_path / "shown.pub"
    shown.write_text(after[first.name])
    told = proc.run(["ssh-keygen", "-L", "-f", str(shown)]).stdout
    assert "host certificate" in told
    assert str(first.address) in told


def test_boards_get_the_certificate_and_never_the_authority(cluster: Cluster) -> None:
    host_ca.line(cluster)
    private = (pins.state_directory(cluster.name) / "host_ca").read_text()
    certified = replace(cluster, certificates=host_ca.certificates(cluster))
    for node, declared in compile_cluster(certified).items():
        (found,) = (r for r in declared if isinstance(r, HostCertificate))
        assert found.path == CERTIFICATE
        assert found.content == dict(certified.certificates)[node]
        for resource in declared:
            assert private not in str(getattr(resource, "content", ""))
