"""A miner of tests: a small index, tokens, sessions, and a notebook of every Return; over real HTTP."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType
from lotus_sched_cli.lotus import auth, methods
from lotus_sched_cli.lotus.rpc.client import HttpCaller
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.rpc.server import RpcServer
from lotus_sched_cli.lotus.types import (
    APIVersion,
    CallID,
    FsStat,
    HealthReport,
    SectorID,
    SectorStorageInfo,
    StorageInfo,
)

SECRET = bytes(32)


@dataclass
class Returned:
    method: str
    call: CallID
    values: tuple[Any, ...]

    @property
    def error(self) -> Any:
        return self.values[-1]

    @property
    def result(self) -> Any:
        return self.values[0]


@dataclass
class FakeMiner:
    """Survives `stop` and `start` like a miner with a store; a new start is a new session at a new port."""

    version: str = "0.1.0+simulated"
    api: int = 0x010500
    size: int = 2048
    session: str = ""
    calls: list[str] = field(default_factory=list)
    returned: list[Returned] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    paths: dict[str, StorageInfo] = field(default_factory=dict)
    files: dict[tuple[int, int], dict[str, bool]] = field(default_factory=dict)
    refuse_returns: bool = False
    refuse_connect: str = ""
    #: Set: the next declaration is never answered.
    stall: asyncio.Event | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.token = auth.sign(SECRET, list(auth.ALL))
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        self.session = str(uuid.uuid4())
        self.known.clear()
        self.server = RpcServer(methods.MINER, _Api(self), self.verify)
        app = web.Application()
        self.server.attach(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def verify(self, token: str) -> list[str]:
        return auth.verify(SECRET, token)

    @property
    def info(self) -> str:
        return f"{self.token}:/ip4/127.0.0.1/tcp/{self.port}/http"

    def write_repo(self, folder: Any) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "api").write_text(f"/ip4/127.0.0.1/tcp/{self.port}/http")
        (folder / "token").write_text(self.token)

    def worker(self, url: str = "") -> HttpCaller:
        """As the miner calls a worker: with a token that holds only admin."""
        return HttpCaller(url or self.connected[-1], auth.sign(SECRET, ["admin"]))

    async def until(self, ready: Any, what: str) -> None:
        """Wait on what is told to this miner."""
        async with asyncio.timeout(10):
            while not ready():
                self.changed.clear()
                try:
                    await asyncio.wait_for(self.changed.wait(), 0.05)
                except TimeoutError:
                    continue
        assert ready(), what

    async def result_of(self, call: CallID) -> Returned:
        await self.until(lambda: any(r.call == call for r in self.returned), f"the return of {call}")
        return next(r for r in self.returned if r.call == call)

    def where(self, miner: int, number: int, kind: FileType) -> list[str]:
        return list(self.files.get((number, kind), {}))

    def note(self, name: str) -> None:
        self.calls.append(name)
        self.changed.set()


class _Api:
    def __init__(self, miner: FakeMiner) -> None:
        self._m = miner
        for name in methods.MINER:
            if name.startswith("Return"):
                setattr(self, name, self._returning(name))

    def _returning(self, name: str) -> Any:
        async def taken(call: CallID, *values: Any) -> None:
            self._m.note(name)
            if self._m.refuse_returns:
                raise RpcError(1, "not now")
            self._m.returned.append(Returned(name, call, values))
            self._m.changed.set()

        return taken

    async def Version(self) -> APIVersion:
        self._m.note("Version")
        return APIVersion(self._m.version, self._m.api, 4)

    async def Session(self) -> str:
        self._m.note("Session")
        return self._m.session

    async def ActorAddress(self) -> str:
        self._m.note("ActorAddress")
        return "t01000"

    async def ActorSectorSize(self, address: str) -> int:
        self._m.note("ActorSectorSize")
        return self._m.size

    async def AuthVerify(self, token: str) -> list[str]:
        self._m.note("AuthVerify")
        try:
            return await self._m.verify(token)
        except auth.TokenError as why:
            raise RpcError(1, str(why)) from why

    async def WorkerConnect(self, url: str) -> None:
        self._m.note("WorkerConnect")
        if self._m.refuse_connect:
            raise RpcError(1, self._m.refuse_connect)
        worker = self._m.worker(url)
        session = await worker.call("Session", result=str)
        await worker.call("Info")
        await worker.close()
        self._m.connected.append(url)
        self._m.known.add(session)
        self._m.changed.set()

    async def WorkerKnown(self, session: str) -> bool:
        self._m.note("WorkerKnown")
        return session in self._m.known

    async def WorkerChanged(self, session: str) -> None:
        self._m.note("WorkerChanged")

    # -- index --------------------------------------------------------------------------------------------------------

    async def StorageAttach(self, info: StorageInfo, stat: FsStat) -> None:
        self._m.note("StorageAttach")
        self._m.paths[info.ID] = info

    async def StorageDetach(self, id: str, url: str) -> None:
        self._m.note("StorageDetach")
        self._m.paths.pop(id, None)

    async def StorageInfo(self, id: str) -> StorageInfo:
        return self._m.paths[id]

    async def StorageReportHealth(self, id: str, report: HealthReport) -> None:
        self._m.note("StorageReportHealth")

    async def StorageDeclareSector(self, id: str, sector: SectorID, types: int, primary: bool) -> None:
        self._m.note("StorageDeclareSector")
        if self._m.stall is not None and not self._m.stall.is_set():
            self._m.stall.set()
            await asyncio.sleep(3600)
        for kind in FileType(types).each():
            self._m.files.setdefault((sector.Number, kind), {})[id] = primary

    async def StorageDropSector(self, id: str, sector: SectorID, types: int) -> None:
        for kind in FileType(types).each():
            self._m.files.get((sector.Number, kind), {}).pop(id, None)

    async def StorageFindSector(
        self, sector: SectorID, types: int, size: int, allow_fetch: bool
    ) -> list[SectorStorageInfo]:
        found = []
        for kind in FileType(types).each():
            for id_, primary in self._m.files.get((sector.Number, kind), {}).items():
                path = self._m.paths[id_]
                urls = [f"{u}/{FILE_TYPE_NAMES[kind]}/{sector}" for u in path.URLs or []]
                found.append(
                    SectorStorageInfo(
                        ID=id_, URLs=urls, BaseURLs=path.URLs, Weight=10, CanSeal=path.CanSeal,
                        CanStore=path.CanStore, Primary=primary,
                    )
                )  # fmt: skip
        return found

    async def StorageBestAlloc(self, types: int, size: int, path_type: str, miner: int) -> list[StorageInfo]:
        wanted = "CanSeal" if path_type == "sealing" else "CanStore"
        found = [path for path in self._m.paths.values() if getattr(path, wanted)]
        if not found:
            raise RpcError(1, "no good path found")
        return found
