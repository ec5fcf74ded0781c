from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .fake_miner import FakeMiner


@pytest.fixture
async def miner() -> AsyncIterator[FakeMiner]:
    miner = FakeMiner()
    await miner.start()
    yield miner
    await miner.stop()
