"""Single values: what is taken, as what, and what is refused with which remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wulfling.spec import notation
from wulfling.spec.notation import UNLIMITED
from wulfling.spec.problem import Refused, show


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [
        *(
            ("512M", 512),
            ("1G", 1024),
            ("1.5G", 1536),
            ("0.1G", 102),
            ("2048K", 2),
            ("1T", 1 << 20),
        ),
        *(("1gb", 1024), ("512 MiB", 512), ("10GB", 10240), ("1P", 1 << 30)),
    ],
)
def test_sizes(text: str, mebibytes: int) -> None:
    assert notation.size(text) == mebibytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("60", 3600), ("10:30", 630), ("01:02:03", 3723), ("1-00", 86400), ("1-12:30", 131400)),
        *(("30-00:00:00", 2_592_000), ("0:01", 1), ("36:00:00", 129_600)),
        *(("UNLIMITED", UNLIMITED), ("infinite", UNLIMITED)),
    ],
)
def test_times_of_slurm(text: str, seconds: int) -> None:
    assert notation.duration(text) == seconds


REFUSED: list[tuple[Callable[[str], object], list[str]]] = [
    (
        notation.size,
        ["", "512", "M", "-1G", "1.G", "1,5G", "1E", "0M", "1K", "9999999P", "١G", "1K"],
    ),
    (
        notation.duration,
        ["", "0", "1:60", "1:2:60", "1-24", "1-1:60", "-1", "1-", "1d", "1:2:3:4", "0:00", "٣"],
    ),
    (notation.flag, ["", "yes", "no", "1", "on", "T"]),
    (
        notation.node_name,
        ["", "a_b", "-a", "a-", "A", "a.b", "12", "a" * 64, "localhost", "a b", "é", "a\n"],
    ),
    (notation.domain, ["", "a..b", ".a", "A.b", "a_b", "1", ".".join(["abcdefgh"] * 21)]),
    (notation.cluster_name, ["", "1a", "a" * 33, "A", "a_b", "-a"]),
    (notation.account_name, ["", "1a", "A", "a.b", "a" * 32, "-a", "a b"]),
    (notation.partition_name, ["", "default", "DEFAULT", "a b", "-a", "a,b", "a=b"]),
    (notation.slurm_key, ["", "a b", "1a", "a=b", "a-b"]),
    (notation.slurm_value, ["", " ", "a # b", "a\nb"]),
    (
        notation.share_path,
        [
            "",
            "/",
            "home",
            "./home",
            "/a/",
            "//a",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a b",
            "/etc",
            "/var/lib/x",
            "/usr/local",
            "/a:b",
            "/a#b",
            "/tmp",
            "/root/x",
            "/boot",
            "/dev/shm",
        ],
    ),
    (
        notation.address,
        [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1/24",
            "::1",
            "127.0.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "010.0.0.1",
            "host",
            "1" * 5000,
        ],
    ),
    (
        notation.mac,
        [
            "",
            "dc:a6:32:01:02",
            "dc:a6:32:01:02:03:04",
            "dc:a6:32:01:02:0g",
            "dca6:3201:0203:",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
        ],
    ),
    (
        notation.network,
        [
            "",
            "10.0.0.0",
            "10.0.0.1/24",
            "10.0.0.0/33",
            "10.0.0.0/31",
            "10.0.0.0/4",
            "127.0.0.0/8",
            "224.0.0.0/24",
            "fe80::/64",
            "10.0.0.0/255.255.255.1",
            "10.0.0/24",
        ],
    ),
]


@pytest.mark.parametrize(
    ("read", "text"), [(read, text) for read, texts in REFUSED for text in texts]
)
def test_refused_with_a_remedy(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(Refused) as caught:
        read(text)
    assert caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((notation.node_name, name) for name in ("a", "rpnode01", "3com", "a-b", "a" * 63)),
        *((notation.domain, name) for name in ("home.local", "lan", "x1.y-z.example")),
        *((notation.share_path, path) for path in ("/home", "/cluster/shared", "/srv/a-b_c.d")),
        *((notation.account_name, name) for name in ("pi", "_x", "kim-lee_2", "a" * 31)),
        *((notation.partition_name, name) for name in ("batch", "Debug", "gpu.2", "a" * 64)),
    ],
)
def test_taken_as_it_is(read: Callable[[str], str], text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize("text", ["1e3", "0x10", "1_000", "", "1.0", "٣", "9" * 13, "+", "1 "])
def test_numbers_are_digits(text: str) -> None:
    with pytest.raises(Refused):
        notation.whole_number(text, -10, 10**12)


def test_numbers_have_limits() -> None:
    assert notation.whole_number("4", 1, 4) == 4
    for text in ("0", "5"):
        with pytest.raises(Refused, match="is not between 1 and 4"):
            notation.whole_number(text, 1, 4)


@given(st.one_of(st.none(), st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.text())))
def test_a_value_is_shown_in_one_short_printable_line(value: object) -> None:
    shown = show(value)
    assert shown.isprintable() or " " in shown
    assert "\n" not in shown
    assert len(shown) <= 42
