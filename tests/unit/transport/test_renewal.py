"""A key that takes another's place: cut off anywhere, the same call again ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wulfling.transport import pins

ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx3+nmUCHGdBN7wuhlu0SvIIowfd+B0o0wCXVFYQwPd"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAeHOjq9TgMVsYVAuV0f4h2qLq6hQvxoZCh3YFPRBhcS"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_host_key_that_was_rotated_out_is_never_pinned_again_by_a_lab() -> None:
    assert not pins.is_retired("c", ONE)
    pins.retire("c", [f"{ONE} root@one"])
    pins.retire("c", [ONE])
    assert pins.is_retired("c", ONE)
    assert not pins.is_retired("c", TWO)


def test_the_next_key_takes_the_place_of_the_one_in_use() -> None:
    old = pins.public_key("c")
    following = pins.next_identity("c")
    assert pins.next_identity("c") == following
    new = Path(f"{following}.pub").read_text().strip()
    pins.use_next("c")
    assert (pins.public_key("c"), pins.former("c"), pins.has_next("c")) == (new, old, False)
    assert pins.identity("c").stat().st_mode & 0o777 == 0o600
    pins.forget_former("c")
    assert pins.former("c") == ""


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_cut_off_at_any_write_it_is_done_again(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    old = pins.public_key("c")
    new = Path(f"{pins.next_identity('c')}.pub").read_text().strip()
    left = cut
    write, replace = pins.write_beside, Path.replace

    def counted() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    def write_or_not(file: Path, text: str) -> None:
        counted()
        write(file, text)

    def replace_or_not(self: Path, target: Path) -> Path:
        if self.name == pins.NEXT:
            counted()
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(pins, "write_beside", write_or_not)
        patched.setattr(Path, "replace", replace_or_not)
        with pytest.raises(KeyboardInterrupt):
            pins.use_next("c")
    assert pins.has_next("c")
    pins.use_next("c")
    assert (pins.public_key("c"), pins.former("c"), pins.has_next("c")) == (new, old, False)
