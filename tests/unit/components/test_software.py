"""The tree of programs, and the two scripts that put it into PATH, as shells run them."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from wulfling.components import compile_cluster
from wulfling.components.slurm_conf import TASK_PROLOG
from wulfling.components.software import PROFILE_FILE
from wulfling.model.cluster import Cluster, Hardware, Share
from wulfling.node.resources.alternative import Alternative
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages

BIN = "/usr/local/sw/bin"
MODULES = "/usr/local/sw/modulefiles"
PARTS = ("", "/bin", "/modulefiles")


def file(cluster: Cluster, node: str, path: str) -> str:
    (found,) = [r for r in compile_cluster(cluster)[node] if isinstance(r, File) and r.path == path]
    return found.content


def shell(script: str, path: str, uid: int = 1000, *, name: str = "PATH", **env: str) -> str:
    """What a script made of PATH, or of another variable, for the user with this number."""
    done = subprocess.run(
        ["/bin/sh", "-euc", f"id() {{ echo {uid}; }}\n{script}\necho ${{{name}:-}}"],
        env={"PATH": path, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def mixed(cluster: Cluster, board: Hardware) -> Cluster:
    """A head of another architecture than its boards."""
    head, *others = cluster.nodes
    return replace(cluster, nodes=(replace(head, hardware=replace(board, arch="amd64")), *others))


def test_each_board_sees_its_own_part_under_one_name(mixed: Cluster) -> None:
    links = {
        node: [(r.path, r.target) for r in declared if isinstance(r, Link) and "sw" in r.path]
        for node, declared in compile_cluster(mixed).items()
    }
    assert links == {
        "one": [("/usr/local/sw", "/nfs/sw/amd64")],
        "two": [("/usr/local/sw", "/nfs/sw/arm64")],
        "files": [("/usr/local/sw", "/nfs/sw/arm64")],
    }


def test_the_tree_is_where_the_share_is_and_has_a_part_for_each(mixed: Cluster) -> None:
    for node, declared in compile_cluster(mixed).items():
        folders = [r for r in declared if isinstance(r, Directory) and "/sw" in r.path]
        paths = [folder.path.removeprefix("/nfs/sw") for folder in folders]
        own = [f"{arch}{part}" for arch in ("/amd64", "/arm64") for part in PARTS]
        own = ["", *own]
        assert paths == (own if node == "files" else [])
        assert {(f.owner, f.group, f.mode) for f in folders} <= {("root", "wulfling", 0o2775)}


def test_without_a_share_for_software_there_is_no_tree(cluster: Cluster) -> None:
    without = replace(cluster, storage=(Share("/home", "files"),))
    for declared in compile_cluster(without).values():
        assert not any("/sw" in resource.key for resource in declared)
    assert BIN not in file(without, "two", TASK_PROLOG)


def test_a_login_of_a_person_has_it_first_and_once(cluster: Cluster) -> None:
    script = file(cluster, "two", PROFILE_FILE)
    assert shell(script, "/usr/bin:/bin") == f"{BIN}:/usr/bin:/bin"
    assert shell(f"{script}\n{script}", "/usr/bin:/bin") == f"{BIN}:/usr/bin:/bin"


@pytest.mark.parametrize("uid", [0, 970])
def test_who_repairs_the_board_does_not_have_it(cluster: Cluster, uid: int) -> None:
    """The file server may be what is broken."""
    assert shell(file(cluster, "two", PROFILE_FILE), "/usr/bin:/bin", uid) == "/usr/bin:/bin"


def test_slurm_gives_it_to_a_task_that_came_without(cluster: Cluster) -> None:
    prolog = file(cluster, "two", TASK_PROLOG)
    said = shell(prolog, "/usr/bin:/bin").splitlines()
    assert f"export PATH={BIN}:/usr/bin:/bin" in said and said[-1] == "/usr/bin:/bin"
    assert shell(prolog, f"{BIN}:/usr/bin:/bin").splitlines()[-1:] == [f"{BIN}:/usr/bin:/bin"]


def test_2_61_a_login_of_a_person_finds_modules_first_and_once(cluster: Cluster) -> None:
    script = file(cluster, "two", PROFILE_FILE)
    debians = "/usr/share/modules/modulefiles"
    assert shell(script, "/bin", name="MODULEPATH") == MODULES
    found = shell(f"{script}\n{script}", "/bin", name="MODULEPATH", MODULEPATH=debians)
    assert found == f"{MODULES}:{debians}"
    assert shell(script, "/bin", 0, name="MODULEPATH", MODULEPATH=debians) == debians


def test_2_61_slurm_gives_the_function_to_a_task_that_came_without(cluster: Cluster) -> None:
    prolog = file(cluster, "two", TASK_PROLOG)
    said = [line.removeprefix("export ") for line in shell(prolog, "/bin:/usr/bin").splitlines()]
    given = dict(line.split("=", 1) for line in said if "=" in line)
    assert given["MODULEPATH"].split(":")[0] == MODULES
    script = "modulecmd() { echo echo $*; }; module load x/1"
    bash = subprocess.run(
        ["/bin/bash", "-c", script.replace("modulecmd", "/usr/bin/modulecmd")],
        env={"PATH": "/bin:/usr/bin", "BASH_FUNC_module%%": given["BASH_FUNC_module%%"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert bash.stdout == "bash load x/1\n"
    assert "BASH_FUNC" not in shell(prolog, "/bin:/usr/bin", MODULEPATH=MODULES)


def packages(cluster: Cluster, node: str) -> tuple[str, ...]:
    (found,) = [r for r in compile_cluster(cluster)[node] if isinstance(r, Packages)]
    return found.names


def test_0_27_packages_of_the_file_are_where_people_log_in_and_jobs_run(cluster: Cluster) -> None:
    for shares in (cluster.storage, ()):
        foam = replace(cluster, programs=("openfoam",), storage=shares)
        has = {node for node in compile_cluster(foam) if "openfoam" in packages(foam, node)}
        assert has == {"one", "two"}


def test_mpich_keeps_its_names_whatever_else_is_installed(cluster: Cluster) -> None:
    for declared in compile_cluster(cluster).values():
        chosen = {r.choice: r.path for r in declared if isinstance(r, Alternative)}
        assert chosen == {"mpi": "/usr/bin/mpicc.mpich", "mpirun": "/usr/bin/mpirun.mpich"}
        keys = [r.key for r in declared]
        assert keys.index("packages:apt") < keys.index("alternative:mpi")
