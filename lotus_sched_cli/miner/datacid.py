"""``sealing data-cid``: a worker computes the CID of data that somebody streams to it through the miner.

It belongs to no sector, so nothing is stored: whoever asked is gone after a restart, and asks again. The worker with the
fewest of these takes the next one; the stream is passed on, its data never comes through the miner where the sender can be
told where to send.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.streams import Reader
from lotus_sched_cli.lotus.types import CallError, CallID, PieceInfo

from .known_workers import Worker
from .workers import Registry

#: Seconds between two looks at whether the worker is still the one that was asked.
LOOK: Final = 5.0
Answer = tuple[PieceInfo, CallError | None]


class DataCids:
    """What is being computed, and by whom."""

    def __init__(self, look: float = LOOK) -> None:
        self._look = look
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        #: Results that came before the answer with their CallID.
        self._early: dict[str, Answer] = {}
        self._asking = 0
        self._carried: Counter[str] = Counter()

    async def compute(self, workers: Registry, size: int, data: Reader) -> PieceInfo:
        """The piece of ``size`` unpadded bytes. Raises RpcError: no worker, the worker's error, or the worker left."""
        worker = self._choose(workers)
        session = worker.session
        self._carried[worker.id] += 1
        try:
            call = await self._ask(worker, size, data)
            return await self._result(workers, worker, session, call)
        finally:
            self._carried[worker.id] -= 1

    def returned(self, call: CallID, piece: PieceInfo, error: CallError | None) -> None:
        """``ReturnDataCid``. One that nobody waits for any more is taken and forgotten."""
        waiting = self._waiting.get(call.ID)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result((piece, error))
        elif self._asking:
            self._early[call.ID] = (piece, error)

    def _choose(self, workers: Registry) -> Worker:
        able = [w for w in workers.live() if w.online and w.caller and TaskType.DATA_CID in w.tasks]
        if not able:
            raise RpcError(1, "computing data CID: no worker that takes DataCid (DC) is connected")
        return min(able, key=lambda w: (self._carried[w.id], w.number))

    async def _ask(self, worker: Worker, size: int, data: Reader) -> CallID:
        assert worker.caller is not None
        self._asking += 1
        try:
            call: CallID = await worker.caller.call("DataCid", size, data, result=CallID)
        except RpcConnectError as error:
            raise RpcError(1, f"computing data CID: worker {worker.name}: {error}") from error
        finally:
            self._asking -= 1
        waiting = self._waiting[call.ID] = asyncio.get_running_loop().create_future()
        if (early := self._early.pop(call.ID, None)) is not None:
            waiting.set_result(early)
        if not self._asking:
            self._early.clear()
        return call

    async def _result(self, workers: Registry, worker: Worker, session: str, call: CallID) -> PieceInfo:
        waiting = self._waiting[call.ID]
        try:
            while not (await asyncio.wait({waiting}, timeout=self._look))[0]:
                now = workers.by_id.get(worker.id)
                if now is None or now.session != session:
                    raise RpcError(
                        1, f"computing data CID: worker {worker.name} restarted or left; try again"
                    )
            piece, error = waiting.result()
        finally:
            del self._waiting[call.ID]
        if error is not None:
            raise RpcError(1, f"computing data CID: {error}")
        return piece
