"""What an image is made of, and its name."""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import replace

import pytest

from wulfling.lab import modules, recipe
from wulfling.lab.image import Ingredients

INGREDIENTS = Ingredients("bookworm", "6.1.176", (), ())


@pytest.mark.parametrize(
    "other",
    [
        replace(INGREDIENTS, release="trixie"),
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
