"""Boards are added to a file by lines alone: what else was in it stays, byte by byte."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.errors import BadFile, WulflingError
from wulfling.model.cluster import Role
from wulfling.spec import document
from wulfling.spec.document import Document
from wulfling.spec.extend import Newcomer, enlarged, extended, reduced, starter, with_mac

MAC = "dc:a6:32:01:02:03"
NEW = Newcomer("n9", IPv4Address("10.0.0.9"), MAC, (Role.COMPUTE,), "Raspberry Pi, Debian 12")
LINE = (
    "n9: {address: 10.0.0.9, mac: dc:a6:32:01:02:03, roles: [compute]}  # Raspberry Pi, Debian 12"
)
TOP = "wulfling: 1\ncluster: c\n"


def read(text: str) -> Document:
    return document.parse(text.encode(), Path("cluster.yaml"))


def added(before: str, after: str) -> list[str]:
    """The lines that ``after`` has more; all others have to be the same, in the same order."""
    rest = before.split("\n")
    new = []
    for line in after.split("\n"):
        if rest and line == rest[0]:
            rest.pop(0)
        else:
            new.append(line)
    assert not rest, "lines are gone"
    return new


@pytest.mark.parametrize(
    ("text", "indent"),
    [
        (TOP + "nodes:\n  n1: {address: 10.0.0.1}\n", 2),
        (TOP + "nodes:\n  n1: {address: 10.0.0.1}", 2),
        (TOP + "nodes:\n    n1:\n        address: 10.0.0.1\n        roles: [head]\n\n\n", 4),
        ("nodes:\n  n1: {address: 10.0.0.1}  # mine\n\n# the end\n" + TOP, 2),
        ("nodes:\n  n1: {\n    address: 10.0.0.1 }\n  # n[2-3]: {}\n\n" + TOP, 2),
        ("# 보드\r\nnodes:\r\n  n1: {address: 10.0.0.1}\r\n" + TOP.replace("\n", "\r\n"), 2),
    ],
)
def test_a_line_at_the_end_of_the_nodes(text: str, indent: int) -> None:
    after = extended(read(text), [NEW])
    line = f"{' ' * indent}{LINE}" + ("\r" if "\r" in text else "")
    # A file whose last line had no end has one now; that is all.
    assert [found for found in added(text, after) if found] == [line]
    nodes = spec.check(read(after))[0].nodes
    assert list(nodes) == ["n1", "n9"]
    assert nodes["n9"].mac == MAC


def test_the_line_stands_before_the_comment_of_what_follows() -> None:
    text = "nodes:\n  n1: {address: 10.0.0.1}\n\n# ---- more ----\nwulfling: 1\ncluster: c\n"
    assert extended(read(text), [NEW]) == text.replace("0.1}\n", f"0.1}}\n  {LINE}\n")


def test_nodes_on_one_line_take_no_line() -> None:
    with pytest.raises(WulflingError) as caught:
        extended(read(TOP + "nodes: {n1: {address: 10.0.0.1}}\n"), [NEW])
    assert caught.value.where == "cluster.yaml:3:1"
    assert LINE in caught.value.hint


def test_what_would_be_refused_is_refused_before_anything_is_written() -> None:
    text = TOP + "nodes:\n  n1: {address: 10.0.0.1}\n"
    twin = Newcomer("n2", IPv4Address("10.0.0.1"))
    with pytest.raises(BadFile, match=r"has the address 10\.0\.0\.1"):
        extended(read(text), [twin])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  n1: {address: 10.0.0.1}", f"  n1: {{address: 10.0.0.1, mac: {MAC}}}"),
        (
            "  n1: {roles: [head, compute], address: '10.0.0.1'} # a",
            f"  n1: {{roles: [head, compute], address: '10.0.0.1', mac: {MAC}}} # a",
        ),
        ("  n1:\n    address: 10.0.0.1  # b", f"  n1:\n    address: 10.0.0.1  # b\n    mac: {MAC}"),
        ("  n1: {address: 10.0.0.1, mac: 'dca632010204'}", ""),
        ("  n1,n2: {address: 10.0.0.1}", ""),
    ],
)
def test_a_mac_stands_beside_the_address(before: str, after: str) -> None:
    """Or nowhere, where there is no place for it."""
    text = f"{TOP}nodes:\n{before}\npeople:\n  pi: {{uid: 1000}}\n"
    assert extended(read(text), [], {"n1": MAC}) == text.replace(before, after or before)


def test_a_new_file_says_what_differs_from_the_defaults() -> None:
    boards = [replace(NEW, roles=(Role.COMPUTE, Role.HEAD))]
    text = starter("hpc", boards, login="ubuntu", network=IPv4Network("10.0.0.0/25"))
    assert text.splitlines()[1:] == [
        "wulfling: 1",
        "cluster: hpc",
        "network: 10.0.0.0/25",
        "login: ubuntu  # the account that answers on a new board",
        "nodes:",
        f"  {LINE.replace('[compute]', '[head, compute]')}",
    ]
    assert starter("hpc", boards, virtual=True).splitlines()[2:4] == [
        "cluster: hpc",
        "boards: virtual",
    ]
    with pytest.raises(WulflingError, match="'A'"):
        starter("A", boards)


# One more, one less

PARTITIONS = """\
nodes:
  # the first
  n1: {address: 10.0.0.1}

  # the second, in the kitchen
  n2: {address: 10.0.0.2}  # old
  n3:
    address: 10.0.0.3
    mac: dc:a6:32:01:02:04
  # the end
slurm:
  partitions:
    all: {default: true, shared: true}
    some: {shared: true, nodes: "n[1-2]"}  # fast ones
    other: {nodes: n3, shared: true}
"""


def nodes_of(text: str) -> dict[str, tuple[str, ...] | None]:
    read_back = spec.check(read(text))[0]
    assert read_back.slurm
    return {name: part.nodes for name, part in read_back.slurm.partitions.items()}


def test_a_board_joins_the_partitions_that_name_their_nodes() -> None:
    text = TOP + PARTITIONS
    after = enlarged(read(text), NEW, ["all", "some", "other"])
    assert nodes_of(after) == {"all": None, "some": ("n1", "n2", "n9"), "other": ("n3", "n9")}
    assert '    some: {shared: true, nodes: "n[1-2,9]"}  # fast ones\n' in after
    assert '    other: {nodes: "n[3,9]", shared: true}\n' in after
    assert nodes_of(enlarged(read(text), NEW)) == nodes_of(text)


def test_a_board_leaves_with_its_lines_and_its_places() -> None:
    text = TOP + PARTITIONS
    after = reduced(read(text), "n2")
    expected = text.replace("  n2: {address: 10.0.0.2}  # old\n", "")
    assert after == expected.replace('"n[1-2]"', '"n1"')
    assert list(spec.check(read(after))[0].nodes) == ["n1", "n3"]


def test_a_board_of_several_lines_leaves() -> None:
    text = TOP + PARTITIONS.replace("    other: {nodes: n3, shared: true}\n", "")
    gone = "  n3:\n    address: 10.0.0.3\n    mac: dc:a6:32:01:02:04\n"
    assert reduced(read(text), "n3") == text.replace(gone, "")


def test_the_last_of_a_folded_name_leaves() -> None:
    text = TOP + "nodes:\n  n1: {address: 10.0.0.1}\n  n[2-4]: {address: 10.0.0.2}\n"
    assert reduced(read(text), "n4") == text.replace("n[2-4]", "n[2-3]")
    with pytest.raises(WulflingError, match="addresses count up") as caught:
        reduced(read(text), "n2")
    assert caught.value.where == "cluster.yaml:5:3"


def test_the_only_node_of_a_partition_stays() -> None:
    with pytest.raises(WulflingError, match="the partition other has no other node") as caught:
        reduced(read(TOP + PARTITIONS), "n3")
    assert caught.value.where == "cluster.yaml:17:5"


def test_a_node_on_the_line_of_others_stays() -> None:
    text = TOP + "nodes: {n1: {address: 10.0.0.1}, n2: {address: 10.0.0.2}}\n"
    with pytest.raises(WulflingError, match="no line can be cut"):
        reduced(read(text), "n2")


def test_another_board_of_the_same_name_has_another_mac() -> None:
    text = TOP + PARTITIONS
    assert with_mac(read(text), "n3", MAC) == text.replace("dc:a6:32:01:02:04", MAC)
    assert with_mac(read(text), "n1", MAC) == text.replace("0.1}", f"0.1, mac: {MAC}}}")
