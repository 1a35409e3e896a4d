"""What an image is made of, and its name."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import replace

import pytest

from wulfling.lab import image, modules, recipe
from wulfling.lab.image import Ingredients

TARGETS = """\
Packages|Debian|bookworm|main|http://a.example/debian/
Packages|Debian|bookworm|contrib|http://a.example/debian/
Packages|Debian|bookworm-updates|main|https://a.example/debian/
Translations|Debian|bookworm|main|http://a.example/debian/
Packages|Debian|bookworm-security|main|http://b.example/debian-security/
Packages|Debian|trixie|main|http://a.example/debian/
Packages|Other|bookworm|main|http://c.example/
Packages|Debian|bookworm|main|cdrom://disc/
broken
"""

INGREDIENTS = Ingredients("bookworm", "6.1.176", (), ())


def test_boards_use_the_mirrors_of_this_machine() -> None:
    assert image.mirrors(TARGETS, "bookworm") == (
        "deb http://a.example/debian/ bookworm main",
        "deb http://a.example/debian/ bookworm-updates main",
        "deb http://b.example/debian-security/ bookworm-security main",
    )


def test_a_machine_of_another_release_leaves_it_to_mmdebstrap() -> None:
    assert image.mirrors(TARGETS, "forky") == ()
    assert image.mirrors("Packages|Ubuntu|noble|main|http://u.example/\n", "bookworm") == ()


@pytest.mark.parametrize(
    "other",
    [
        replace(INGREDIENTS, suite="trixie"),
        replace(INGREDIENTS, kernel="6.12.1"),
        replace(INGREDIENTS, mirrors=("deb http://a.example/ bookworm main",)),
        replace(INGREDIENTS, apt_options=("Acquire::Check-Date false",)),
    ],
)
def test_another_ingredient_makes_another_name(other: Ingredients) -> None:
    assert other.file_name != INGREDIENTS.file_name
    assert INGREDIENTS.file_name == replace(INGREDIENTS).file_name


def test_another_recipe_makes_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = INGREDIENTS.file_name
    monkeypatch.setattr(recipe, "PACKAGES", (*recipe.PACKAGES, "nano"))
    assert INGREDIENTS.file_name != before


def test_the_overlay_is_the_same_every_time_and_owned_by_root() -> None:
    assert recipe.overlay() == recipe.overlay()
    with tarfile.open(fileobj=io.BytesIO(recipe.overlay())) as tar:
        entries = tar.getmembers()
    assert {entry.uid for entry in entries} == {0}
    assert {entry.name for entry in entries} == {*recipe.FILES, *recipe.LINKS}


@pytest.mark.parametrize("script", [recipe.BUILD_SCRIPT, recipe.SEED_SCRIPT])
def test_scripts_are_sound_shell(script: str) -> None:
    subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=True)


def test_modules_come_with_what_they_depend_on() -> None:
    dependencies = """\
kernel/fs/nfs/nfs.ko: kernel/fs/lockd/lockd.ko
kernel/fs/lockd/lockd.ko: kernel/net/sunrpc/sunrpc.ko
kernel/net/sunrpc/sunrpc.ko:
kernel/drivers/iio/x.ko:
"""
    assert modules.chosen(dependencies, ("kernel/fs/nfs/",)) == (
        "kernel/fs/lockd/lockd.ko",
        "kernel/fs/nfs/nfs.ko",
        "kernel/net/sunrpc/sunrpc.ko",
    )
