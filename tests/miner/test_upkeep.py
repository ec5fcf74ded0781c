"""What operators do to workers by hand: caps that change while they run, kept where they belong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from miner.dispatch_stage import FakeWorker, Stage, stage

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.extras import CapRow, WorkerCapRows
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner import upkeep

P1, C2, AP = TaskType.PRECOMMIT1, TaskType.COMMIT2, TaskType.ADD_PIECE


@pytest.fixture
async def s(tmp_path: Path) -> AsyncIterator[Stage]:
    made = await stage(tmp_path / "s.db")
    yield made
    await made.stop()
    await made.store.close()


def miner(s: Stage) -> Any:
    """The parts of a miner that upkeep looks at."""
    return SimpleNamespace(workers=s.registry, dispatch=s.dispatch, clock=s.clock, index=s.index)


def value(table: WorkerCapRows, name: str) -> tuple[str, str]:
    row = next(r for r in table.Caps if r.Name == name)
    return row.Value, row.Source


async def test_a_stock_worker_s_caps_are_kept_here_and_outlive_restarts_of_the_miner(
    s: Stage, tmp_path: Path
) -> None:
    fake = await s.worker("stock", P1, AP, stock=True)
    table = await upkeep.caps_set(miner(s), "stock", {"precommit1max": "2", "addpiecemax": "1"})
    assert table.Owner == "miner" and value(table, "precommit1max") == ("2", "live")
    assert value(table, "precommit2max") == ("1", "config")
    first = await s.submit(1, AP, [[], 2032, {"Type": "null", "Info": "2032"}])
    second = await s.submit(2, AP, [[], 2032, {"Type": "null", "Info": "2032"}])
    await s.until(lambda: s.phase(first) == "running")
    assert s.phase(second) == "queued"
    assert s.dispatch.scheduler.workers()[0].caps.precommit1_max == 2

    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    await again.start()
    try:
        await again.connect(fake)
        worker = again.registry.live()[0]
        assert worker.caps.precommit1_max == 2 and again.registry.limits(worker)[AP, 8] == 1
        table = await upkeep.caps_reset(miner(again), "stock", [])
        assert value(table, "precommit1max") == ("7", "config")
    finally:
        await again.stop()


async def test_a_worker_that_knows_its_caps_is_passed_the_change_and_asked_again(s: Stage) -> None:
    fake = await s.worker("w", P1)
    table = await upkeep.caps_set(miner(s), "w", {"precommit1max": "9"})
    assert fake.caps["precommit1max"] == "9" and table.Owner == "worker"
    assert s.registry.live()[0].caps.precommit1_max == 9
    await s.until(lambda: [w.caps.precommit1_max for w in s.dispatch.scheduler.workers()] == [9])
    listed = (await upkeep.caps_list(miner(s), ""))[0]
    assert value(listed, "precommit1max") == ("9", "live")
    await upkeep.caps_reset(miner(s), "w", ["precommit1max"])
    assert s.registry.live()[0].caps.precommit1_max == 7


async def test_a_lowered_cap_lets_work_finish_and_takes_no_more(s: Stage) -> None:
    await s.worker("w", C2)
    await upkeep.caps_set(miner(s), "w", {"commit2max": "2"})
    rows = [await s.submit(n, C2, ["AQ=="]) for n in range(3)]
    await s.until(lambda: [s.phase(r) for r in rows] == ["running", "running", "queued"])
    await upkeep.caps_set(miner(s), "w", {"commit2max": "1"})
    call = s.fakes["http://w:3456/rpc/v0"].calls[0][2]
    await s.returned(call, C2, b"proof")
    await s.until(lambda: s.phase(rows[0]) == "gone")
    await s.written()
    assert [s.phase(r) for r in rows[1:]] == ["running", "queued"]


async def test_a_worker_out_of_reach_is_told_of_and_nothing_changes(s: Stage) -> None:
    fake = await s.worker("w", P1)
    fake.away = True
    with pytest.raises(RpcError, match="keeps its caps itself and does not answer"):
        await upkeep.caps_set(miner(s), "w", {"precommit1max": "9"})
    listed = (await upkeep.caps_list(miner(s), "w"))[0]
    assert "refused" in listed.Error and value(listed, "precommit1max") == ("7", "worker")


async def test_which_worker_is_meant(s: Stage) -> None:
    await s.worker("one", P1)
    await s.worker("two", P1)
    assert upkeep.find(s.registry, "2").name == "two"
    assert upkeep.find(s.registry, "one").number == 1
    assert upkeep.find(s.registry, s.registry.live()[1].session[:13]).name in ("one", "two")
    with pytest.raises(RpcError, match=r"2 workers match \"id-of\": .*number 1, one.*number 2, two"):
        upkeep.find(s.registry, "id-of")
    with pytest.raises(RpcError, match='no worker "three"; known are'):
        upkeep.find(s.registry, "three")
    with pytest.raises(RpcError, match='no worker ""'):
        upkeep.find(s.registry, "")


__all__ = ["CapRow", "FakeWorker"]
