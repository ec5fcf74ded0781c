"""What `sealing jobs` and `sealing workers` ask of the miner, as Lotus answers it (lotus-wire.md §8)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
from miner.dispatch_stage import Stage

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.types import NIL_UUID
from lotus_sched_cli.miner.views.jobs import worker_jobs
from lotus_sched_cli.miner.views.stats import worker_stats

C2 = TaskType.COMMIT2


def asked(s: Stage, view: Any) -> Any:
    """The answer as it goes over the wire."""
    miner = SimpleNamespace(dispatch=s.dispatch, workers=s.registry, sectors=None)
    return msgspec.json.decode(msgspec.json.encode(view(miner)))


async def test_a_job_of_a_live_worker_names_its_host_too(s: Stage) -> None:
    worker = await s.worker("w", C2)
    row = await s.submit(1, C2, ["AQID"])
    await s.until(lambda: s.phase(row) == "running")
    [[session, [job]]] = asked(s, worker_jobs).items()
    assert session != NIL_UUID and (job["RunWait"], job["ID"]["ID"]) == (0, worker.last.ID)
    assert job["Hostname"] == "w", "so that one call is enough"


async def test_a_count_that_is_down_to_none_stays_until_the_worker_restarts(s: Stage) -> None:
    worker = await s.worker("w", C2)
    assert [w["TaskCounts"] for w in asked(s, worker_stats).values()] == [{}]
    row = await s.submit(1, C2, ["AQID"])
    await s.until(lambda: s.phase(row) == "running")
    assert [w["TaskCounts"] for w in asked(s, worker_stats).values()] == [{"5:seal/v0/commit/2": 1}]
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: s.phase(row) == "gone")
    [told] = asked(s, worker_stats).values()
    assert told["TaskCounts"] == {"5:seal/v0/commit/2": 0}
    assert type(told["GpuUsed"]) is int, "Go writes 0, not 0.0"
    worker.restart()
    await s.connect(worker)
    assert [w["TaskCounts"] for w in asked(s, worker_stats).values()] == [{}]
