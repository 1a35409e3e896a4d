"""What wulfling writes to every node, held to the letter.

Each folder has a ``cluster.yaml``, the ``hardware.json`` that was measured, and one file per
node with everything that is declared for it. After a change that is meant, run
``WULFLING_UPDATE_GOLDEN=1 ./dev test unit`` and read the difference before you commit it.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from wulfling import spec
from wulfling.components import compile_cluster
from wulfling.components.slurm_conf import slurm_conf
from wulfling.model.cluster import BackupSecrets, Cluster, Hardware, Secrets
from wulfling.model.resource import Resource
from wulfling.model.slurm_keys import OWNED_KEYS

HERE = Path(__file__).parent
SHAPES = sorted(path.parent.name for path in HERE.glob("*/cluster.yaml"))
ADMIN_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIADMINADMINADMINADMINADMINADMINADMINADMIN00 admin"


def cluster_of(shape: str) -> Cluster:
    measured = json.loads((HERE / shape / "hardware.json").read_text(encoding="utf-8"))
    hardware = {name: _hardware(board) for name, board in measured.items()}
    document = spec.load(HERE / shape / "cluster.yaml")
    opens = BackupSecrets("fedcba9876543210" * 4, "fedcba9876543210\n", "ssh-ed25519 AAAA x")
    secrets = Secrets(munge_key=b"0123456789abcdef" * 8, backup=opens)
    return spec.resolve(document, hardware, secrets, (ADMIN_KEY,))


def _hardware(board: dict[str, Any]) -> Hardware:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in board.items()}
    return Hardware(**values)


def told(resource: Resource) -> str:
    lines = [f"== {resource.key}"]
    lines += [f"awaits: {key}" for key in resource.awaits]
    for item in fields(resource):
        if item.name in ("why", "awaits"):
            continue
        value = getattr(resource, item.name)
        if isinstance(value, str) and "\n" in value:
            lines += [f"{item.name}:", *(f"    {line}" for line in value.splitlines())]
        elif item.name == "mode":
            lines.append(f"mode: {value:04o}")
        else:
            lines.append(f"{item.name}: {value}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("shape", SHAPES)
def test_golden(shape: str) -> None:
    declared = compile_cluster(cluster_of(shape))
    for node, resources in declared.items():
        text = "\n".join(told(resource) for resource in resources)
        golden = HERE / shape / f"{node}.txt"
        if os.environ.get("WULFLING_UPDATE_GOLDEN"):
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8"), f"{shape}: {node} differs"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_key_is_unique_and_every_watched_key_exists(shape: str) -> None:
    for node, resources in compile_cluster(cluster_of(shape)).items():
        keys = [resource.key for resource in resources]
        assert len(keys) == len(set(keys)), node
        for resource in resources:
            assert set(getattr(resource, "watches", ())) <= set(keys), resource.key


@pytest.mark.parametrize("shape", SHAPES)
def test_every_awaited_key_exists_on_the_other_node(shape: str) -> None:
    declared = compile_cluster(cluster_of(shape))
    for resources in declared.values():
        for resource in resources:
            for awaited in resource.awaits:
                node, key = awaited.split("/", 1)
                assert key in [other.key for other in declared[node]]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_resource_can_be_explained(shape: str) -> None:
    for resources in compile_cluster(cluster_of(shape)).values():
        for resource in resources:
            assert resource.commands(), resource.key
            assert resource.undo(), resource.key


def test_every_key_that_is_written_is_known_as_ours() -> None:
    text = slurm_conf(cluster_of("head-worker-storage"))
    keys = {line.split("=")[0] for line in text.splitlines() if not line.startswith("#")}
    assert keys <= OWNED_KEYS


@pytest.mark.parametrize("shape", ["head-worker-storage", "backup"])
def test_no_secret_is_shown_by_explain(shape: str) -> None:
    for resources in compile_cluster(cluster_of(shape)).values():
        for resource in resources:
            shown = " ".join((*resource.commands(), *resource.undo(), resource.why))
            assert "0123456789abcdef" not in shown
            assert "fedcba9876543210" not in shown
