"""Who may log in where, read off roles: NIST SP 800-223's zones in clusters of each shape."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.golden.test_golden import cluster_of

from wulfling.components import compile_cluster
from wulfling.components.slurm_conf import slurm_conf
from wulfling.components.sshd import rules
from wulfling.components.zones import ACCESS_FILE, PAM_FILE
from wulfling.model.cluster import Backup, Cluster, Profile, Role
from wulfling.model.zones import Logins, Zone, logins, zones
from wulfling.node.resources.file import File
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.sshd import LoginRules

H, C, S, L = Role.HEAD, Role.COMPUTE, Role.STORAGE, Role.LOGIN
EVERYBODY, JOB, NOBODY = Logins.EVERYBODY, Logins.JOB, Logins.NOBODY


def having(*roles: set[Role], profile: Profile = Profile.SHARED) -> Cluster:
    """The golden cluster's boards with these roles; the first is the head."""
    cluster = cluster_of("head-worker-storage")
    nodes = tuple(
        replace(cluster.nodes[0], name=f"n{number}", roles=frozenset(own))
        for number, own in enumerate(roles)
    )
    return replace(cluster, nodes=nodes, head="n0", profile=profile, storage=())


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (({H}, {L}, {C}, {S}), (NOBODY, EVERYBODY, JOB, NOBODY)),
        (({H, C}, {C}, {S}), (EVERYBODY, JOB, NOBODY)),
        (({H, L}, {C}, {C}), (EVERYBODY, JOB, JOB)),
        (({H}, {L, C}), (EVERYBODY, EVERYBODY)),
        (({H, C}, {L}, {C, S}), (JOB, EVERYBODY, JOB)),
        (({H, C, S},), (EVERYBODY,)),
    ],
)
def test_who_may_log_in_where(roles: tuple[set[Role], ...], expected: tuple[Logins, ...]) -> None:
    cluster = having(*roles)
    assert tuple(logins(cluster, node) for node in cluster.nodes) == expected
    home = having(*roles, profile=Profile.HOME)
    assert {logins(home, node) for node in home.nodes} == {EVERYBODY}


def test_the_zones_of_the_standard() -> None:
    cluster = having({H}, {L}, {C}, {S})
    assert [zones(cluster, node) for node in cluster.nodes] == [
        (Zone.MANAGEMENT,),
        (Zone.ACCESS,),
        (Zone.COMPUTE,),
        (Zone.STORAGE,),
    ]
    small = having({H, C}, {S})
    assert zones(small, small.nodes[0]) == (Zone.ACCESS, Zone.MANAGEMENT, Zone.COMPUTE)


def test_a_storage_board_takes_administrators_alone() -> None:
    cluster = having({H, C}, {C}, {S})
    line = [x for x in rules(cluster, cluster.nodes[2]).splitlines() if x.startswith("AllowUsers")]
    assert line == [f"AllowUsers root {cluster.admin} {cluster.login}"]
    assert "AllowUsers" not in rules(cluster, cluster.nodes[0])
    assert "AllowUsers" not in rules(cluster, cluster.nodes[1]), "PAM asks for a job there"


def test_the_board_with_the_backup_goes_on_taking_it() -> None:
    cluster = replace(having({H, C}, {C}, {S}), backup=Backup(node="n2", path="/srv"))
    assert "wulfling-backup" in rules(cluster, cluster.nodes[2])


def test_a_job_opens_a_compute_board_and_the_administrators_need_none() -> None:
    cluster = replace(cluster_of("head-worker-storage"), profile=Profile.SHARED)
    shut = [n for n in cluster.nodes if logins(cluster, n) is JOB]
    assert shut
    for node in shut:
        declared = compile_cluster(cluster)[node.name]
        keys = [resource.key for resource in declared]
        (access,) = (r for r in declared if isinstance(r, File) and r.path == ACCESS_FILE)
        assert access.content.splitlines()[0].split(":")[1].split()[:2] == ["root", cluster.admin]
        (pam,) = (r for r in declared if isinstance(r, LoginRules))
        first, last = pam.text.splitlines()
        assert first.startswith("account sufficient pam_access.so ")
        assert last.startswith("account required pam_slurm_adopt.so ")
        assert "action_adopt_failure=deny action_generic_failure=deny" in last
        assert keys.index(access.key) < keys.index(f"pam:{PAM_FILE}"), "or it locks all out"
        assert any("libpam-slurm-adopt" in r.names for r in declared if isinstance(r, Packages))
    assert "\nPrologFlags=Contain\n" in slurm_conf(cluster)


def test_at_home_nothing_of_it_is_there() -> None:
    cluster = cluster_of("head-worker-storage")
    for declared in compile_cluster(cluster).values():
        assert not [r for r in declared if isinstance(r, LoginRules)]
    assert "PrologFlags" not in slurm_conf(cluster)
