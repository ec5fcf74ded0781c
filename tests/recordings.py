"""Where the recordings of a real Lotus farm are. No file of them is copied into this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def folder() -> Path:
    """``$LOTUS_CAPTURES``, else the folder that the maintainers keep beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "captures"
    return Path(os.environ.get("LOTUS_CAPTURES") or beside)


def need(*parts: str) -> Path:
    """The folder, or what lies at ``parts`` in it; without it a test is skipped with the reason, but fails in CI."""
    place = folder().joinpath(*parts)
    if not place.exists():
        reason = f"no recordings of a real Lotus farm at {place} (set LOTUS_CAPTURES)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return place
