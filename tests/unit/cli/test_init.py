"""``wulfling init``: a file that loads, and never one in the place of yours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wulfling import spec

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_file_loads(run: Run, real: bool, lang: str) -> None:
    code, out, err = run("init", "--name", "mine", "--lang", lang, *["--real"] * real)
    assert (code, out) == (0, "cluster.yaml is written\n")
    assert err == f"next: wulfling -f cluster.yaml {'plan' if real else 'lab up'}\n"
    read = spec.load(Path("cluster.yaml"))
    assert (read.cluster, read.boards) == ("mine", "real" if real else "virtual")


def test_what_is_there_is_never_overwritten(run: Run) -> None:
    Path("cluster.yaml").write_text("precious")
    code, out, err = run("init")
    assert (code, out) == (1, "")
    assert "cluster.yaml is there already" in err
    assert Path("cluster.yaml").read_text() == "precious"


def test_nor_what_a_link_points_to(run: Run) -> None:
    Path("cluster.yaml").symlink_to("elsewhere.yaml")
    assert run("init")[0] == 1
    assert not Path("elsewhere.yaml").exists()


def test_a_name_that_cannot_be_leaves_no_file(run: Run) -> None:
    code, out, err = run("init", "--name", "My Cluster")
    assert (code, out) == (1, "")
    assert "'My Cluster' cannot be a cluster's name" in err
    assert not Path("cluster.yaml").exists()


def test_a_folder_that_is_not_there_is_told_in_words(run: Run) -> None:
    code, _, err = run("-f", "no/such/cluster.yaml", "init")
    assert code == 1
    assert "no/such/cluster.yaml cannot be written: No such file or directory" in err
