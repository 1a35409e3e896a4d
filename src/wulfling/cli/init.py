"""``wulfling init``: a first cluster file to edit."""

from __future__ import annotations

from pathlib import Path

import click

from wulfling.errors import WulflingError


@click.command()
@click.option("--name", default="my-cluster", show_default=True, help="The cluster's name.")
@click.option("--real", is_flag=True, help="For real boards; without it the boards are virtual.")
@click.option("--lang", type=click.Choice(["en", "ko"]), default="en", help="Of the comments.")
@click.pass_obj
def init(file: Path, name: str, real: bool, lang: str) -> None:
    """Write a starter cluster file. An existing file is never overwritten."""
    from wulfling.spec.init import starter

    text = starter(name, "real" if real else "virtual", lang=lang)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise WulflingError(
            f"{file} is there already", hint="wulfling -f OTHER.yaml init"
        ) from None
    except OSError as error:
        raise WulflingError(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"{file} is written")
    click.echo(f"next: wulfling -f {file} {'plan' if real else 'lab up'}", err=True)
