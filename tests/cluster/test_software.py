"""One tree of programs for boards of several architectures (2-22)."""

from __future__ import annotations

import json

import pytest
from boards import Cluster

pytestmark = pytest.mark.lab


def install(cluster: Cluster, folder: str, arch: str) -> None:
    """As the admin account does, from a board that is not the file server."""
    program = f"{folder}/built-for"
    text = f"#!/bin/sh\\necho {arch} on $(hostname)\\n"
    script = f"mkdir -p {folder}; printf '{text}' >{program}; chmod +x {program}"
    cluster.on("rpnode02", script, person="wulfling")


def test_srun_finds_what_was_installed_for_the_architecture(cluster: Cluster) -> None:
    install(cluster, "/usr/local/sw/bin", "amd64")
    said = cluster.pi("srun -N 2 built-for").splitlines()
    assert sorted(said) == ["amd64 on rpnode01", "amd64 on rpnode02"]
    job = cluster.pi("sbatch --parsable -o built.out --wrap built-for").strip()
    assert cluster.state(job) == "COMPLETED"
    assert cluster.pi("cat built.out") == "amd64 on rpnode01\n"


def test_a_shell_without_the_path_finds_it_in_a_job(cluster: Cluster) -> None:
    said = cluster.pi("env PATH=/usr/bin:/bin srun -w rpnode02 built-for")
    assert said == "amd64 on rpnode02\n"


def test_2_22_each_board_starts_the_program_of_its_own_architecture(cluster: Cluster) -> None:
    """rpnode02 plays an arm64 board: one job script, two programs."""
    install(cluster, "/nfs/sw/arm64/bin", "arm64")
    cluster.on("rpnode02", "ln -sfn /nfs/sw/arm64 /usr/local/sw")
    said = cluster.pi("srun -N 2 built-for").splitlines()
    assert sorted(said) == ["amd64 on rpnode01", "arm64 on rpnode02"]
    applied = json.loads(cluster.wulfling("apply", "-y", "-o", "json"))
    changed = [(s["node"], s["key"]) for s in applied["steps"] if s["status"] != "ok"]
    assert changed == [("rpnode02", "link:/usr/local/sw")]


def test_people_use_the_tree_and_do_not_change_it(cluster: Cluster) -> None:
    for folder in ("/nfs/sw", "/usr/local/sw/", "/usr/local/sw/bin"):
        assert "refused" in cluster.pi(f"touch {folder}/mine 2>&1 || echo refused")


def test_who_repairs_a_board_needs_no_file_server(cluster: Cluster) -> None:
    for person in ("root", "wulfling"):
        assert "/usr/local/sw" not in cluster.on("rpnode02", "echo $PATH", person=person)


def test_who_repairs_a_board_has_no_modules_of_the_file_server(cluster: Cluster) -> None:
    for person in ("root", "wulfling"):
        said = cluster.on("rpnode02", "echo ${MODULEPATH:-}", person=person)
        assert "/usr/local/sw" not in said
