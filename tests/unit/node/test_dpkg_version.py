"""The order of Debian versions is dpkg's own (deb-version(7))."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from wulfling.node.dpkg_version import is_older

VERSIONS = (
    *("0.5.15-2", "0.5.15-2+deb12u1", "0.5.16-1.1~deb13u1", "0.5.16-1.1", "0.5.15-4build1"),
    *("0.5.15-4ubuntu0.1", "1:1.0", "1.0", "1.0-0", "1.0~rc1", "1.0a", "1.0+b1", "1.00", "1.0.0"),
    *("22.05.8-4+deb12u2", "22.05.8-4+deb12u3", "22.05.8-4+deb12u10", "1.0-1~", "1.0-1~~"),
    *("1.0-1~a", "4.2.2~rc1-1", "4.2.2-1", "00:1", "1.0-1-2", "24.11.5-1~wulfling12+1"),
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.5.15-2", "0.5.15-2+deb12u1"),
        ("22.05.8-4+deb12u3", "22.05.8-4+deb12u10"),
        ("0.5.16-1.1~deb13u1", "0.5.16-1.1"),
        ("9.0", "1:1.0"),
    ],
)
def test_the_older_one(one: str, other: str) -> None:
    assert is_older(one, other)
    assert not is_older(other, one)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg to compare with")
def test_dpkg_says_the_same() -> None:
    pairs = tuple(itertools.islice(itertools.combinations(VERSIONS, 2), 0, None, 5))
    lines = (f'dpkg --compare-versions "{a}" lt "{b}" && echo 1 || echo 0' for a, b in pairs)
    done = subprocess.run(
        ["sh"], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(int(is_older(one, other))) for one, other in pairs]
