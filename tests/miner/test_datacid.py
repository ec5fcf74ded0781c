"""``ComputeDataCid``: a worker is asked, and its Return brings the piece, early or late."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.streams import NullReader
from lotus_sched_cli.lotus.types import CallError, CallID, Cid, PieceInfo, SectorID
from lotus_sched_cli.miner.datacid import DataCids

PIECE = PieceInfo(2048, Cid("baga-piece"))


class FakeCaller:
    def __init__(self, cids: DataCids, *, early: bool = False, broken: bool = False) -> None:
        self.cids, self.early, self.broken = cids, early, broken
        self.calls: list[Any] = []

    async def call(self, method: str, *params: Any, **_: Any) -> CallID:
        self.calls.append((method, params))
        if self.broken:
            raise RpcConnectError("connection refused", sent=False)
        call = CallID(SectorID(), f"call-{id(self)}-{len(self.calls)}")
        if self.early:
            self.cids.returned(call, PIECE, None)
        self.last = call
        return call


def worker(number: int, caller: FakeCaller, *, takes: bool = True) -> Any:
    tasks = frozenset({TaskType.DATA_CID} if takes else ())
    return SimpleNamespace(
        id=f"w{number}", number=number, name=f"worker-{number}", session=f"s{number}", online=True, caller=caller,
        tasks=tasks,
    )  # fmt: skip


def registry(*workers: Any) -> Any:
    return SimpleNamespace(live=lambda: list(workers), by_id={w.id: w for w in workers})


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_worker_that_takes_dc_is_asked_and_its_return_answers() -> None:
    cids = DataCids()
    caller = FakeCaller(cids)
    asked = asyncio.create_task(
        cids.compute(
            registry(worker(1, FakeCaller(cids), takes=False), worker(2, caller)), 2032, NullReader(2032)
        )
    )
    await settled()
    assert caller.calls[0][0] == "DataCid" and caller.calls[0][1][0] == 2032
    cids.returned(caller.last, PIECE, None)
    assert await asked == PIECE


async def test_a_return_before_the_call_id_is_not_lost() -> None:
    cids = DataCids()
    assert (
        await cids.compute(registry(worker(1, FakeCaller(cids, early=True))), 127, NullReader(127)) == PIECE
    )


async def test_two_at_once_go_to_two_workers() -> None:
    cids = DataCids()
    first, second = FakeCaller(cids), FakeCaller(cids)
    both = registry(worker(1, first), worker(2, second))
    asked = [asyncio.create_task(cids.compute(both, 127, NullReader(127))) for _ in range(2)]
    await settled()
    assert (len(first.calls), len(second.calls)) == (1, 1)
    for caller in (first, second):
        cids.returned(caller.last, PIECE, None)
    assert await asyncio.gather(*asked) == [PIECE, PIECE]


async def test_what_goes_wrong_is_told() -> None:
    cids = DataCids(look=0.01)
    with pytest.raises(RpcError, match="no worker that takes DataCid"):
        await cids.compute(registry(), 127, NullReader(127))
    with pytest.raises(RpcError, match="worker worker-1: connection refused"):
        await cids.compute(registry(worker(1, FakeCaller(cids, broken=True))), 127, NullReader(127))
    caller = FakeCaller(cids)
    failing = asyncio.create_task(cids.compute(registry(worker(1, caller)), 127, NullReader(127)))
    await settled()
    cids.returned(caller.last, PieceInfo(), CallError(0, "no disk"))
    with pytest.raises(RpcError, match=r"computing data CID: .*no disk"):
        await failing


async def test_a_worker_that_restarts_ends_the_wait() -> None:
    cids = DataCids(look=0.01)
    one = worker(1, FakeCaller(cids))
    asked = asyncio.create_task(cids.compute(registry(one), 127, NullReader(127)))
    await settled()
    one.session = "another"
    with pytest.raises(RpcError, match="worker-1 restarted or left; try again"):
        await asked
