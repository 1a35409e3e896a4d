"""Wheels: complete or not there, whenever the power goes."""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.node.board import Board
from wulfling.node.resources.wheel import Wheel

INTO = "/usr/local/lib/python3.11/dist-packages"


def packed(version: str, *modules: str, distribution: str = "mpi4py") -> bytes:
    info = f"{distribution}-{version}.dist-info"
    files = dict.fromkeys(modules, f"# {version}\n")
    files |= {f"{info}/METADATA": f"Name: {distribution}\nVersion: {version}\n"}
    record = "".join(f"{name},sha256=x,1\n" for name in files) + f"{info}/RECORD,,\n"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(name, text)
    return target.getvalue()


def wheel(version: str, data: bytes, distribution: str = "mpi4py") -> Wheel:
    blob = hashlib.sha256(data).hexdigest()
    return Wheel(distribution=distribution, version=version, blob=blob, into=INTO)


@pytest.fixture
def packages(root: Path) -> Path:
    return root / INTO.lstrip("/")


OLD = packed("4.0", "mpi4py/__init__.py", "mpi4py/gone.py")
NEW = packed("4.1", "mpi4py/__init__.py", "mpi4py/MPI.abi3.so")


def install(board: Board, version: str, data: bytes) -> Wheel:
    board.blob = {hashlib.sha256(data).hexdigest(): data}.__getitem__
    one = wheel(version, data)
    one.converge(board, one.observe(board))
    return one


def test_unpacked(board: Board, packages: Path) -> None:
    one = install(board, "4.1", NEW)
    assert one.observe(board) == one
    assert (packages / "mpi4py/MPI.abi3.so").read_text() == "# 4.1\n"


def test_an_older_version_leaves_no_module_behind(board: Board, packages: Path) -> None:
    old = install(board, "4.0", OLD)
    (packages / "numpy").mkdir()
    (packages / "numpy/__init__.py").write_text("")
    new = install(board, "4.1", NEW)
    assert (old.observe(board), new.observe(board)) == (None, new)
    files = sorted(str(f.relative_to(packages)) for f in packages.rglob("*") if f.is_file())
    assert files == [
        "mpi4py-4.1.dist-info/METADATA",
        "mpi4py-4.1.dist-info/RECORD",
        "mpi4py-4.1.dist-info/WULFLING",
        "mpi4py/MPI.abi3.so",
        "mpi4py/__init__.py",
        "numpy/__init__.py",
    ]


def test_the_same_version_of_another_build_is_another(board: Board) -> None:
    install(board, "4.1", NEW)
    assert wheel("4.1", OLD).observe(board) is None


def test_one_that_pip_put_there_is_replaced(board: Board, packages: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(NEW)) as archive:
        archive.extractall(packages)
    assert wheel("4.1", NEW).observe(board) is None
    one = install(board, "4.1", NEW)
    assert one.observe(board) == one


def test_cut_off_while_it_unpacked(
    board: Board, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(board, "4.0", OLD)

    def power_cut(self: zipfile.ZipFile, path: Path, members: object) -> None:
        self.extract("mpi4py/__init__.py", path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", power_cut)
        with pytest.raises(KeyboardInterrupt):
            install(board, "4.1", NEW)
    assert wheel("4.0", OLD).observe(board) is None
    assert wheel("4.1", NEW).observe(board) is None
    one = install(board, "4.1", NEW)
    assert one.observe(board) == one


def test_what_is_not_the_pinned_file_is_not_unpacked(board: Board, packages: Path) -> None:
    board.blob = lambda sha256: b"malware"
    with pytest.raises(WulflingError, match="not the pinned sha256"):
        wheel("4.1", NEW).converge(board, None)
    assert not packages.exists()


def test_a_record_that_points_elsewhere_removes_nothing(board: Board, root: Path) -> None:
    info = root / INTO.lstrip("/") / "mpi4py-4.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("../../../../../etc/passwd,,\n/etc/passwd,,\n")
    install(board, "4.1", NEW)
    assert (root / "etc/passwd").exists()


PROGRAM = "mpich-5.0.2.data/data/bin/mpiexec"


def with_program(version: str, name: str = PROGRAM) -> bytes:
    """A wheel that brings a program for the prefix of the installation, as MPICH's does."""
    data = packed(version, name, distribution="mpich")
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as plain,
        zipfile.ZipFile(target, "w") as archive,
    ):
        for member in plain.infolist():
            member.external_attr = (0o100755 if member.filename == name else 0o100644) << 16
            archive.writestr(member, plain.read(member.filename))
    return target.getvalue()


def test_programs_go_to_the_prefix_and_can_be_executed(board: Board, packages: Path) -> None:
    data = with_program("5.0.2")
    board.blob = lambda sha256: data
    one = wheel("5.0.2", data, "mpich")
    one.converge(board, None)
    assert one.observe(board) == one
    assert (packages / "bin/mpiexec").stat().st_mode & 0o777 == 0o755
    assert not (packages / "mpich-5.0.2.dist-info/METADATA").stat().st_mode & 0o111
    assert sorted(place.name for place in packages.iterdir()) == ["bin", "mpich-5.0.2.dist-info"]


def test_another_version_takes_the_programs_of_the_old_one_away(
    board: Board, packages: Path
) -> None:
    for version, name in (("5.0.2", PROGRAM), ("5.0.3", "mpich-5.0.3.data/data/bin/mpirun")):
        data = with_program(version, name)
        board.blob = {hashlib.sha256(data).hexdigest(): data}.__getitem__
        wheel(version, data, "mpich").converge(board, None)
    assert [place.name for place in (packages / "bin").iterdir()] == ["mpirun"]


def test_what_a_person_would_type_to_take_it_back(board: Board, packages: Path, root: Path) -> None:
    data = with_program("5.0.2")
    board.blob = lambda sha256: data
    one = wheel("5.0.2", data, "mpich")
    one.converge(board, None)
    for command in one.undo():
        plain = command.replace("sudo ", "").replace("/usr/", f"{root}/usr/")
        subprocess.run(["bash", "-c", plain], check=False)
    assert not [place for place in packages.rglob("*") if place.is_file()]


def test_names_with_a_dash(board: Board) -> None:
    data = packed("1.0", "x.py", distribution="slurm_tools")
    board.blob = lambda sha256: data
    one = wheel("1.0", data, "slurm-tools")
    one.converge(board, None)
    assert one.observe(board) == one


def test_nobody_to_ask(board: Board) -> None:
    with pytest.raises(WulflingError, match="nobody here has"):
        wheel("4.1", NEW).converge(board, None)
