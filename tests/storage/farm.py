"""Several stores around one index, each serving its files on a port of its own."""

from __future__ import annotations

import socket
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType, PathType, SectorId
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import (
    Decl,
    FsStat,
    HealthReport,
    SectorID,
    SectorRef,
    SectorStorageInfo,
    StorageInfo,
)
from lotus_sched_cli.storage.meta import init_path
from lotus_sched_cli.storage.serve import routes
from lotus_sched_cli.storage.store import Store
from lotus_sched_cli.storage.vanilla import VanillaProver

TOKEN = {"Authorization": "Bearer good"}


class MemoryIndex:
    """The miner's index as far as a store sees it. ``down`` makes every call fail; ``said`` keeps all calls."""

    def __init__(self) -> None:
        self.infos: dict[str, StorageInfo] = {}
        self.stats: dict[str, FsStat] = {}
        self.health: dict[str, list[HealthReport]] = defaultdict(list)
        self.decls: dict[tuple[SectorId, FileType], dict[str, bool]] = defaultdict(dict)
        self.said: list[tuple[Any, ...]] = []
        self.down: set[str] = set()

    def _say(self, *call: Any) -> None:
        self.said.append(call)
        if call[0] in self.down:
            raise RpcError(1, f"{call[0]}: the index is away")

    def where(self, sector: SectorId, type: FileType) -> dict[str, bool]:
        return self.decls[sector, type]

    async def StorageAttach(self, info: StorageInfo, stat: FsStat) -> None:
        self._say("StorageAttach", info, stat)
        self.infos[info.ID], self.stats[info.ID] = info, stat

    async def StorageDetach(self, id: str, url: str) -> None:
        self._say("StorageDetach", id, url)
        del self.infos[id]
        for held in self.decls.values():
            held.pop(id, None)

    async def StorageInfo(self, id: str) -> StorageInfo:
        return self.infos[id]

    async def StorageReportHealth(self, id: str, report: HealthReport) -> None:
        self._say("StorageReportHealth", id, report)
        self.health[id].append(report)

    async def StorageDeclareSector(self, id: str, sector: SectorId, types: FileType, primary: bool) -> None:
        self._say("StorageDeclareSector", id, sector, types, primary)
        for type in types.each():
            held = self.decls[sector, type]
            held[id] = held.get(id, False) or primary

    async def StorageDropSector(self, id: str, sector: SectorId, types: FileType) -> None:
        self._say("StorageDropSector", id, sector, types)
        for type in types.each():
            self.decls[sector, type].pop(id, None)

    async def StorageFindSector(
        self, sector: SectorId, types: FileType, size: int, allow_fetch: bool
    ) -> list[SectorStorageInfo]:
        self._say("StorageFindSector", sector, types, size, allow_fetch)
        found = []
        for id, primary in self.decls[sector, types].items():
            info = self.infos[id]
            urls = [f"{url}/{FILE_TYPE_NAMES[types]}/{sector}" for url in info.URLs or []]
            found.append(
                SectorStorageInfo(id, urls, info.URLs, info.Weight, info.CanSeal, info.CanStore, primary)
            )
        return found

    async def StorageBestAlloc(
        self, types: FileType, size: int, path_type: PathType, miner: int
    ) -> list[StorageInfo]:
        self._say("StorageBestAlloc", types, size, path_type, miner)
        found = [i for i in self.infos.values() if (i.CanSeal if path_type == "sealing" else i.CanStore)]
        if not found:
            raise RpcError(1, "no good path found")
        return sorted(found, key=lambda i: -i.Weight)

    async def StorageList(self) -> dict[str, list[Decl]]:
        listed: dict[str, list[Decl]] = {id: [] for id in self.infos}
        for (sector, type), held in self.decls.items():
            for id in held:
                listed[id].append(Decl(*sector, int(type)))
        return listed


@dataclass
class Asker:
    perms: frozenset[str]


async def authorize(request: web.Request) -> Asker | None:
    """``good`` may all, ``weak`` nothing, other tokens are bad."""
    token = request.headers.get("Authorization", "Bearer weak").removeprefix("Bearer ")
    return {"good": Asker(frozenset({"admin"})), "weak": Asker(frozenset())}.get(token)


class Farm:
    """Stores by name under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = MemoryIndex()
        self.prover: VanillaProver | None = None
        self._stores: list[Store] = []
        self._runners: list[web.AppRunner] = []

    def folder(self, name: str, **made: Any) -> Path:
        """A new storage path, for sealing unless told otherwise."""
        path = self.root / name
        init_path(path, **{"seal": True, "store": False, **made})
        return path

    async def store(self, *folders: Path, **options: Any) -> Store:
        """A store that serves and has opened the folders."""
        store = Store(self.index, headers=TOKEN, **options)
        await self.serve(store)
        for folder in folders:
            await store.open_path(folder)
        self._stores.append(store)
        return store

    async def serve(self, store: Store) -> None:
        app = web.Application()
        app.add_routes(routes(store, authorize, prover=self.prover))
        store.url = f"http://{await self.listen(app)}/remote"

    async def listen(self, app: web.Application) -> str:
        """Serves an app; gives its host and port."""
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        sock = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, sock).start()
        self._runners.append(runner)
        return f"127.0.0.1:{sock.getsockname()[1]}"

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        for runner in self._runners:
            await runner.cleanup()


def ref(number: int, proof: int = 5) -> SectorRef:
    """Sector ``number`` of t01000, 2 KiB unless another proof is given."""
    return SectorRef(SectorID(1000, number), proof)


def sector(number: int) -> SectorId:
    return SectorId(1000, number)


def put_sector(
    root: Path, number: int, sealed: bytes = b"sealed" * 100, cache: dict[str, bytes] | None = None
) -> None:
    """Files of a sector after P1, undeclared."""
    for name in FILE_TYPE_NAMES.values():
        (root / name).mkdir(exist_ok=True)
    (root / "sealed" / str(sector(number))).write_bytes(sealed)
    folder = root / "cache" / str(sector(number))
    folder.mkdir()
    for name, data in (cache or CACHE).items():
        (folder / name).write_bytes(data)


CACHE = {
    "p_aux": b"p" * 64,
    "sc-02-data-layer-1.dat": b"1" * 2048,
    "sc-02-data-layer-2.dat": b"2" * 2048,
    "sc-02-data-tree-d.dat": b"d" * 4064,
    "t_aux": b"t" * 380,
}


def left_in_fetching(root: Path) -> list[Path]:
    return [entry for name in FILE_TYPE_NAMES.values() for entry in (root / name / "fetching").glob("*")]
