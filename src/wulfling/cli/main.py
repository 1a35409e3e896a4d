"""The ``wulfling`` command: finds the verb, runs it, and turns errors into words and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from wulfling import __version__
from wulfling.errors import BadFile, WulflingError

# Verb -> module in this package and the line for --help. Modules are imported when their
# verb is used, because --help and completion should not wait for an SSH library.
VERBS = {
    "init": ("init", "Write a starter cluster file."),
    "plan": ("river", "Show what would change on every board, and change nothing."),
    "apply": ("river", "Bring every board to what the file says."),
    "verify": ("proof", "Prove the cluster with a real MPI job."),
    "status": ("proof", "Show every node: reachable, state, load, memory."),
    "explain": ("explain", "Show each step on a node as the commands a person would type."),
    "export": ("export", "Write a machinefile, hosts lines or an ssh config."),
    "node": ("node", "Work on one node: open a shell."),
    "lab": ("lab", "Virtual boards on this PC: up, down, list, console, destroy."),
}


class Verbs(click.Group):
    """The verbs in the order of a cluster's life, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"wulfling.cli.{VERBS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=Path("cluster.yaml"),
    show_default=True,
    envvar="WULFLING_FILE",
    help="The cluster file.",
)
@click.version_option(__version__)
@click.pass_context
def wulfling(context: click.Context, file: Path) -> None:
    """Turn boards you own into an HPC cluster, and keep it one.

    One file describes the cluster; `plan` shows what would change, `apply` makes it so,
    `verify` proves it.
    """
    context.obj = file


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code (docs/reference/exit-codes.md)."""
    try:
        code = wulfling.main(arguments, prog_name="wulfling", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except WulflingError as error:
        _tell(error)
        return error.exit_code
    except click.exceptions.Abort:
        click.echo("interrupted: nothing is half-done, run it again", err=True)
        return 130
    except KeyboardInterrupt:
        click.echo("interrupted: nothing is half-done, run it again", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 64
    except BrokenPipeError:
        # Whoever read our output, `head` for example, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("WULFLING_DEBUG"):
            raise
        click.echo(f"error: a bug in wulfling: {type(error).__name__}: {error}", err=True)
        click.echo("  hint: WULFLING_DEBUG=1 shows where; please report it", err=True)
        return 1


def _tell(error: WulflingError) -> None:
    problems = error.problems if isinstance(error, BadFile) else (error,)
    for problem in problems:
        place = f"{problem.where}: " if problem.where else ""
        click.secho(f"{place}error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(problem.message, err=True)
        if problem.hint:
            click.echo(f"  hint: {problem.hint}", err=True)
    if len(problems) > 1:
        click.echo(f"{len(problems)} problems; no board was touched", err=True)


def run() -> None:
    """The console script."""
    sys.exit(main())
