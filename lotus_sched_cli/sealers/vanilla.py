"""Vanilla proofs for whoever holds a sector's files (`storage.vanilla`), by the sealer of this program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lotus_sched_cli.core.proofs import sector_size
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.types import Cid, PieceInfo, SectorCids, SectorRef
from lotus_sched_cli.storage.errors import StorageError

from .base import Files, Job, Sealer, SealError

__all__ = ["PostProver", "SealersVanilla"]


@runtime_checkable
class PostProver(Protocol):
    """A sealer that can prove for a PoSt, too."""

    async def vanilla(
        self, sector: SectorRef, post_proof: int, sealed: Cid, challenge: Sequence[int], files: Files
    ) -> bytes:
        """The vanilla proof of one sector, of its sealed file and cache. Raises SealError."""
        ...


class SealersVanilla:
    """A `VanillaProver` by a sealer: PoSt proofs where it can, Commit1 in any case."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def single(
        self, sector: SectorRef, proof: int, sealed: Cid, challenge: Sequence[int], files: Files
    ) -> bytes:
        if not isinstance(self._sealer, PostProver):
            raise StorageError(f"the sealer {self._sealer.name} makes no proofs for a PoSt")
        try:
            return await self._sealer.vanilla(sector, proof, sealed, challenge, files)
        except SealError as why:
            raise StorageError(why.text) from why

    async def porep(
        self, sector: SectorRef, cids: tuple[Cid, Cid], ticket: bytes, seed: bytes, files: Files
    ) -> bytes:
        unsealed, sealed = cids
        job = Job("vanilla", TaskType.COMMIT1, sector)
        whole = PieceInfo(sector_size(sector.ProofType), unsealed)
        try:
            return await self._sealer.commit1(job, ticket, seed, [whole], SectorCids(unsealed, sealed), files)
        except SealError as why:
            raise StorageError(why.text) from why
