"""What tasks took on each worker is kept with their ends, and is there after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.miner.measured import KEPT, Measured
from lotus_sched_cli.miner.records import TaskRow
from lotus_sched_cli.miner.store import Store

P1 = TaskType.PRECOMMIT1


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "miner.db")
    yield store
    await store.close()


def ran(kind: TaskType = P1, accepted_at: float | None = 100.0) -> TaskRow:
    return TaskRow(
        id="t", sector=SectorId(1000, 1), proof=5, type=kind, queued_at=1.0, accepted_at=accepted_at
    )


async def end(store: Store, measured: Measured, row: TaskRow, now: float, *, failed: bool = False) -> None:
    writes = store.writes()
    writes.meta("something else", 1)
    measured.ended(writes, 7, row, now, failed=failed)
    await writes.commit()


async def test_durations_and_failures_come_back_after_a_restart(store: Store) -> None:
    measured = Measured()
    for seconds in range(40):
        await end(store, measured, ran(), 100.0 + seconds)
    await end(store, measured, ran(), 500.0, failed=True)
    await end(store, measured, ran(TaskType.COMMIT2), 160.0)

    again = Measured()
    await again.load(store, [1, 7])
    kinds = again.records[7].kinds
    assert list(kinds[P1].seconds) == [float(s) for s in range(40 - KEPT, 40)]
    assert (kinds[P1].done, kinds[P1].failed) == (40, 1)
    assert list(kinds[TaskType.COMMIT2].seconds) == [60.0]
    assert 1 not in again.records


async def test_the_network_s_rate_is_that_of_the_fetch(store: Store) -> None:
    measured = Measured()
    row = replace(ran(), fetch=FileType.SEALED, fetch_sent_at=50.0, fetched_at=52.0)
    await end(store, measured, row, 200.0)
    # A sealed file of 2 KiB in two seconds.
    assert list(measured.records[7].rates) == [1024.0]


async def test_a_task_that_never_began_on_its_worker_says_nothing(store: Store) -> None:
    measured = Measured()
    await end(store, measured, ran(accepted_at=None), 200.0, failed=True)
    assert measured.records == {}
