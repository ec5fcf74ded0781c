"""What `sealing jobs` and `sealing workers` ask of the miner, as Lotus answers it (lotus-wire.md §8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from miner.dispatch_stage import Stage, stage

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.types import NIL_UUID
from lotus_sched_cli.miner.views.jobs import worker_jobs
from lotus_sched_cli.miner.views.stats import worker_stats

C2 = TaskType.COMMIT2


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[Stage]:
    made = await stage(tmp_path / "s.db")
    yield made
    await made.stop()
    await made.store.close()


def asked(farm: Stage, view: Any) -> Any:
    """The answer as it goes over the wire."""
    miner = SimpleNamespace(dispatch=farm.dispatch, workers=farm.registry, sectors=None)
    return msgspec.json.decode(msgspec.json.encode(view(miner)))


async def test_a_job_of_a_live_worker_names_its_host_too(farm: Stage) -> None:
    worker = await farm.worker("w", C2)
    row = await farm.submit(1, C2, ["AQID"])
    await farm.until(lambda: farm.phase(row) == "running")
    [[session, [job]]] = asked(farm, worker_jobs).items()
    assert session != NIL_UUID and (job["RunWait"], job["ID"]["ID"]) == (0, worker.last.ID)
    assert job["Hostname"] == "w", "so that one call is enough"


async def test_a_count_that_is_down_to_none_stays_until_the_worker_restarts(farm: Stage) -> None:
    worker = await farm.worker("w", C2)
    assert [w["TaskCounts"] for w in asked(farm, worker_stats).values()] == [{}]
    row = await farm.submit(1, C2, ["AQID"])
    await farm.until(lambda: farm.phase(row) == "running")
    assert [w["TaskCounts"] for w in asked(farm, worker_stats).values()] == [{"5:seal/v0/commit/2": 1}]
    await farm.returned(worker.last, C2, b"proof")
    await farm.until(lambda: farm.phase(row) == "gone")
    [told] = asked(farm, worker_stats).values()
    assert told["TaskCounts"] == {"5:seal/v0/commit/2": 0}
    assert type(told["GpuUsed"]) is int, "Go writes 0, not 0.0"
    worker.restart()
    await farm.connect(worker)
    assert [w["TaskCounts"] for w in asked(farm, worker_stats).values()] == [{}]
