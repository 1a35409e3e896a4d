"""Damaged cluster files are refused in words: never another exception, and never a long wait."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from wulfling import spec
from wulfling.errors import BadFile
from wulfling.spec import document

RICH = """\
wulfling: 1
cluster: rich
boards: virtual
network: 10.0.0.0/24
domain: home.local
login: pi
admin: {name: wulfling, keys: []}
nodes:
  rpnode01: &first {address: 10.0.0.1, roles: [head, compute], cpus: 4, memory: 512M}
  rpnode[02-04]: {address: 10.0.0.2, roles: [compute]}
  "filenode[1,2]":
    address: 10.0.0.10
    roles: [storage, login]
storage: {/home: filenode1, /nfs/software: filenode2}
slurm:
  partitions:
    batch: {nodes: "rpnode[01-03]", default: true, default_time: 60, max_time: 1-00}
    debug: {nodes: rpnode04, max_time: UNLIMITED, shared: true}
  extra: {SchedulerParameters: "bf_interval=10", Prolog: '/bin/true'}
cards: {gateway: 10.0.0.254, dns: [9.9.9.9], locale: ko_KR.UTF-8, timezone: Asia/Seoul, country: KR}
people:
  kim: {account: school, limits: {cpu: 4, mem: 1G, node: 2}, quota: 10G, uid: 2001}
  lee:
    keys:
      - >-
        ssh-ed25519
        AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
"""

ROOT = Path(__file__).parents[3]
SOURCES = [RICH.encode(), *(path.read_bytes() for path in (ROOT / "examples").glob("*.yaml"))]

# What breaks parsers, and what breaks those who believe them.
TOKENS: tuple[bytes, ...] = (
    *(b"&a ", b"*a", b"*first", b"<<: ", b"!!x ", b"!!python/name:os.system ", b"- ", b": ", b"? "),
    *(b"{", b"}", b"[", b"]", b"'", b'"', b"\t", b"\n", b"#", b"|", b"> ", b"%YAML 1.2\n---\n"),
    *(b"---\n", b"...\n", b"\x00", b"\xff", b"\\", b"0x", b"1e999", b"9" * 30, b"~", b"null"),
    *(b"[1-9]", b"[[", b",", b"\xe2\x80\xa8", b"\xc2\x85", b"\xef\xbb\xbf", b"\r", b"@", b"`"),
    *(b"\xf0\x9f\x98\x80", b'"\\ud800"', b'"\\UFFFFFFFF"', b'"\\x00"', b"false", b"no", b"-1"),
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2.5, 10**30, "", " ", "\n", "\x00", "\ud7ff", "\u2028", "a" * 300),
    *([], {}, [None], [[]], {"": ""}, {"[key]": None}, {"keys": ["~"]}, ["head"], "NO", "~root"),
    *("n[1-2]", "[", "n[1-99999999]", "/", "/..", "10.0.0.1", "10.0.0.0/0", "1-00", "1E9G", "0"),
    *("UNLIMITED", "-----BEGIN", "ssh-ed25519 A", "/dev/zero", ".", "kim", "head", "batch", "٣"),
)


def damaged(source: bytes, chance: random.Random) -> bytes:
    """Some bytes other than they were."""
    text = bytearray(source)
    for _ in range(chance.randint(1, 6)):
        at, other = (chance.randrange(len(text) + 1) for _ in range(2))
        what = chance.randrange(6)
        if what == 0 and text:
            text[at % len(text)] = chance.randrange(256)
        elif what == 1:
            text[at:at] = chance.choice(TOKENS)
        elif what == 2:
            del text[at : at + chance.randint(1, 20)]
        elif what == 3:
            text[at:at] = text[other : other + chance.randint(1, 60)]
        elif what == 4:
            lines = bytes(text).split(b"\n")
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
            text = bytearray(b"\n".join(lines))
        else:
            text[at : at + chance.randint(0, 5)] = chance.choice(TOKENS)
    return bytes(text)


def rearranged(source: bytes, chance: random.Random) -> bytes:
    """Good YAML with some values or keys other than they were; JSON is YAML."""
    data = dict(document.parse(source, Path("f")).data)
    for _ in range(chance.randint(1, 4)):
        _rearrange(data, chance)
    return json.dumps(data, ensure_ascii=chance.random() < 0.5, indent=1).encode()


def _rearrange(data: Any, chance: random.Random) -> None:
    around, key = _somewhere(data, chance)
    if around is None:
        return
    what = chance.randrange(5)
    other, other_key = _somewhere(data, chance)
    if what == 0:
        del around[key]
    elif what == 1 and isinstance(around, dict):
        around[chance.choice(["", "x", "[key]", "address", "nodes", "Kim", str(key).upper()])] = (
            deepcopy(around[key])
        )
    elif what == 2 and other is not None:
        around[key] = deepcopy(other[other_key])
    else:
        around[key] = deepcopy(chance.choice(VALUES))


def _somewhere(data: Any, chance: random.Random) -> tuple[Any, Any]:
    """A mapping or list anywhere in ``data``, and one of its keys."""
    around, key = None, None
    while isinstance(data, dict | list) and data:
        around = data
        key = chance.choice(list(data)) if isinstance(data, dict) else chance.randrange(len(data))
        if chance.random() < 0.3:
            break
        data = data[key]
    return around, key


def attempt(content: bytes) -> None:
    """Load and resolve; what is refused has to say where and what to do."""
    began = time.process_time()
    try:
        read, _ = spec.check(document.parse(content, Path("f")))
        spec.resolve(read, {}, None, ())
    except BadFile as bad:
        lines = content.count(b"\n") + content.count(b"\r") + 2
        for problem in bad.problems:
            assert problem.message
            assert problem.hint, problem
            str(problem).encode()
            if problem.where:
                name, line, _column = problem.where.rsplit(":", 2)
                assert name == "f"
                # YAML has three more ends of a line than a text editor.
                assert 1 <= int(line) <= lines + content.count(b"\xc2\x85") + 9
    assert time.process_time() - began < 5


@pytest.fixture(autouse=True)
def nobody_has_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_the_sources_are_good() -> None:
    for source in SOURCES:
        spec.check(document.parse(source, Path("f")))


@pytest.mark.parametrize("change", [damaged, rearranged])
@pytest.mark.parametrize(
    "count", [500, pytest.param(5000, marks=pytest.mark.fuzz)], ids=["", "thousands"]
)
def test_nothing_but_bad_files(change: Callable[[bytes, random.Random], bytes], count: int) -> None:
    for seed in range(count):
        chance = random.Random(seed)
        content = change(chance.choice(SOURCES), chance)
        try:
            attempt(content)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {content!r}") from error
