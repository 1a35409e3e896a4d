"""``wulfling node``: work on one node."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from wulfling.cli.setting import setting
from wulfling.errors import WulflingError
from wulfling.transport.ssh import arguments


@click.group()
def node() -> None:
    """Work on one node."""


@node.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shell(file: Path, name: str, command: tuple[str, ...]) -> None:
    """A shell on NAME as the admin account, or the end of one COMMAND given after `--`.

    The exit code is the shell's or the command's; 255 when the node does not answer.
    """
    addresses = setting(file).addresses
    if name not in addresses:
        raise WulflingError(
            f"there is no node {name}", hint=f"the file has {', '.join(addresses)}", where=str(file)
        )
    address = addresses[name]
    typing = not command and sys.stdin.isatty()
    argv = list(arguments(address, address.users[0], interactive=typing))
    if command:
        # One word is a line for the shell there, as with ssh; several words stay those words.
        argv.append(command[0] if len(command) == 1 else shlex.join(command))
    sys.stdout.flush()
    os.execvp(argv[0], argv)
