"""The package cache as a service: started when wanted, ended when nobody wants it."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.lab import packages, places, processes


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of this test alone, gone afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    processes.end(packages.folder())
    packages.release()


def running() -> int:
    """How many caches of this test run."""
    everyone = processes.own_processes()
    return sum(p.mentions(packages.folder()) for p in everyone)


def test_it_answers_while_it_is_used_and_not_on_an_outside_address() -> None:
    with packages.used() as url, urllib.request.urlopen(url) as answer:
        assert url.startswith("http://127.0.0.1:")
        assert b"package cache" in answer.read()
        assert running() == 1


def test_it_stays_until_it_is_released_and_then_leaves_no_socket() -> None:
    with packages.used() as first:
        pass
    with packages.used() as second:
        assert first == second
    packages.release()
    assert running() == 0
    assert not packages.socket_path().parent.exists()
    packages.release()


def test_one_lab_does_not_take_it_from_another_that_is_being_made() -> None:
    with packages.used():
        thread = threading.Thread(target=packages.release)
        thread.start()
        thread.join()
        assert running() == 1


def test_it_is_started_again_when_it_died() -> None:
    with packages.used():
        processes.end(packages.folder())
        assert running() == 0
        with packages.used() as url, urllib.request.urlopen(url) as answer:
            assert answer.status == 200


def test_many_at_once_start_one() -> None:
    urls: list[str] = []

    def use() -> None:
        with packages.used() as url:
            urls.append(url)

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 5
    assert len(set(urls)) == 1


def test_one_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "mirror.py"
    broken.write_text("raise SystemExit('no way')")
    monkeypatch.setattr(packages, "_PROGRAM", broken)
    with pytest.raises(WulflingError, match="does not start: no way"), packages.used():
        pass


def test_the_socket_is_for_its_owner_only() -> None:
    with packages.used():
        assert packages.socket_path().parent.stat().st_mode & 0o077 == 0
        assert places.runtime_root().stat().st_mode & 0o077 == 0
