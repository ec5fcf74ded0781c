"""What workers return: one method per kind of call (lotus-wire.md §5.2)."""

from __future__ import annotations

from typing import Any

from lotus_sched_cli.lotus.types import CallError, CallID, PieceInfo, ReplicaUpdateOut, SectorCids
from lotus_sched_cli.miner.context import Miner


class ReturnsAPI:
    _miner: Miner

    async def _returned(self, method: str, call: CallID, result: Any, error: CallError | None) -> None:
        await self._miner.dispatch.returned(method, call, result, error)

    async def ReturnAddPiece(self, call: CallID, piece: PieceInfo, error: CallError | None) -> None:
        await self._returned("ReturnAddPiece", call, piece, error)

    async def ReturnSealPreCommit1(self, call: CallID, out: bytes | None, error: CallError | None) -> None:
        await self._returned("ReturnSealPreCommit1", call, out, error)

    async def ReturnSealPreCommit2(self, call: CallID, cids: SectorCids, error: CallError | None) -> None:
        await self._returned("ReturnSealPreCommit2", call, cids, error)

    async def ReturnSealCommit1(self, call: CallID, out: bytes | None, error: CallError | None) -> None:
        await self._returned("ReturnSealCommit1", call, out, error)

    async def ReturnSealCommit2(self, call: CallID, proof: bytes | None, error: CallError | None) -> None:
        await self._returned("ReturnSealCommit2", call, proof, error)

    async def ReturnFinalizeSector(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnFinalizeSector", call, None, error)

    async def ReturnFinalizeReplicaUpdate(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnFinalizeReplicaUpdate", call, None, error)

    async def ReturnReleaseUnsealed(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnReleaseUnsealed", call, None, error)

    async def ReturnReplicaUpdate(self, call: CallID, out: ReplicaUpdateOut, error: CallError | None) -> None:
        await self._returned("ReturnReplicaUpdate", call, out, error)

    async def ReturnProveReplicaUpdate1(
        self, call: CallID, proofs: list[bytes] | None, error: CallError | None
    ) -> None:
        await self._returned("ReturnProveReplicaUpdate1", call, proofs, error)

    async def ReturnProveReplicaUpdate2(
        self, call: CallID, proof: bytes | None, error: CallError | None
    ) -> None:
        await self._returned("ReturnProveReplicaUpdate2", call, proof, error)

    async def ReturnGenerateSectorKeyFromData(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnGenerateSectorKeyFromData", call, None, error)

    async def ReturnMoveStorage(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnMoveStorage", call, None, error)

    async def ReturnUnsealPiece(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnUnsealPiece", call, None, error)

    async def ReturnReadPiece(self, call: CallID, ok: bool, error: CallError | None) -> None:
        await self._returned("ReturnReadPiece", call, ok, error)

    async def ReturnDownloadSector(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnDownloadSector", call, None, error)

    async def ReturnFetch(self, call: CallID, error: CallError | None) -> None:
        await self._returned("ReturnFetch", call, None, error)
