"""The ``wulfling`` command: finds the verb, runs it, and turns errors into words and exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from wulfling import __version__
from wulfling.errors import BadFile, WulflingError

OUTPUT_UNREAD = 141  # 128 + SIGPIPE, as the shell has it for any program

# Verb -> module in this package and the line for --help. Modules are imported when their
# verb is used, because --help and completion should not wait for an SSH library.
VERBS = {
    "init": ("init", "Write a starter cluster file."),
    "discover": ("discover", "Find boards on the network and write them into the cluster file."),
    "card": ("card", "Prepare an SD card or an image file for a node."),
    "adopt": ("adopt", "Make nodes of new boards that have nothing but a password."),
    "build": ("build", "Build the Slurm that the file asks for, where a board needs it."),
    "plan": ("river", "Show what would change on every board, and change nothing."),
    "apply": ("river", "Bring every board to what the file says."),
    "verify": ("proof", "Prove the cluster with a real MPI job."),
    "status": ("status", "Show every node, the queue and storage on one screen; --watch goes on."),
    "doctor": ("doctor", "Say what is wrong, why, and what mends it; with --fix, mend it."),
    "run": ("jobs", "Send a folder, run it as a job, show its output, bring its results."),
    "submit": ("jobs", "Send a folder and submit its batch script."),
    "jobs": ("jobs", "Your jobs of the last week."),
    "logs": ("jobs", "What a job has printed; -f goes on until its end."),
    "cancel": ("jobs", "Cancel jobs."),
    "fetch": ("jobs", "Bring back what a job made."),
    "explain": ("explain", "Show each step on a node as the commands a person would type."),
    "export": ("export", "Write a machinefile, hosts lines or an ssh config."),
    "node": ("node", "Nodes: shell, drain, resume, reboot, add, remove, replace."),
    "power": ("power", "Switch the whole cluster off, and on again, in the right order."),
    "upgrade": ("upgrade", "Install newer packages, one board after the other."),
    "rotate": ("rotate", "Make new keys: of munge, of the boards' SSH, of the tunnel."),
    "backup": ("backup", "Save now, list what is saved, drill a restore; keys in one file."),
    "restore": ("restore", "Bring a head back on a blank board, or keys from a file."),
    "user": ("user", "People: add, import a class, remove, list."),
    "usage": ("usage", "Show who used how much, by person and by account."),
    "remote": ("remote", "Laptops and phones that reach the head from anywhere."),
    "lab": ("lab", "Virtual boards on this PC: up, down, cut, replace, list, console, destroy."),
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
    context.color = _colour()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code (docs/reference/exit-codes.md)."""
    try:
        code = wulfling.main(arguments, prog_name="wulfling", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except WulflingError as error:
        _tell(error)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted: nothing is half-done, run it again", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 64
    except SystemExit:
        # Only click does that, and only when whoever read our output, `head` for example, has
        # seen enough. What is still in the buffer must not complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_UNREAD
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
        error_word = click.style(f"{place}error: ", fg="red", bold=True)
        click.echo(error_word, nl=False, err=True, color=_colour())
        click.echo(problem.message, err=True)
        if problem.hint:
            click.echo(f"  hint: {problem.hint}", err=True)
    if len(problems) > 1:
        click.echo(f"{len(problems)} problems; no board was touched", err=True)


def _colour() -> bool | None:
    """What no-color.org asks for: never with NO_COLOR, unless that is empty; else as it suits."""
    return False if os.environ.get("NO_COLOR") else None


def run() -> None:
    """The console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without Korean letters shows their numbers, as Python does on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
