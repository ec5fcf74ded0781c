"""The sector index as a client sees it: where files are, and where new ones may go.

Source: Lotus ``api/api_storage.go`` (lotus-wire names), ``storage/paths/index.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lotus_sched_cli.core.tasks import FileType, PathType, SectorId
from lotus_sched_cli.lotus.types import Decl, FsStat, HealthReport, SectorID, SectorStorageInfo
from lotus_sched_cli.lotus.types import StorageInfo as PathInfo

if TYPE_CHECKING:
    from lotus_sched_cli.lotus.rpc.client import Caller


class Index(Protocol):
    """What a Store asks. The miner's own index and `RpcIndex` both are one; errors come as Lotus's RPC errors."""

    async def StorageAttach(self, info: PathInfo, stat: FsStat) -> None: ...

    async def StorageDetach(self, id: str, url: str) -> None: ...

    async def StorageInfo(self, id: str) -> PathInfo: ...

    async def StorageReportHealth(self, id: str, report: HealthReport) -> None: ...

    async def StorageDeclareSector(
        self, id: str, sector: SectorId, types: FileType, primary: bool
    ) -> None: ...

    async def StorageDropSector(self, id: str, sector: SectorId, types: FileType) -> None: ...

    async def StorageFindSector(
        self, sector: SectorId, types: FileType, size: int, allow_fetch: bool
    ) -> list[SectorStorageInfo]: ...

    async def StorageBestAlloc(
        self, types: FileType, size: int, path_type: PathType, miner: int
    ) -> list[PathInfo]: ...

    async def StorageList(self) -> dict[str, list[Decl]]: ...


class RpcIndex:
    """The index of a miner, over its API."""

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call

    async def StorageAttach(self, info: PathInfo, stat: FsStat) -> None:
        await self._call("StorageAttach", info, stat, result=None)

    async def StorageDetach(self, id: str, url: str) -> None:
        await self._call("StorageDetach", id, url, result=None)

    async def StorageInfo(self, id: str) -> PathInfo:
        found: PathInfo = await self._call("StorageInfo", id, result=PathInfo)
        return found

    async def StorageReportHealth(self, id: str, report: HealthReport) -> None:
        await self._call("StorageReportHealth", id, report, result=None)

    async def StorageDeclareSector(self, id: str, sector: SectorId, types: FileType, primary: bool) -> None:
        await self._call("StorageDeclareSector", id, SectorID(*sector), int(types), primary, result=None)

    async def StorageDropSector(self, id: str, sector: SectorId, types: FileType) -> None:
        await self._call("StorageDropSector", id, SectorID(*sector), int(types), result=None)

    async def StorageFindSector(
        self, sector: SectorId, types: FileType, size: int, allow_fetch: bool
    ) -> list[SectorStorageInfo]:
        found: list[SectorStorageInfo] | None = await self._call(
            "StorageFindSector",
            SectorID(*sector),
            int(types),
            size,
            allow_fetch,
            result=list[SectorStorageInfo] | None,
        )
        return found or []

    async def StorageBestAlloc(
        self, types: FileType, size: int, path_type: PathType, miner: int
    ) -> list[PathInfo]:
        found: list[PathInfo] | None = await self._call(
            "StorageBestAlloc", int(types), size, path_type.value, miner, result=list[PathInfo] | None
        )
        return found or []

    async def StorageList(self) -> dict[str, list[Decl]]:
        found: dict[str, list[Decl] | None] | None = await self._call(
            "StorageList", result=dict[str, list[Decl] | None] | None
        )
        return {id: decls or [] for id, decls in (found or {}).items()}
