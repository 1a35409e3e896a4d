"""The house holds its shape: layers, sizes, names, and who may print, start or import what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "wulfling"
MODULES = sorted(SRC.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in MODULES}

LONGEST_FUNCTION = 50
LONGEST_MODULE = 500
NAMES_THAT_SAY_NOTHING = {
    *("base", "common", "core", "helper", "helpers", "lib", "manager", "managers", "misc"),
    *("tools", "util", "utilities", "utils"),
}

# Who may start processes: `proc` on this machine, `board` on a board, `desk/slurm` there as the
# person whose job it is, `backup/process` what is piped there, and the edge, which may turn itself
# into ssh.
STARTERS = {"proc.py", "node/backup/process.py", "node/board.py", "node/desk/slurm.py"}
EXEC_STARTERS = {"cli/node.py"}
STARTING = {"subprocess", "multiprocessing", "pty"}
OS_STARTING = re.compile(r"os\.(system|popen|fork\w*|posix_spawnp?|spawn\w+)$")
LOOP_STARTING = re.compile(r"asyncio\.create_subprocess_\w+$")

SHIPPED = {"errors.py", "__init__.py"}


def where(path: Path, node: ast.AST | None = None) -> str:
    """``cli/main.py:12``"""
    line = f":{getattr(node, 'lineno', 1)}" if node is not None else ""
    return f"{path.relative_to(SRC).as_posix()}{line}"


def room(path: Path) -> str:
    """The first folder under the package, "" for a module beside them."""
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else ""


def is_program(path: Path) -> bool:
    """Whether the module is started as a process of its own, and so has streams of its own."""
    return any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in TREES[path].body
    )


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported anywhere in ``tree``, by its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the layer"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call in ``tree`` whose function has a dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method in ``tree``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_shipped(path: Path) -> bool:
    """Whether the module runs on a board, where there is nothing but the standard library."""
    return room(path) in ("node", "model") or where(path) in SHIPPED


def test_layers() -> None:
    """The contracts of pyproject.toml: who may import whom."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def test_functions_are_short() -> None:
    long = [
        f"{where(path, function)} {function.name}: {length} lines"
        for path, tree in TREES.items()
        for function in functions(tree)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not long, f"more than {LONGEST_FUNCTION} lines"


def test_modules_are_short() -> None:
    lengths = {where(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    long = {name: length for name, length in lengths.items() if length > LONGEST_MODULE}
    assert not long, f"more than {LONGEST_MODULE} lines"


def test_module_names_say_what_is_in_them() -> None:
    names = {where(path): set(path.relative_to(SRC).with_suffix("").parts) for path in MODULES}
    bad = [name for name, parts in names.items() if parts & NAMES_THAT_SAY_NOTHING]
    assert not bad


def test_every_module_says_what_it_is_for() -> None:
    bad = []
    for path, tree in TREES.items():
        docstring = ast.get_docstring(tree) or ""
        opening = docstring.split("\n\n")[0]
        if not re.match(r"\S.*?[.:](\s|$)", opening, re.DOTALL):
            bad.append(where(path))
    assert not bad, "no docstring that opens with a sentence"


def test_public_functions_say_what_the_caller_gets() -> None:
    bad = [
        f"{where(path, function)} {function.name}"
        for path, tree in TREES.items()
        for function in public_functions(tree)
        if not ast.get_docstring(function)
    ]
    assert not bad, "no docstring"


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a module, and the methods of its public classes, without underscore."""
    for node in tree.body:
        members: list[ast.stmt] = [node]
        if isinstance(node, ast.ClassDef):
            # A method of a class with a base says what the base says.
            members = node.body if not node.bases and not node.name.startswith("_") else []
        for member in members:
            if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not member.name.startswith("_"):
                yield member


def test_only_the_edge_prints_prompts_and_exits() -> None:
    bad = []
    for path, tree in TREES.items():
        if room(path) == "cli" or is_program(path):
            continue
        bad += [
            f"{where(path, node)} {name}()"
            for name, node in calls(tree)
            if name in ("print", "input", "exit", "quit", "sys.exit", "breakpoint")
            or name.startswith(("sys.stdout.", "sys.stderr.", "click."))
        ]
        bad += [
            f"{where(path, node)} import {name}"
            for name, node in imports(tree)
            if name.split(".")[0] in ("click", "rich", "getpass")
        ]
    assert not bad


def test_processes_start_at_one_door() -> None:
    bad = []
    for path, tree in TREES.items():
        if where(path) in STARTERS:
            continue
        bad += [
            f"{where(path, node)} import {name}"
            for name, node in imports(tree)
            if name.split(".")[0] in STARTING and not runs_in_type_checker_only(tree, node)
        ]
        bad += [
            f"{where(path, node)} {name}()"
            for name, node in calls(tree)
            if OS_STARTING.match(name)
            or LOOP_STARTING.match(name)
            or (name.startswith("os.exec") and where(path) not in EXEC_STARTERS)
        ]
    assert not bad


def runs_in_type_checker_only(tree: ast.Module, wanted: ast.stmt) -> bool:
    """Whether ``wanted`` stands under ``if TYPE_CHECKING``."""
    return any(
        isinstance(node, ast.If)
        and ast.unparse(node.test) == "TYPE_CHECKING"
        and wanted in ast.walk(node)
        for node in tree.body
    )


def test_a_board_needs_nothing_but_python() -> None:
    """Imports under TYPE_CHECKING count too: no layer is left by a side door."""
    ours = ("wulfling.errors", "wulfling.model", "wulfling.node")
    bad = []
    for path, tree in TREES.items():
        if not is_shipped(path):
            continue
        for name, node in imports(tree):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or name == "wulfling.__version__":
                continue
            if not any(name == room or name.startswith(f"{room}.") for room in ours):
                bad.append(f"{where(path, node)} import {name}")
    assert not bad


def test_what_runs_on_a_board_is_python_3_10() -> None:
    for path in MODULES:
        if is_shipped(path):
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


def test_what_crosses_layers_is_frozen() -> None:
    """Every dataclass of the model and every resource."""
    bad = []
    for path, tree in TREES.items():
        if room(path) != "model" and "node/resources/" not in where(path):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
                if any(d.startswith("dataclass") and "frozen=True" not in d for d in decorators):
                    bad.append(f"{where(path, node)} {node.name}")
    assert not bad


def test_every_room_that_is_tested_mirrors_the_source() -> None:
    """tests/unit has no folder for a room that is not there (examples apart)."""
    rooms = {room(path) for path in MODULES}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir()}
    assert folders - {"__pycache__", "examples"} <= rooms
