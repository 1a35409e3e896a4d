"""The starter file is a good file, in both languages and for both kinds of boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling import spec
from wulfling.errors import WulflingError
from wulfling.spec import document
from wulfling.spec.init import LANGUAGES, starter

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f kim"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"{KEY}\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("boards", ["virtual", "real"])
@pytest.mark.parametrize("keys", [(), ("~/.ssh/id_ed25519.pub", KEY)], ids=["", "keys"])
def test_it_loads_without_findings(lang: str, boards: str, keys: tuple[str, ...]) -> None:
    text = starter("my-cluster", boards, lang=lang, keys=keys)
    read, warnings = spec.check(document.parse(text.encode(), Path("cluster.yaml")))
    assert not warnings
    cluster = spec.resolve(read, {}, None, (KEY,))
    assert cluster.name == "my-cluster"
    assert cluster.virtual == (boards == "virtual")
    assert cluster.people[0].keys == ((KEY,) if keys else ())


def test_what_is_a_comment_works_as_well() -> None:
    lines = starter("c").splitlines()
    text = "\n".join(
        line.replace("# ", "", 1) if ": {" in line or "keys: [" in line else line for line in lines
    )
    read, _ = spec.check(document.parse(text.encode(), Path("cluster.yaml")))
    assert len(read.nodes) == 4
    assert len(spec.resolve(read, {}, None, ()).nodes) == 7
    assert read.people["pi"].keys == (KEY,)


def test_only_the_comments_differ_between_languages() -> None:
    texts = [starter("c", lang=lang) for lang in LANGUAGES]
    data = [document.parse(text.encode(), Path("f")).data for text in texts]
    assert data[0] == data[1]
    assert texts[0] != texts[1]


def test_the_languages_of_a_locale() -> None:
    assert starter("c", lang="ko_KR") == starter("c", lang="ko")


@pytest.mark.parametrize(
    ("name", "boards", "lang"), [("My", "virtual", "en"), ("c", "both", "en"), ("c", "real", "xx")]
)
def test_refused(name: str, boards: str, lang: str) -> None:
    with pytest.raises(WulflingError) as caught:
        starter(name, boards, lang=lang)
    assert caught.value.hint
