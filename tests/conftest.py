"""What all tests share: quick ones first, then real boards, which stop at the first failure."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import settings

# A busy board or CI machine is slow now and then; that is no failure.
settings.register_profile("wulfling", deadline=None, print_blob=True)
settings.load_profile("wulfling")


def _weight(item: pytest.Item) -> int:
    return next((i for i, name in ((3, "crash"), (2, "lab"), (1, "fuzz")) if _is(item, name)), 0)


def _is(item: pytest.Item, marker: str) -> bool:
    return item.get_closest_marker(marker) is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A typing error should not cost half an hour of booting. Within a kind, file order, but the
    shared boards are without Slurm (``plain``) before they have it."""
    items.sort(key=lambda item: (_weight(item), "plain" not in getattr(item, "fixturenames", ())))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """End the run at the first failure on boards: what follows would fail for the same reason."""
    report = yield
    if report.failed and _weight(item) >= 2:
        item.session.shouldfail = (
            f"{item.nodeid} failed. Its boards and their consoles are kept: wulfling lab list"
        )
    return report
