"""What of a folder is sent, and what is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wulfling.errors import WulflingError
from wulfling.jobs import folder as folders
from wulfling.jobs.folder import packed, size
from wulfling.jobs.submit import checked


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(f"{name}\n")
    return root


def sent(root: Path) -> list[str]:
    return [entry["path"] for entry in packed(root).entries if entry["kind"] != "dir"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that is somebody's work."""
    return tree(tmp_path / "work", "job.sh")


def test_what_can_be_made_anew_stays_here(root: Path) -> None:
    tree(root, ".git/config", "a/.venv/bin/python", "a/__pycache__/x.pyc", "b/c.pyc", "b/c.py")
    tree(root, "node_modules/x/index.js", ".hidden", "a.out")
    assert sent(root) == [".hidden", "a.out", "b/c.py", "job.sh"]


def test_exclusions_are_those_of_gitignore(root: Path) -> None:
    tree(root, "runs/1/log", "runs/keep", "src/runs/x", "data.csv", "src/data.csv", "big.bin")
    tree(root, "src/small.bin")
    (root / ".wulflingignore").write_text(
        "# old\n/runs/*\n!/runs/keep\n/data.csv\n*.bin\n!small.bin\n"
    )
    assert sent(root) == [
        ".wulflingignore",
        "job.sh",
        "runs/keep",
        "src/data.csv",
        "src/runs/x",
        "src/small.bin",
    ]


def test_what_is_excluded_by_default_may_be_wanted(root: Path) -> None:
    tree(root, "__pycache__/x.pyc")
    (root / ".wulflingignore").write_text("!__pycache__/\n!*.pyc\n")
    assert "__pycache__/x.pyc" in sent(root)


def test_an_excluded_folder_is_not_looked_into(root: Path) -> None:
    tree(root, ".venv/secret/x")
    (root / ".venv").chmod(0)
    try:
        assert sent(root) == ["job.sh"]
    finally:
        (root / ".venv").chmod(0o755)


def test_results_of_earlier_jobs_are_not_sent_again(root: Path) -> None:
    tree(root, "job-41/.wulfling-job", "job-41/out", "job-notes/x")
    assert sent(root) == ["job-notes/x", "job.sh"]


def test_links_are_sent_as_links_and_sockets_are_told(root: Path) -> None:
    (root / "link").symlink_to("job.sh")
    (root / "away").symlink_to("/nfs/data", target_is_directory=True)
    os.mkfifo(root / "pipe")
    parcel = packed(root)
    links = {e["path"]: e["to"] for e in parcel.entries if e["kind"] == "link"}
    assert links == {"link": "job.sh", "away": "/nfs/data"}
    assert parcel.left_out == ("pipe",)


def test_modes_and_empty_folders_are_kept(root: Path) -> None:
    tree(root, "empty/")
    (root / "job.sh").chmod(0o750)
    parcel = packed(root)
    assert {"path": "empty", "kind": "dir"} in parcel.entries
    (job,) = (entry for entry in parcel.entries if entry["path"] == "job.sh")
    assert job["mode"] == 0o750


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/", "has your home in it"),
        ("/etc", "is a part of the system"),
        ("/etc/ssl", "is a part of the system"),
        ("/usr", "is a part of the system"),
        ("~", "is your home"),
        ("~/..", "has your home in it"),
        ("~/.ssh", "settings and keys"),
        ("~/.config/x", "settings and keys"),
        ("~/nothing", "is no folder"),
    ],
)
def test_nobody_means_to_send(
    place: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "kim"
    tree(home, ".ssh/id_ed25519", ".config/x/y")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(WulflingError, match=reason):
        packed(Path(place).expanduser())


def test_too_many_and_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(root, "a", "b", "c")
    monkeypatch.setattr(folders, "MOST_FILES", 3)
    with pytest.raises(WulflingError, match="more than 3 files"):
        packed(root)
    assert packed(root, large=True).files == 4
    monkeypatch.setattr(folders, "MOST_FILES", 9)
    monkeypatch.setattr(folders, "MOST_BYTES", 12)
    with pytest.raises(
        WulflingError, match=r"13 bytes; the largest are job.sh \(7 bytes\), a"
    ) as big:
        packed(root)
    assert ".wulflingignore" in big.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read(root: Path) -> None:
    (root / "job.sh").chmod(0)
    with pytest.raises(WulflingError, match="cannot be read: Permission denied"):
        packed(root)


def test_a_bad_pattern_says_where(root: Path) -> None:
    (root / ".wulflingignore").write_text("!\n")
    with pytest.raises(WulflingError) as bad:
        packed(root)
    assert bad.value.where.endswith(".wulflingignore")


def test_sizes_for_people() -> None:
    assert [size(n) for n in (0, 999, 1000, 3_400_000, 2_000_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "3.4 MB",
        "2.0 GB",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--chdir=/tmp", "job.sh"),
        ("-D", "/tmp", "job.sh"),
        ("-N", "2", "--wait", "job.sh"),
        ("--test-only", "job.sh"),
        (),
    ],
)
def test_words_that_do_not_go_with_a_sent_folder(root: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(WulflingError):
        checked(words, packed(root))


def test_words_of_the_script_are_its_own(root: Path) -> None:
    words = ("-N", "2", "./job.sh", "--wait", "-D", "x")
    assert checked(words, packed(root)) == words
