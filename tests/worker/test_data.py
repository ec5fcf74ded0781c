"""Data that comes in by streams, sectors that are unsealed again, and the worker inside the miner's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus.rpc.client import LocalCaller
from lotus_sched_cli.lotus.rpc.streams import BytesReader, NullReader
from lotus_sched_cli.lotus.types import CallID, Cid, PieceInfo, Range, SectorID, SectorRef, WorkerInfo
from lotus_sched_cli.sealers.simconfig import SimConfig
from lotus_sched_cli.sealers.simulated import TASKS, SimulatedSealer
from lotus_sched_cli.storage.index import RpcIndex
from lotus_sched_cli.storage.meta import init_path
from lotus_sched_cli.storage.store import Store
from lotus_sched_cli.worker.local import LocalWorker

from .fake_miner import FakeMiner
from .workers import Farm

REF = SectorRef(SectorID(1000, 15), 5)
TICKET = bytes([1]) * 32


@pytest.fixture
async def builtin(miner: FakeMiner, tmp_path: Path) -> AsyncIterator[LocalWorker]:
    """A worker and a miner that call each other in process."""
    line = LocalCaller(miner.server)
    store = Store(RpcIndex(line), "http://127.0.0.1:1/remote")
    init_path(tmp_path / "path", seal=True, store=True)
    worker = LocalWorker(
        miner=line, store=store, sealer=SimulatedSealer(SimConfig(speed=1e9)), name="miner-1", tasks=TASKS
    )
    await store.open_path(tmp_path / "path")
    yield worker
    await worker.close()
    await store.close()


async def test_the_built_in_worker_works_without_http_and_states_no_caps(
    builtin: LocalWorker, miner: FakeMiner
) -> None:
    info = await builtin.caller.call("Info", result=WorkerInfo)
    assert info.Hostname == "miner-1" and not isinstance(info.WorkerID, str)
    assert not isinstance(info.Resources.PreCommit1Max, int)
    call = await builtin.caller.call("AddPiece", REF, [], 2032, NullReader(2032), result=CallID)
    assert (await miner.result_of(call)).error is None


async def test_what_the_built_in_worker_has_not_finished_dies_with_it(
    miner: FakeMiner, builtin: LocalWorker
) -> None:
    builtin.worker.sealer.config = SimConfig()  # type: ignore[attr-defined]
    await builtin.caller.call("AddPiece", REF, [], 2032, NullReader(2032), result=CallID)
    await asyncio.sleep(0)
    await builtin.close()
    assert not builtin.worker.running(TaskType.ADD_PIECE)
    assert not miner.returned


async def test_a_finalized_sector_is_unsealed_and_its_spare_copies_go(
    builtin: LocalWorker, miner: FakeMiner, tmp_path: Path
) -> None:
    async def done(method: str, *params: object) -> object:
        call = await builtin.caller.call(method, *params, result=CallID)
        returned = await miner.result_of(call)
        assert returned.error is None, returned.error
        return returned.result

    piece = await done("AddPiece", REF, [], 2032, NullReader(2032))
    cids = await done("SealPreCommit2", REF, await done("SealPreCommit1", REF, TICKET, [piece]))
    await done("ReleaseUnsealed", REF, [Range(0, 1016)])
    assert miner.where(1000, 15, FileType.UNSEALED)
    await done("ReleaseUnsealed", REF, [])
    assert not (tmp_path / "path/unsealed/s-t01000-15").exists()
    await done("FinalizeSector", REF)
    await done("UnsealPiece", REF, 0, 2032, TICKET, cids.Unsealed)  # type: ignore[attr-defined]
    assert (tmp_path / "path/unsealed/s-t01000-15").exists()
    assert miner.where(1000, 15, FileType.UNSEALED)


async def test_unsealing_what_is_nowhere_says_so(builtin: LocalWorker, miner: FakeMiner) -> None:
    call = await builtin.caller.call("UnsealPiece", REF, 0, 2032, TICKET, Cid("baga"), result=CallID)
    assert "sector not found" in (await miner.result_of(call)).error.Message


async def test_pushed_piece_data_flows_to_the_worker_and_each_push_is_a_call_of_its_own(farm: Farm) -> None:
    await farm.start()
    worker = farm.miner.worker()
    data = bytes(range(127)) * 8
    calls = [
        await worker.call("DataCid", len(data), BytesReader(data), result=CallID, timeout=10)
        for _ in range(2)
    ]
    assert calls[0] != calls[1]
    results = [(await farm.miner.result_of(call)).result for call in calls]
    assert isinstance(results[0], PieceInfo) and results[0].Size == 1024
    assert results[0] == results[1]
    assert calls[0].Sector == SectorID(0, 0)
    call = await worker.call(
        "AddPiece", REF, [], len(data), BytesReader(data[:-1]), result=CallID, timeout=10
    )
    assert "ended after 1015 of 1016 bytes" in (await farm.miner.result_of(call)).error.Message
    await worker.close()
