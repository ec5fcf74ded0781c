"""The sector index and the miner's own paths (Lotus ``api/api_storage.go``)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from lotus_sched_cli.lotus.extras import OpeningPath
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import (
    Decl,
    FsStat,
    HealthReport,
    SectorID,
    SectorLocks,
    SectorStorageInfo,
)
from lotus_sched_cli.lotus.types import (
    StorageInfo as PathInfo,
)
from lotus_sched_cli.miner import finding
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.remote import remote_stat
from lotus_sched_cli.storage import meta
from lotus_sched_cli.storage.errors import StorageError


class StorageAPI:
    _miner: Miner

    # -- the index -----------------------------------------------------------------------------------------------

    async def StorageAttach(self, info: PathInfo, stat: FsStat) -> None:
        known = info.ID in self._miner.index.paths and self._miner.index.paths[info.ID].attached
        await self._miner.index.attach(info, stat)
        if not known:
            netlocs = frozenset(urlsplit(u).netloc for u in info.URLs or ())
            self._miner.dispatch.desk.spawn(self._miner.workers.refresh_paths(netlocs), "paths of workers")

    async def StorageDetach(self, path_id: str, url: str) -> None:
        await self._miner.index.detach(path_id, url)

    async def StorageInfo(self, path_id: str) -> PathInfo:
        return self._miner.index.info(path_id)

    async def StorageReportHealth(self, path_id: str, report: HealthReport) -> None:
        self._miner.index.report(path_id, report)

    async def StorageDeclareSector(self, path_id: str, sector: SectorID, types: int, primary: bool) -> None:
        await self._miner.index.declare(path_id, sector.id, types, primary)

    async def StorageDropSector(self, path_id: str, sector: SectorID, types: int) -> None:
        await self._miner.index.drop_sector(path_id, sector.id, types)

    async def StorageFindSector(
        self, sector: SectorID, types: int, size: int, allow_fetch: bool
    ) -> list[SectorStorageInfo]:
        return finding.find(self._miner.index, sector.id, types, size, allow_fetch)

    async def StorageBestAlloc(self, types: int, size: int, path_type: str, miner: int) -> list[PathInfo]:
        return finding.best_alloc(self._miner.index, types, size, path_type, miner)

    async def StorageList(self) -> dict[str, list[Decl]]:
        return finding.listed(self._miner.index)

    # -- locks ---------------------------------------------------------------------------------------------------

    async def StorageLock(self, sector: SectorID, read: int, write: int) -> None:
        if not read | write:
            raise RpcError(1, "failed to acquire lock")
        locks = self._miner.dispatch.locks
        locks.release(await locks.lock(sector.id, read, write))

    async def StorageTryLock(self, sector: SectorID, read: int, write: int) -> bool:
        if not read | write:
            return False
        locks = self._miner.dispatch.locks
        held = locks.try_lock(sector.id, read, write)
        locks.release(held)
        return held is not None

    async def StorageGetLocks(self) -> SectorLocks:
        return self._miner.dispatch.locks.snapshot()

    # -- the miner's own paths -----------------------------------------------------------------------------------

    async def StorageLocal(self) -> dict[str, str]:
        return {path.id: str(path.root) for path in self._miner.local.paths()}

    async def StorageStat(self, path_id: str) -> FsStat:
        if self._miner.local.get(path_id) is not None:
            try:
                return await self._miner.local.stat(path_id)
            except StorageError as e:
                raise RpcError(1, str(e)) from e
        return await remote_stat(self._miner.index, path_id, self._miner.facts.secret)

    async def StorageOpening(self) -> list[OpeningPath]:
        return [OpeningPath(str(root), *counts) for root, counts in self._miner.local.declaring.items()]

    async def StorageAddLocal(self, path: str) -> None:
        root = Path(path).expanduser()
        try:
            await self._miner.local.open_path(root)
            meta.change_config(self._miner.repo.path, add=str(root))
        except StorageError as e:
            raise RpcError(1, f"opening local path: {e}") from e

    async def StorageDetachLocal(self, path: str) -> None:
        root = Path(path).expanduser()
        found = [p for p in self._miner.local.paths() if p.root == root]
        if not found:
            raise RpcError(1, f"no local paths match '{path}'")
        try:
            meta.change_config(self._miner.repo.path, drop=str(root))
            await self._miner.local.detach(found[0].id)
        except (StorageError, RpcConnectError) as e:
            raise RpcError(1, str(e)) from e

    async def StorageRedeclareLocal(self, path_id: str | None, drop_missing: bool) -> None:
        try:
            await self._miner.local.redeclare(path_id, drop_missing)
        except StorageError as e:
            raise RpcError(1, str(e)) from e
