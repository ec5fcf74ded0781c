"""Computing the CID of data that is streamed here (Lotus ``api/api_storage.go``)."""

from __future__ import annotations

from functools import cached_property

from lotus_sched_cli.lotus.rpc.streams import Reader
from lotus_sched_cli.lotus.types import CallError, CallID, PieceInfo
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.datacid import DataCids


class DataCidAPI:
    _miner: Miner

    @cached_property
    def _data_cids(self) -> DataCids:
        return DataCids()

    async def ComputeDataCid(self, size: int, data: Reader) -> PieceInfo:
        return await self._data_cids.compute(self._miner.workers, size, data)

    async def ReturnDataCid(self, call: CallID, piece: PieceInfo, error: CallError | None) -> None:
        self._data_cids.returned(call, piece, error)
