"""What several of these tests are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from miner.dispatch_stage import Stage, stage


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    """Registry, dispatch and index on a store of their own."""
    made = await stage(tmp_path / "s.db")
    yield made
    await made.stop()
    await made.store.close()
