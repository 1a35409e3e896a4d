"""Writes docs/reference from the program itself: `./dev docs`, and `--check` for tests.

Whatever a page says of a verb, a key, a code or a resource is read from the code that obeys
it, so that a page cannot promise what is not there.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from wulfling import errors
from wulfling.cli import causes, reference_json, show
from wulfling.cli.main import OUTPUT_UNREAD, wulfling
from wulfling.cli.markdown import Lines, code, prose, sentence, table
from wulfling.converge.outcome import CHANGES
from wulfling.model.ports import PORTS
from wulfling.model.resource import Resource
from wulfling.node.resources import KINDS
from wulfling.spec.schema import json_schema
from wulfling.spec.values import VERSION

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
NOTICE = "<!-- Written by ./dev docs from the program; do not edit. -->"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a page is out of date.")
def main(check: bool) -> None:
    """Write the generated pages of docs/reference."""
    old = stale()
    if check:
        for name in old:
            click.echo(f"docs/reference/{name} is out of date", err=True)
        if old:
            click.echo("next: ./dev docs", err=True)
        sys.exit(1 if old else 0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        click.echo(f"docs/reference/{name} is {'written' if name in old else 'as it was'}")


def stale() -> tuple[str, ...]:
    """The names of the pages whose files are missing or say something else."""
    return tuple(name for name, text in pages().items() if _written(FOLDER / name) != text)


def pages() -> Mapping[str, str]:
    """Every generated page by the name of its file."""
    return {
        "causes.md": _page("Causes that doctor knows", causes.lines()),
        "cli.md": _page("The command line", _cli()),
        "cluster-file.md": _page("The cluster file", _cluster_file()),
        "cluster-file.schema.json": f"{show.as_json(json_schema())}\n",
        "exit-codes.md": _page("Exit codes", _exit_codes()),
        "json.md": _page("What `-o json` holds", reference_json.lines()),
        "ports.md": _page("Ports", _ports()),
        "resources.md": _page("Resources", _resources()),
    }


def _written(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _page(title: str, lines: Lines) -> str:
    return "\n".join((NOTICE, "", f"# {title}", "", *lines)).rstrip("\n") + "\n"


# The command line


def _cli() -> Lines:
    yield "Every verb with its options. `-h` or `--help` after a verb shows the same text."
    yield "What a verb's exit code means is on the page [exit codes](exit-codes.md)."
    yield ""
    yield from _verb(wulfling, click.Context(wulfling, info_name="wulfling"))


def _verb(command: click.Command, context: click.Context) -> Lines:
    yield f"## {context.command_path}"
    yield ""
    for paragraph in prose(command.help):
        yield from (paragraph, "")
    yield from ("```text", " ".join((context.command_path, *_usage(command))), "```", "")
    options = [item for item in command.params if isinstance(item, click.Option)]
    rows = [_option(item) for item in options if not item.hidden]
    yield from table(("option", "value", "default", "meaning"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _verb(below, click.Context(below, info_name=name, parent=context))


def _usage(command: click.Command) -> Lines:
    if any(isinstance(item, click.Option) for item in command.params):
        yield "[OPTIONS]"
    for item in command.params:
        if isinstance(item, click.Argument):
            name = (item.name or "").upper() + ("..." if item.nargs == -1 else "")
            yield name if item.required else f"[{name}]"
    if isinstance(command, click.Group):
        yield "VERB ..."


def _option(option: click.Option) -> tuple[str, str, str, str]:
    told = option.to_info_dict()
    value = "" if option.is_flag else option.name or ""
    if isinstance(option.type, click.Choice):
        value = ", ".join(code(str(choice)) for choice in option.type.choices)
    default = told["default"]
    shown = "" if option.is_flag or default is None else code(str(default))
    meaning = " ".join(prose(option.help))
    if isinstance(option.envvar, str):
        meaning += f" The variable `{option.envvar}` says it as well."
    return " ".join(map(code, option.opts)), value, shown, meaning


# The cluster file

_TOP = "At the top"


def _cluster_file() -> Lines:
    schema = json_schema()
    yield f"Format {VERSION}, in YAML. Everything but `wulfling`, `cluster`, `nodes` and the"
    yield "address of each node has a default. Unknown keys are refused, and all problems are told"
    yield "at once, with line and column."
    yield "[cluster-file.schema.json](cluster-file.schema.json) says the same to editors: for"
    yield "yaml-language-server, the first line of a cluster file can be"
    yield "`# yaml-language-server: $schema=PATH/cluster-file.schema.json`."
    yield ""
    yield from _block(_TOP, schema, schema["$defs"])


def _block(place: str, schema: Mapping[str, Any], blocks: Mapping[str, Any]) -> Lines:
    """A mapping of the file as a table, then the mappings inside it."""
    yield f"## {place if place == _TOP else code(place)}"
    yield ""
    yield from (schema["description"], "")
    inner: list[tuple[str, str]] = []
    rows = []
    for key, field in schema["properties"].items():
        kind = _kind(field)
        path = f"{place}.{key}" if place != _TOP else key
        if block := _below(field):
            inner.append((f"{path}.NAME" if _is_map(field) else path, block))
        default = _default(field, required=key in schema.get("required", ()))
        examples = ", ".join(code(_yaml(example)) for example in field.get("examples", ()))
        rows.append((code(key), kind, default, field["description"], examples))
    yield from table(("key", "value", "default", "meaning", "example"), rows)
    for path, block in inner:
        yield from _block(path, blocks[block], blocks)


def _choices(field: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What a value may be, without the empty one, which says nothing."""
    choices = field.get("anyOf", (field,))
    return tuple(choice for choice in choices if choice.get("type") != "null")


def _is_map(field: Mapping[str, Any]) -> bool:
    return any("patternProperties" in choice for choice in _choices(field))


def _below(field: Mapping[str, Any]) -> str:
    """The name of the block that the values of a field are made of, "" for plain values."""
    for choice in _choices(field):
        for part in (choice, *choice.get("patternProperties", {}).values()):
            if "$ref" in part:
                return str(part["$ref"]).rpartition("/")[2]
    return ""


def _kind(field: Mapping[str, Any]) -> str:
    return " or ".join(_word(choice) for choice in _choices(field))


def _word(choice: Mapping[str, Any]) -> str:
    """What one kind of value is called in a table."""
    if "const" in choice:
        return code(_yaml(choice["const"]))
    if "enum" in choice:
        return ", ".join(map(code, choice["enum"]))
    if choice.get("type") == "array":
        return f"list of {_word(choice['items'])}"
    if "$ref" in choice or choice.get("type") == "object":
        return "mapping"
    if "minimum" in choice:
        return f"number, {choice['minimum']} to {choice['maximum']}"
    if choice.get("type") == "boolean":
        return "`true`, `false`"
    if choice.get("format") == "ipv4":
        return "IPv4 address"
    return "size, as `512M`" if "KMGTP" in choice.get("pattern", "") else "text"


def _default(field: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    if "default" in field:
        return code(_yaml(field["default"]))
    if "Default:" in field["description"] or "(default:" in field["description"]:
        return "see there"
    return "`{}`" if _below(field) or _is_map(field) else "none"


def _yaml(value: object) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return str(value)


# Exit codes

_USAGE, _INTERRUPTED = 64, 130


def _exit_codes() -> Lines:
    yield "Where several apply, `plan` and `apply` give 4 before 3 before 2. With 5, 6, 8 and 64"
    yield "no resource of any node was changed. `adopt` goes on with the other boards and gives 4"
    yield "before 5 before 3 at the end; with 8 nothing was sent to any. `node shell` gives the"
    yield "code of the shell or of the command, and ssh's own 255 when the node does not answer."
    yield "`run` and `logs -f` give that of the job."
    yield "`doctor` gives 4 for whatever it found, and 3 when all it found are silent nodes;"
    yield "`doctor job` 4 for a job that waits or ended badly, and 1 for one that nobody knows."
    yield ""
    told = {
        0: "Done. `plan`: nothing to do; `verify`: proven; `status`: every node is well;"
        " `doctor`: nothing is wrong, or all of it is mended.",
        CHANGES: "`plan` has changes to show, `discover` found boards that it did not write, or"
        " you said no at `apply` or a verb of `card`.",
        _USAGE: "The command line was not understood: no such verb, option or value.",
        _INTERRUPTED: "Interrupted with Ctrl-C. Run it again. `status --watch` ends so.",
        OUTPUT_UNREAD: "Whoever read the output, `head` for example, went away before the end.",
    }
    told |= {error.exit_code: sentence(error.__doc__) for error in _errors()}
    told[errors.WulflingError.exit_code] = (
        "Something else that a person has to know, and the message says what; or a bug."
    )
    told[errors.BadFile.exit_code] = "The cluster file was refused; every reason was told at once."
    names = {error.exit_code: error.__name__ for error in _errors()}
    rows = [(str(number), told[number], code(names.get(number, ""))) for number in sorted(told)]
    yield from table(("code", "meaning", "error in the code"), rows)


def _errors() -> Iterator[type[errors.WulflingError]]:
    """The errors that have a code of their own."""
    for value in vars(errors).values():
        is_error = isinstance(value, type) and issubclass(value, errors.WulflingError)
        if is_error and "exit_code" in vars(value):
            yield value


# Ports


def _ports() -> Lines:
    yield "What listens on which board, for whom and why. The firewall's rules are made of this"
    yield "table, and a test asks boards whether anything else listens. Anybody may try to log in,"
    yield "unless `firewall: {ssh: ...}` names who."
    yield ""
    header = ("port", "listens", "on", "for", "why")
    rows = [
        (code(f"{port.number}/{port.protocol}"), port.program, port.on, port.who.value, port.why)
        for port in PORTS
    ]
    yield from table(header, rows)


# Resources


def _resources() -> Lines:
    yield "What can be declared about a node. `plan`, `apply` and `explain` name each thing by its"
    yield "key, `kind:name`. A field that is no part of the state orders or explains a step; two"
    yield "values of it are no difference in a plan."
    yield ""
    ours = frozenset(item.name for item in dataclasses.fields(Resource))
    yield from ("Every resource has:", "")
    yield from _fields(Resource, frozenset())
    for kind, resource in sorted(KINDS.items()):
        yield from (f"## {kind}", "", prose(resource.__doc__)[0], "")
        yield from _fields(resource, ours)


def _fields(resource: type[Resource], told: frozenset[str]) -> Lines:
    items = [item for item in dataclasses.fields(resource) if item.name not in told]
    header = ("field", "type", "default", "part of the state")
    yield from table(header, [_resource_field(item) for item in items])


def _resource_field(item: dataclasses.Field[Any]) -> tuple[str, str, str, str]:
    default = "required" if item.default is dataclasses.MISSING else repr(item.default)
    if item.name == "mode" and isinstance(item.default, int):
        default = f"0{item.default:o}"
    shown = default if default == "required" else code(default)
    return code(item.name), code(str(item.type)), shown, "yes" if item.compare else "no"


if __name__ == "__main__":
    main()
