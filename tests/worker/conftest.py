from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lotus_sched_cli.worker import run as run_module

from .fake_miner import FakeMiner
from .workers import Farm


@pytest.fixture
async def miner() -> AsyncIterator[FakeMiner]:
    miner = FakeMiner()
    await miner.start()
    yield miner
    await miner.stop()


@pytest.fixture
async def farm(miner: FakeMiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Farm]:
    monkeypatch.setattr(run_module, "LINGER", 0.2)
    farm = Farm(miner, tmp_path)
    yield farm
    for task in farm.running:
        task.cancel()
    await asyncio.gather(*farm.running, return_exceptions=True)
