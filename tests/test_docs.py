"""The documentation is true: verbs, fields, links, commands and files in it exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from wulfling import spec
from wulfling.cli.main import wulfling
from wulfling.cli.reference import main as write_reference
from wulfling.spec.schema import Spec

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)
FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PRAISE = re.compile(
    r"\b(simply|just|easy|easily|effortless\w*|seamless\w*|powerful|blazing\w*|elegant\w*)\b", re.I
)

page_by_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def text(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are in ``language``, without their indentation."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [
        "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        for indent, _, name, body in found
        if name == language
    ]


def verbs(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every verb of the command line, ``("lab", "up")``, groups included."""
    if words:
        yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, f"{' '.join((*words, name))} is listed and not there"
            yield from verbs(below, (*words, name))


def dev_verbs() -> dict[str, set[str]]:
    """The verbs of ./dev and the words that may follow each, from its own help."""
    told = subprocess.run(
        [ROOT / "dev", "help"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found: dict[str, set[str]] = {"help": set()}
    for line in told:
        if match := re.match(r"  ([a-z]+)(?: (\[?[a-z-]+\]?))?  ", line):
            found.setdefault(match[1], set()).add((match[2] or "").strip("[]"))
    return found


def reference() -> str:
    """All reference pages as one text."""
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.rglob("*.md")))


def test_reference_is_what_the_program_says() -> None:
    checked = CliRunner().invoke(write_reference, ["--check"])
    assert checked.exit_code == 0, checked.output


def test_every_verb_is_documented() -> None:
    told = reference()
    missing = [
        " ".join(words) for words in verbs(wulfling) if f"wulfling {' '.join(words)}" not in told
    ]
    assert not missing, "not in docs/reference"


def test_every_option_is_documented() -> None:
    told = reference()
    missing = []
    for words in verbs(wulfling):
        command: click.Command = wulfling
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word) or command
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                missing += [f"{' '.join(words)} {name}" for name in option.opts if name not in told]
    assert not missing, "not in docs/reference"


def test_every_field_of_the_cluster_file_is_documented() -> None:
    schema = Spec.model_json_schema()
    told = reference()
    missing = [name for name in sorted(set(fields(schema))) if f"`{name}`" not in told]
    assert not missing, "not in docs/reference"


def fields(schema: Any) -> Iterator[str]:
    """The name of every property anywhere in a JSON schema."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        if isinstance(properties, dict):
            yield from properties
        for value in schema.values():
            yield from fields(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from fields(value)


@pytest.mark.parametrize("name", ["README", "docs/tutorial"])
def test_both_languages_have_the_same_shape(name: str) -> None:
    """Headings, blocks and links: a translation that fell behind is seen here."""
    shapes = []
    for page in (ROOT / f"{name}.md", ROOT / f"{name}.ko.md"):
        headings = re.findall(r"^(#+) ", text(page), re.MULTILINE)
        languages = [block[2] for block in FENCE.findall(page.read_text(encoding="utf-8"))]
        links = [link.replace(".ko.md", ".md") for link in LINK.findall(text(page))]
        shapes.append((headings, languages, links))
    assert shapes[0] == shapes[1]


def test_both_tutorials_type_and_show_the_same() -> None:
    """The lab runs the English one."""
    english, korean = (
        [(language, body) for _, _, language, body in FENCE.findall(page.read_text("utf-8"))]
        for page in (ROOT / "docs/tutorial.md", ROOT / "docs/tutorial.ko.md")
    )
    assert english == [(language, body.replace(" --lang ko", "")) for language, body in korean]


@page_by_page
def test_links_lead_somewhere(page: Path) -> None:
    lost = [
        link
        for link in LINK.findall(text(page))
        if "://" not in link and not (page.parent / link.split("#")[0]).exists()
    ]
    assert not lost


@page_by_page
def test_commands_exist(page: Path) -> None:
    wulfling_verbs, ours = set(verbs(wulfling)), dev_verbs()
    bad = []
    for line in "\n".join(blocks(page, "console")).splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if not line.startswith("$ ") or not words:
            continue
        if words[0] == "./dev":
            verb, word = [*words[1:], "", ""][:2]
            good = verb in ours and (not word or word in ours[verb])
        elif words[0] == "wulfling":
            good = is_verb(words[1:], wulfling_verbs)
        else:
            good = True
        if not good:
            bad.append(line)
    assert not bad, "no such verb"


def is_verb(words: list[str], known: set[tuple[str, ...]]) -> bool:
    """Whether a command line names a verb, and one of its verbs when it is a group."""
    if words[:1] in (["-f"], ["--file"]):
        words = words[2:]
    if not words or words[0].startswith("-"):
        return True
    groups = {verb[0] for verb in known if len(verb) > 1}
    return tuple(words[: 2 if words[0] in groups else 1]) in known


@page_by_page
def test_cluster_files_in_the_text_are_good(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "yaml")):
        if block.startswith("wulfling: "):
            file = tmp_path / f"{number}.yaml"
            file.write_text(block, encoding="utf-8")
            spec.load(file)


@page_by_page
def test_no_praise(page: Path) -> None:
    """Figures say how good it is; what is easy for us may be hard for the reader."""
    assert not PRAISE.findall(text(page))


@page_by_page
def test_generated_parts_are_closed(page: Path) -> None:
    """`./dev docs` replaces what stands between the two marks."""
    opened = re.findall(r"<!-- (/?)printed", page.read_text(encoding="utf-8"))
    assert opened == ["", "/"] * (len(opened) // 2)
