"""A class list: everybody in it, or everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling import spec
from wulfling.errors import BadFile
from wulfling.spec import document, roster
from wulfling.spec.enrol import Entrant

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPfgmCHLLnCcDXMn13FYa1C2j6Dc1WB20XRZd9slLZvs kim@x"
CLUSTER = "wulfling: 1\ncluster: c\nnodes:\n  n1: {address: 10.0.0.1}\npeople:\n  pi: {quota: 1G}\n"
NOBODY = Entrant("")


def read(content: str | bytes, folder: Path, defaults: Entrant = NOBODY) -> tuple[Entrant, ...]:
    path = folder / "class.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = document.parse(CLUSTER.encode(), Path("cluster.yaml"))
    return roster.read(path, found, spec.check(found)[0], defaults)


def problems(content: str | bytes, folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(BadFile) as caught:
        read(content, folder)
    assert all(problem.hint for problem in caught.value.problems)
    return [
        (problem.where.removeprefix(f"{folder}/class.csv:"), problem.message)
        for problem in caught.value.problems
    ]


def test_everybody(tmp_path: Path) -> None:
    (tmp_path / "lee.pub").write_text(f"{KEY}\n")
    text = (
        "name,key,account,limits,quota,uid\n"
        f'kim,{KEY},school,"cpu=4,mem=1G",10G,2001\n'
        "\n"
        "# late\n"
        "lee , lee.pub,,cpu=2 mem=512M\n"
        "park\n"
    )
    assert read(text, tmp_path) == (
        Entrant("kim", "school", (("cpu", "4"), ("mem", "1G")), "10G", (KEY,), "2001"),
        Entrant("lee", "", (("cpu", "2"), ("mem", "512M")), "", (KEY,)),
        Entrant("park"),
    )


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("by", [",", ";", "\t"])
def test_what_spreadsheets_write(tmp_path: Path, by: str, end: str, mark: str) -> None:
    text = mark + end.join((f"Quota{by}Name", f"2G{by}kim", by, f"{by}lee", ""))
    assert read(text, tmp_path) == (Entrant("kim", quota="2G"), Entrant("lee"))


def test_defaults_stand_for_empty_cells(tmp_path: Path) -> None:
    defaults = Entrant("", "school", (("cpu", "2"),), "1G")
    assert read("name,quota\nkim,\nlee,3G\n", tmp_path, defaults) == (
        Entrant("kim", "school", (("cpu", "2"),), "1G"),
        Entrant("lee", "school", (("cpu", "2"),), "3G"),
    )


def test_who_is_in_the_file_already_with_the_same_values(tmp_path: Path) -> None:
    """An import that was cut off is run again."""
    found = read("name,quota\npi,1024M\nkim,\n", tmp_path)
    assert found == (Entrant("pi", quota="1024M"), Entrant("kim"))


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = (
        "name,key,limits,quota,uid\n"
        "kim,ssh-ed25519 AAAA,,,\n"
        "Lee,,cpus=4,10,\n"
        'root,nowhere.pub,"cpu=x,mem=1G",,999\n'
        ",,,1G,\n"
        "pi,,,2G,\n"
        "kim,,,,\n"
        "a,,,,2001\n"
        "b,,cpu=1,mem=1G,2001,x\n"
        'c,"x,,,\n'
    )
    assert problems(text, tmp_path) == [
        ("2:5", "this ssh-ed25519 key is not whole"),
        ("3:1", "'Lee' has capital letters in it"),
        ("3:6", "'cpus' is no limit"),
        ("3:13", "the size '10' has no unit"),
        ("4:1", "root is an account or a group of the system itself"),
        ("4:6", "there is no key file 'nowhere.pub'"),
        ("4:19", "'x' is not a whole number"),
        ("4:34", "999 is not between 1000 and 59999"),
        ("5:1", "this line has no name"),
        ("6:1", "pi is in cluster.yaml:6:3 already, with other values"),
        ("7:1", "kim is here twice, first in line 2"),
        ("9:1", "b and a would both have the uid 2001"),
        ("9:10", "'mem=1G' is not a size"),
        ("9:22", "'x' is in no column"),
        ("10:3", "this quote is not closed well"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", ("1:1", "the list is empty")),
        ("\n ,,\n", ("1:1", "the list is empty")),
        ("name\n", ("1:1", "there is nobody in the list")),
        ("kim,lee\n", ("1:1", "the first line does not name the columns: there is no `name`")),
        ("name,mail\nkim,x\n", ("1:6", "there is no column 'mail'")),
        ("name,name\nkim,x\n", ("1:6", "the column name is there twice")),
        (b"name\nkim\xff\n", ("2:4", "this is not UTF-8")),
    ],
)
def test_a_list_that_is_none(
    tmp_path: Path, content: str | bytes, problem: tuple[str, str]
) -> None:
    assert problems(content, tmp_path) == [problem]


def test_a_private_key_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    ((_, message),) = problems("name,key\nkim,id\n", tmp_path)
    assert "PRIVATE" in message
    assert "secret" not in message


def test_no_such_file(tmp_path: Path) -> None:
    found = document.parse(CLUSTER.encode(), Path("cluster.yaml"))
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        roster.read(tmp_path / "x.csv", found, spec.check(found)[0], NOBODY)
