"""The format's table: help for every key, the same rules for editors, and a cheap import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from wulfling.model.slurm_keys import OWNED_KEYS, owned
from wulfling.spec.init import starter
from wulfling.spec.schema import json_schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SCHEMA = json_schema()


def blocks() -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "Spec", SCHEMA
    yield from SCHEMA["$defs"].items()


def fits(value: object, schema: Mapping[str, Any]) -> bool:
    """As much of JSON Schema as ours uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(fits(value, choice) for choice in schema["anyOf"])
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema and not _is(value, schema["type"]):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, int) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        return all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        return set(schema.get("required", ())) <= set(value) and all(
            any(fits(part, choice) for choice in _below(schema, key)) for key, part in value.items()
        )
    return True


def _below(schema: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    if key in schema.get("properties", {}):
        yield schema["properties"][key]
    for pattern, part in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            yield part


def _is(value: object, kind: str | list[str]) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "boolean": bool,
        "null": type(None),
        "array": list,
        "object": dict,
        "integer": int,
        "number": (int, float),
    }
    return any(
        isinstance(value, types[name]) and (isinstance(value, bool) <= (name == "boolean"))
        for name in kinds
    )


def test_every_key_has_help() -> None:
    for name, block in blocks():
        assert block["description"], name
        for key, field in block["properties"].items():
            assert field["description"].endswith("."), f"{name}.{key}"


def test_every_block_refuses_unknown_keys() -> None:
    assert all(block["additionalProperties"] is False for _, block in blocks())


def test_it_is_json_and_the_same_each_time() -> None:
    assert json.dumps(json_schema()) == json.dumps(SCHEMA)
    assert SCHEMA["required"] == ["wulfling", "cluster", "nodes"]
    assert SCHEMA["properties"]["wulfling"]["const"] == 1


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_editors_take_the_examples(file: Path) -> None:
    assert fits(YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize("boards", ["virtual", "real"])
def test_editors_take_the_starter_file(boards: str) -> None:
    assert fits(YAML(typ="safe", pure=True).load(starter("c", boards)), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        *({"wulfling": 2}, {"nodez": {}}, {"slurm": True}, {"boards": "imaginary"}),
        *({"nodes": {"n1": {}}}, {"nodes": {"n1": {"address": "10.0.0.1", "roles": ["x"]}}}),
        *({"nodes": {"N1": {"address": "10.0.0.1"}}}, {"people": {"kim": {"uid": 1}}}),
        {"people": {"kim": {"limits": {"mem": 1000}}}},
    ],
    ids=str,
)
def test_editors_refuse_what_is_refused(change: dict[str, Any]) -> None:
    good = {"wulfling": 1, "cluster": "c", "nodes": {"n1": {"address": "10.0.0.1"}}}
    assert fits(good, SCHEMA)
    assert not fits({**good, **change}, SCHEMA)


@pytest.mark.parametrize(
    "good",
    [{"slurm": False}, {"slurm": None}, {"storage": False}, {"storage": {}}, {"people": None}],
)
def test_editors_take_blocks_without_content(good: dict[str, Any]) -> None:
    assert fits({"wulfling": 1, "cluster": "c", "nodes": {}, **good}, SCHEMA)


def test_keys_of_slurm_are_owned_in_any_case() -> None:
    assert all(owned(key.upper()) for key in OWNED_KEYS)
    assert not owned("SchedulerParameters")


def test_the_package_imports_nothing_heavy() -> None:
    code = "import sys, wulfling.spec; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "ruamel.yaml", "ClusterShell"} & set(done.stdout.split())
