"""Writes docs/reference from the program itself: `./dev docs`, and `--check` for tests.

Whatever a page says of a verb, a key, a code or a resource is read from the code that obeys
it, so that a page cannot promise what is not there.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click

from wulfling import errors
from wulfling.bringup.adopt import Adopted
from wulfling.bringup.discover import Found, Machine
from wulfling.cli import discover, explain, jobs, show, usage, user
from wulfling.cli.main import OUTPUT_UNREAD, wulfling
from wulfling.converge.outcome import CHANGES
from wulfling.converge.status import NodeStatus
from wulfling.day2.people import Standing
from wulfling.day2.usage import summed
from wulfling.jobs.queue import Listed
from wulfling.model.finding import Finding, Verdict
from wulfling.model.plan import Plan, Status, Step
from wulfling.model.resource import Resource
from wulfling.node.resources import KINDS
from wulfling.node.resources.directory import Directory
from wulfling.spec.schema import json_schema
from wulfling.spec.values import VERSION

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
NOTICE = "<!-- Written by ./dev docs from the program; do not edit. -->"
ABSENT = "–"

# Numbers of the project's list of requirements: (2-10), (0-16, 0-24), (2-36 to 2-40).
_REQUIREMENT = re.compile(r" \(\d-\d\d(?:(?:,| and| to) \d-\d\d)*\)")

Lines = Iterator[str]


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
        "cli.md": _page("The command line", _cli()),
        "cluster-file.md": _page("The cluster file", _cluster_file()),
        "cluster-file.schema.json": f"{show.as_json(json_schema())}\n",
        "exit-codes.md": _page("Exit codes", _exit_codes()),
        "json.md": _page("What `-o json` holds", _json()),
        "resources.md": _page("Resources", _resources()),
    }


def _written(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _page(title: str, lines: Lines) -> str:
    return "\n".join((NOTICE, "", f"# {title}", "", *lines)).rstrip("\n") + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    """A table, without the columns that hold nothing, and a blank line after it."""
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    if not kept:
        return
    for row in (header, ["---"] * len(header), *rows):
        cells = (row[i].replace("|", "\\|") or ABSENT for i in kept)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def _prose(docstring: str | None) -> tuple[str, ...]:
    """The paragraphs of a docstring, each on one line, in Markdown and without the numbers of
    requirements."""
    text = _REQUIREMENT.sub("", inspect.cleandoc(docstring or "").replace("``", "`"))
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def _sentence(docstring: str | None) -> str:
    """The first sentence of a docstring."""
    first = next(iter(_prose(docstring)), "")
    end = re.search(r"[.:](?= [A-Z`]|$)", first)
    return first[: end.start()] + "." if end else first


# The command line


def _cli() -> Lines:
    yield "Every verb with its options. `-h` or `--help` after a verb shows the same text."
    yield "What a verb's exit code means is on the page [exit codes](exit-codes.md)."
    yield ""
    yield from _verb(wulfling, click.Context(wulfling, info_name="wulfling"))


def _verb(command: click.Command, context: click.Context) -> Lines:
    yield f"## {context.command_path}"
    yield ""
    for paragraph in _prose(command.help):
        yield from (paragraph, "")
    yield from ("```text", " ".join((context.command_path, *_usage(command))), "```", "")
    options = [item for item in command.params if isinstance(item, click.Option)]
    rows = [_option(item) for item in options if not item.hidden]
    yield from _table(("option", "value", "default", "meaning"), rows)
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
        value = ", ".join(_code(str(choice)) for choice in option.type.choices)
    default = told["default"]
    shown = "" if option.is_flag or default is None else _code(str(default))
    meaning = " ".join(_prose(option.help))
    if isinstance(option.envvar, str):
        meaning += f" The variable `{option.envvar}` says it as well."
    return " ".join(map(_code, option.opts)), value, shown, meaning


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
    yield f"## {place if place == _TOP else _code(place)}"
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
        examples = ", ".join(_code(_yaml(example)) for example in field.get("examples", ()))
        rows.append((_code(key), kind, default, field["description"], examples))
    yield from _table(("key", "value", "default", "meaning", "example"), rows)
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
        return _code(_yaml(choice["const"]))
    if "enum" in choice:
        return ", ".join(map(_code, choice["enum"]))
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
        return _code(_yaml(field["default"]))
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
    yield ""
    told = {
        0: "Done. `plan`: nothing to do; `verify`: proven; `status`: every node is well.",
        CHANGES: "`plan` has changes to show, `discover` found boards that it did not write, or"
        " you said no at `apply` or a verb of `card`.",
        _USAGE: "The command line was not understood: no such verb, option or value.",
        _INTERRUPTED: "Interrupted with Ctrl-C. Run it again.",
        OUTPUT_UNREAD: "Whoever read the output, `head` for example, went away before the end.",
    }
    told |= {error.exit_code: _sentence(error.__doc__) for error in _errors()}
    told[errors.WulflingError.exit_code] = (
        "Something else that a person has to know, and the message says what; or a bug."
    )
    told[errors.BadFile.exit_code] = "The cluster file was refused; every reason was told at once."
    names = {error.exit_code: error.__name__ for error in _errors()}
    rows = [(str(code), told[code], _code(names.get(code, ""))) for code in sorted(told)]
    yield from _table(("code", "meaning", "error in the code"), rows)


def _errors() -> Iterator[type[errors.WulflingError]]:
    """The errors that have a code of their own."""
    for value in vars(errors).values():
        is_error = isinstance(value, type) and issubclass(value, errors.WulflingError)
        if is_error and "exit_code" in vars(value):
            yield value


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
        yield from (f"## {kind}", "", _prose(resource.__doc__)[0], "")
        yield from _fields(resource, ours)


def _fields(resource: type[Resource], told: frozenset[str]) -> Lines:
    items = [item for item in dataclasses.fields(resource) if item.name not in told]
    header = ("field", "type", "default", "part of the state")
    yield from _table(header, [_resource_field(item) for item in items])


def _resource_field(item: dataclasses.Field[Any]) -> tuple[str, str, str, str]:
    default = "required" if item.default is dataclasses.MISSING else repr(item.default)
    if item.name == "mode" and isinstance(item.default, int):
        default = f"0{item.default:o}"
    shown = default if default == "required" else _code(default)
    return _code(item.name), _code(str(item.type)), shown, "yes" if item.compare else "no"


# JSON

_STEP = {
    "node": "The node's name",
    "key": "The [resource](resources.md), `kind:name`",
    "status": ", ".join(_code(status.value) for status in Status),
    "diff": "Lines for people; a secret is shown by the beginning of its hash",
    "ms": "Milliseconds that the step took on the board",
    "message": "Why it is pending, or how it failed",
}
_PLAN = {
    "fingerprint": "Equal when two plans would change the same things",
    "changes": "How many steps are `change`, `changed` or `pending`",
    "unreachable": "Node to the reason why it does not answer",
    "errors": "Node to what went wrong there, if it answered and failed as a whole",
    "steps": "Every resource of every node that answered, also those that are `ok`",
}
_FINDING = {
    "subject": "A node, or the cluster",
    "check": "What was asked: `clock`, `mount`, `nodes`, `mpi`",
    "verdict": ", ".join(_code(verdict.value) for verdict in Verdict),
    "words": "What came out",
    "hint": "What to do about it",
}
_STATUS = {
    "node": "The node's name",
    "address": "Its address",
    "roles": "Its roles",
    "reachable": "Whether it answered",
    "state": "Slurm's word for it; `-` when Slurm has none",
    "reason": "Slurm's reason, or why the node does not answer",
    "load": "Load average of the last minute",
    "memory_mb": "Memory in MiB",
    "free_mb": "Memory that is available, in MiB",
    "up_seconds": "Seconds since it was switched on",
}
_EXPLAIN = {
    "key": "The [resource](resources.md), `kind:name`",
    "why": "The reason in a sentence",
    "commands": "What a person would type",
    "undo": "What takes it back",
}
_IMAGE = {
    "target": "the image file",
    "release": "`bookworm`, which is Debian 12",
    "architecture": "`arm64`",
    "bytes": "its size",
    "bytes_used": "what it takes of the disk: most of it is empty",
    "sha256": "of all of it",
}
_IMAGE_ROW = {
    "target": "debian.img",
    "release": "bookworm",
    "architecture": "arm64",
    "bytes": 1880096768,
    "bytes_used": 900000000,
    "sha256": "0" * 64,
}
_CARD = {
    "node": "The node's name",
    "address": "Its address",
    "target": "What was written",
    "mechanism": "`cloud-init`, `firstrun` or `custom.toml`",
    "files": "What was written into the boot folder",
    "bytes": "The length of the image; 0 for a boot folder",
    "sha256": "Of the image as it was read back; empty for a boot folder",
    "host_key": "Fingerprint that is pinned now; empty when the board makes its own",
    "remaining": "Sentences that say what is left to do",
}
_LAB = {
    "lab": "The lab's name, which is the cluster's",
    "board": "The board's name",
    "address": "Its address inside the lab",
    "state": "`on` (it answers), `starting`, `off`",
    "memory_mb": "Its memory in MiB",
    "disk_mb": "What its disk takes on this PC, in MiB",
}
_CARD_ROW = {
    "node": "rpnode02",
    "address": "10.0.0.2",
    "target": "/dev/sdb",
    "mechanism": "cloud-init",
    "files": ["user-data", "network-config", "meta-data", "cmdline.txt"],
    "bytes": 2927624192,
    "sha256": "20b416990a6d303eedb6ad1dc09d4713a321821eaeffbc6842479aac3799438c",
    "host_key": "SHA256:aRE8X86faxsoUIRjRg5nXbyFslrkQwa0e989byiOYyg",
    "remaining": [],
}
_ADOPT = {
    "node": "The node's name",
    "address": "Its address",
    "adopted": "Whether it is a node now",
    "changed": "What this run did there, in that order; empty when nothing was left to do",
    "fingerprint": "Of the host key that is pinned for it",
    "error": "Why it is not adopted",
}
_BANNER = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"
_LAB_ROW = {
    "lab": "raspi-hpc",
    "board": "rpnode02",
    "address": "10.0.0.2",
    "state": "on",
    "memory_mb": 256,
    "disk_mb": 120,
}


def _json() -> Lines:
    """Every example is made by the code that the verb uses, and the tables have to agree."""
    step = Step("rpnode02", "hostname:rpnode02", Status.CHANGE, ("  value: pi -> rpnode02",), 1)
    finding = Finding("raspi-hpc", "nodes", Verdict.GOOD, "2 nodes are ready")
    node = NodeStatus("rpnode02", "10.0.0.2", ("compute",), True, "idle", "", 0.1, 231, 150, 600)
    resource = Directory(path="/nfs", why="what the others mount")
    machine = Machine(IPv4Address("10.0.0.2"), "open", _BANNER, "dc:a6:32:01:02:03")
    found = discover.row(Found(machine, new=True, name="node02"), {}, (), {})
    account = Step("rpnode02", "admin account", Status.CHANGED)
    adopted = Adopted("rpnode02", "10.0.0.2", f"SHA256:{'A' * 43}", (account,), None)
    person = Standing("kim", 34817, "school", {"cpu": 4, "mem": 1024}, 10240, 1, 3, 1, 0)
    month = [datetime(2026, number, 1, tzinfo=timezone.utc) for number in (3, 4)]
    used = summed("school|kim|COMPLETED|3600|14400|cpu=4,mem=1G", *month).as_json()
    listed = Listed("42", "wave", "RUNNING", "0:07", "rpnode02", "", "2026-01-02T03:04:05", "")
    yield "These names are a promise: within this format they stay, and new ones may join them."
    yield "The text goes to stdout, all that is said to people goes to stderr."
    yield ""
    plan = show.plan_json(Plan((step,), {}))
    yield from _told("plan and apply", "`plan -o json`, `apply -y -o json`:", _PLAN, plan)
    yield from ("### A step", "")
    yield from _keys(_STEP, step.as_json())
    of_each: tuple[tuple[str, str, Mapping[str, str], Mapping[str, Any]], ...] = (
        ("verify", "a list, one finding for each check", _FINDING, show.finding_json(finding)),
        ("status", "a list, the nodes in the file's order", _STATUS, node.as_json()),
        ("explain", "a list, the resources in their order", _EXPLAIN, explain._as_json(resource)),
        ("jobs", "a list, the oldest first", jobs.KEYS, dataclasses.asdict(listed)),
        ("discover", "a list, all machines by their addresses", discover.KEYS, found),
        ("adopt", "a list, the boards in the file's order", _ADOPT, adopted.as_json()),
        ("user list", "a list, people in the file's order", user.KEYS, person.as_json()),
        ("lab list", "a list, every board of every lab", _LAB, _LAB_ROW),
    )
    yield from _told("usage", "`usage -o json`:", usage.KEYS, used)
    yield from _keys(usage.ROW_KEYS, used["people"][0])
    yield from _told("card build", "`card build -y -o json`:", _IMAGE, _IMAGE_ROW)
    yield from _told("card write", "`card write -y -o json`:", _CARD, _CARD_ROW)
    for verb, what, keys, example in of_each:
        yield from _told(verb, f"`{verb} -o json`: {what}.", keys, example)


def _told(title: str, what: str, keys: Mapping[str, str], example: Mapping[str, Any]) -> Lines:
    yield from (f"## {title}", "", what, "")
    yield from _keys(keys, example)
    text = example if what.endswith("json`:") else [example]
    yield from ("```json", show.as_json(text), "```", "")


def _keys(keys: Mapping[str, str], example: Mapping[str, Any]) -> Lines:
    if keys.keys() != example.keys():
        odd = sorted(keys.keys() ^ example.keys())
        raise click.ClickException(f"_json() and the program differ in {', '.join(odd)}")
    yield from _table(("key", "value"), [(_code(key), words) for key, words in keys.items()])


if __name__ == "__main__":
    main()
