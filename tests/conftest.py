"""The order of the tests."""

from __future__ import annotations

import pytest

#: Ten minutes of processor: begun first, so that where two run at a time the other gets through the rest meanwhile.
LONGEST = "farm/test_real_proofs.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
