"""The order of the tests, and the signals that they send."""

from __future__ import annotations

import signal

import pytest

#: Ten minutes of processor: begun first, so that where two run at a time the other gets through the rest meanwhile.
LONGEST = "farm/test_real_proofs.py"


def pytest_configure() -> None:
    """A shell ignores SIGINT in what it starts in the background, and what is started there inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
