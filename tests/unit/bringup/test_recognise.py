"""Banners of real systems and addresses of real network cards, and what is made of them."""

from __future__ import annotations

import pytest

from wulfling.bringup.recognise import made_up, maker, runs_what_we_know, system, words


@pytest.mark.parametrize(
    ("banner", "told"),
    [
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", "Debian 12"),
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2", "Debian 12"),
        ("SSH-2.0-OpenSSH_10.0p2 Debian-7", "Debian 13"),
        ("SSH-2.0-OpenSSH_8.4p1 Raspbian-5+deb11u1", "Raspbian 11"),
        ("SSH-2.0-OpenSSH_9.2p1 Raspbian-2+rpt1", "Raspbian 12"),
        ("SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.10", "Ubuntu 22.04"),
        ("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5", "Ubuntu 24.04"),
        ("SSH-2.0-OpenSSH_11.4p1 Debian-1", "Debian"),
        ("SSH-2.0-dropbear_2022.83", "dropbear_2022.83"),
        ("SSH-2.0-OpenSSH_9.7", "OpenSSH_9.7"),
        ("HTTP/1.1 400 Bad Request", ""),
        ("", ""),
    ],
)
def test_a_banner_tells_the_system(banner: str, told: str) -> None:
    assert str(system(banner)) == told
    known = told.split(" ", maxsplit=1)[0] in ("Debian", "Raspbian", "Ubuntu")
    assert runs_what_we_know(system(banner)) == known


def test_makers_by_the_first_bytes() -> None:
    assert maker("dc:a6:32:01:02:03") == maker("D8:3A:DD:00:00:01") == "Raspberry Pi"
    assert maker("c0:74:2b:00:00:01") == "Orange Pi"
    assert maker("02:57:0a:00:00:07") == "virtual board"
    assert maker("02:58:0a:00:00:07") == maker("") == ""
    assert made_up("da:a6:32:01:02:03")
    assert not made_up("dc:a6:32:01:02:03") and not made_up("")


def test_words_for_a_table() -> None:
    pi, banner = "dc:a6:32:01:02:03", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"
    assert words(pi, banner, "open") == "Raspberry Pi, Debian 12"
    assert words(pi, "", "shut") == "Raspberry Pi, no SSH"
    assert words("", "", "silent") == "does not answer on port 22"
    assert words("", "", "open") == "says nothing on port 22"
