"""What each task does besides sealing: which files it acquires, allocates, removes, declares.

Source: Lotus ``storage/sealer/worker_local.go``, ``storage/sealer/ffiwrapper/sealer_cgo.go`` (lotus-wire facts, 5.6).
Each function makes the work of one call; the worker runs it and returns its result.
"""

from __future__ import annotations

from collections.abc import Sequence

from lotus_sched_cli.core.tasks import AcquireMode, FileType, PathType
from lotus_sched_cli.lotus.rpc.streams import Reader
from lotus_sched_cli.lotus.types import Cid, PieceInfo, Range, SectorCids, SectorRef
from lotus_sched_cli.sealers.base import Job, Sealer
from lotus_sched_cli.storage.store import Store

from .worker import Work

REPLICA = FileType.SEALED | FileType.CACHE


class Steps:
    """The works of one worker's sealer on its store."""

    def __init__(self, sealer: Sealer, store: Store) -> None:
        self._sealer = sealer
        self._store = store

    def data_cid(self, size: int, data: Reader) -> Work:
        async def work(job: Job) -> PieceInfo:
            try:
                return await self._sealer.data_cid(job, size, data)
            finally:
                await data.close()

        return work

    def add_piece(self, ref: SectorRef, existing: Sequence[int], size: int, data: Reader) -> Work:
        async def work(job: Job) -> PieceInfo:
            have, make = (
                (FileType.UNSEALED, FileType.NONE) if existing else (FileType.NONE, FileType.UNSEALED)
            )
            try:
                async with self._store.acquire(ref, have, make, PathType.SEALING) as files:
                    return await self._sealer.add_piece(job, existing, size, data, files.paths)
            finally:
                await data.close()

        return work

    def precommit1(self, ref: SectorRef, ticket: bytes, pieces: Sequence[PieceInfo]) -> Work:
        async def work(job: Job) -> bytes:
            # layers of an earlier try, under another ticket perhaps, must not be met again
            await self._store.remove(ref.ID.id, REPLICA)
            async with self._store.acquire(ref, FileType.UNSEALED, REPLICA, PathType.SEALING) as files:
                return await self._sealer.precommit1(job, ticket, pieces, files.paths)

        return work

    def precommit2(self, ref: SectorRef, pc1_out: bytes) -> Work:
        async def work(job: Job) -> SectorCids:
            async with self._store.acquire(ref, REPLICA, FileType.NONE, PathType.SEALING) as files:
                return await self._sealer.precommit2(job, pc1_out, files.paths)

        return work

    def commit1(
        self, ref: SectorRef, ticket: bytes, seed: bytes, pieces: Sequence[PieceInfo], cids: SectorCids
    ) -> Work:
        async def work(job: Job) -> bytes:
            async with self._store.acquire(ref, REPLICA, FileType.NONE, PathType.SEALING) as files:
                return await self._sealer.commit1(job, ticket, seed, pieces, cids, files.paths)

        return work

    def commit2(self, c1_out: bytes) -> Work:
        async def work(job: Job) -> bytes:
            return await self._sealer.commit2(job, c1_out)

        return work

    def finalize(self, ref: SectorRef) -> Work:
        async def work(job: Job) -> None:
            async with self._store.acquire(ref, FileType.CACHE, FileType.NONE, PathType.SEALING) as files:
                await self._sealer.finalize(job, files.paths)

        return work

    def release_unsealed(self, ref: SectorRef, keep: Sequence[Range]) -> Work:
        async def work(job: Job) -> None:
            if not keep:
                await self._store.remove(ref.ID.id, FileType.UNSEALED)
                return
            async with self._store.acquire(ref, FileType.UNSEALED, FileType.NONE, PathType.SEALING) as files:
                await self._sealer.release_unsealed(job, keep, files.paths)

        return work

    def fetch(self, ref: SectorRef, types: FileType, path_type: PathType, mode: AcquireMode) -> Work:
        async def work(job: Job) -> None:
            async with self._store.acquire(ref, types, FileType.NONE, path_type, mode):
                pass

        return work

    def move_storage(self, ref: SectorRef, types: FileType) -> Work:
        async def work(job: Job) -> None:
            await self._store.move_storage(ref, types)
            for one in types.each():
                await self._store.remove_copies(ref.ID.id, one)

        return work

    def unseal(self, ref: SectorRef, offset: int, size: int, ticket: bytes, comm_d: Cid) -> Work:
        async def work(job: Job) -> None:
            found = await self._store.index.StorageFindSector(ref.ID.id, FileType.UNSEALED, 0, False)
            have, make = (FileType.UNSEALED, FileType.NONE) if found else (FileType.NONE, FileType.UNSEALED)
            async with self._store.acquire(ref, REPLICA | have, make, PathType.SEALING) as files:
                await self._sealer.unseal(job, offset, size, ticket, comm_d, files.paths)
            for one in (REPLICA | FileType.UPDATE | FileType.UPDATE_CACHE).each():
                await self._store.remove_copies(ref.ID.id, one)

        return work
