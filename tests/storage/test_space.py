"""How much room files take, while they come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lotus_sched_cli.storage.fsstat import disk_usage


def test_a_file_that_is_renamed_while_it_is_measured_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that ends moves its file to its place; another one's reservation must not fail over that."""
    fetched = tmp_path / "fetching"
    fetched.write_bytes(b"x" * 4096)
    assert disk_usage(fetched) >= 4096
    scandir = os.scandir

    def last_look(path: Path) -> object:
        try:
            return scandir(path)
        finally:
            fetched.rename(tmp_path / "s-t01000-1")

    monkeypatch.setattr(os, "scandir", last_look)
    assert disk_usage(fetched) == 0
