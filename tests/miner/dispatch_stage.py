"""Dispatch with a real store, scheduler, registry and index; workers, pipeline and the clock are the test's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lotus_sched_cli.core.events import Settings
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.extras import CapExtras, CapRow
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import (
    WORKER_API_VERSION,
    CallError,
    CallID,
    FsStat,
    SectorID,
    StorageInfo,
    StoragePath,
    WorkerInfo,
    WorkerResources,
)
from lotus_sched_cli.miner.dispatch import Dispatch
from lotus_sched_cli.miner.dispatch.desk import Patience
from lotus_sched_cli.miner.dispatch.wire import METHOD
from lotus_sched_cli.miner.index import SectorIndex
from lotus_sched_cli.miner.leftovers import Leftovers
from lotus_sched_cli.miner.records import TaskRow
from lotus_sched_cli.miner.specs import Defaults
from lotus_sched_cli.miner.store import Store
from lotus_sched_cli.miner.workers import Registry

PROOF = 5
GIB = 1 << 30
_ids = itertools.count(1)


def call_uuid(number: int) -> str:
    return f"{number:08x}-0000-0000-0000-000000000000"


@dataclass
class FakeWorker:
    """A Caller that answers as a worker would. ``mishaps`` are raised by the next calls, one each."""

    name: str
    url: str
    tasks: set[TaskType]
    #: None: a stock worker.
    id: str | None = None
    session: str = ""
    calls: list[tuple[str, list[Any], CallID]] = field(default_factory=list)
    mishaps: list[Exception | None] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    away: bool = False
    #: It takes what is sent, and answers nothing: stopped by a signal, or its disk hangs.
    frozen: bool = False
    version: int = WORKER_API_VERSION
    #: Called with the CallID before it is answered.
    before_answer: Callable[[CallID], Any] | None = None
    #: Equal calls that are held are answered with the same CallID, as our worker does.
    held: dict[str, CallID] = field(default_factory=dict)
    #: Its live caps by name.
    caps: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.session = call_uuid(0xF000 + next(_ids))

    async def call(self, method: str, *params: Any, result: Any = Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        if self.away:
            raise RpcConnectError(
                f'RPC client error: sendRequest failed: Post "{self.url}": refused', sent=False
            )
        if self.frozen:
            raise RpcConnectError(
                f'RPC client error: sendRequest failed: Post "{self.url}": context deadline exceeded',
                sent=True,
            )
        match method:
            case "Version":
                return self.version
            case "Session":
                return self.session
            case "Info":
                caps: dict[str, Any] = (
                    {}
                    if self.id is None
                    else {
                        "PreCommit1Max": int(self.caps.get("precommit1max", 7)),
                        "PreCommit1HoldMax": 25,
                        "PreCommit2Max": 1,
                        "Commit2Max": int(self.caps.get("commit2max", 1)),
                    }
                )
                if ahead := int(self.caps.get("precommit2prefetch", 0)):
                    caps["CapExtras"] = CapExtras(PreCommit2Prefetch=ahead)
                resources = WorkerResources(MemPhysical=GIB, CPUs=4, **caps)
                return WorkerInfo(
                    Hostname=self.name, Resources=resources, **({"WorkerID": self.id} if self.id else {})
                )
            case "TaskTypes":
                return {t.value: {} for t in self.tasks}
            case "Paths":
                return [StoragePath(p, 10, f"/{p}", True, False) for p in self.paths]
            case "CapsList" | "CapsSet" | "CapsReset":
                if method == "CapsSet":
                    self.caps |= params[0]
                elif method == "CapsReset":
                    self.caps = {}
                return [CapRow(n, v, "live", "", "7", "default") for n, v in self.caps.items()]
            case "AbortCall":
                self.aborted.append(params[0].ID)
                return None
            case "StorageRedeclareLocal":
                return None
        return await self._start(method, list(params))

    async def _start(self, method: str, params: list[Any]) -> CallID:
        mishap = self.mishaps.pop(0) if self.mishaps else None
        if mishap is not None and not (isinstance(mishap, RpcConnectError) and mishap.sent):
            raise mishap
        body = msgspec.json.encode(params)
        key = method + body.decode()
        call = self.held.get(key)
        if call is None:
            call = CallID(_sector(params[0]), call_uuid(next(_ids)))
            if self.id is not None:
                self.held[key] = call
        self.calls.append((method, msgspec.json.decode(body), call))
        if self.before_answer is not None:
            await self.before_answer(call)
        if mishap is not None:
            raise mishap
        return call

    async def close(self) -> None:
        pass

    @property
    def last(self) -> CallID:
        return self.calls[-1][2]

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.calls]


def _sector(ref: Any) -> SectorID:
    if isinstance(ref, msgspec.Raw):
        ref = msgspec.json.decode(ref)
        return SectorID(ref["ID"]["Miner"], ref["ID"]["Number"])
    return ref.ID  # type: ignore[no-any-return]


@dataclass
class FakePipeline:
    """Takes what comes and deletes the row, as the real one does."""

    store: Store
    done: list[tuple[TaskType, bytes | None, str]] = field(default_factory=list)
    lost: list[FileType] = field(default_factory=list)
    fail: int = 0

    async def task_done(
        self, row: TaskRow, result: bytes | None = None, error: CallError | str | None = None
    ) -> None:
        if self.fail:
            self.fail -= 1
            raise RuntimeError("not now")
        self.done.append((row.type, result, "" if error is None else str(error)))
        writes = self.store.writes()
        writes.delete_task(row.id)
        await writes.commit()

    async def files_lost(self, row: TaskRow, types: FileType) -> None:
        self.lost.append(types)


class Stage:
    """One life of the miner's dispatch. ``again`` starts the next one on the same store and workers."""

    def __init__(self, store: Store, workers: dict[str, FakeWorker], patience: Patience) -> None:
        self.store = store
        self.fakes = workers
        self.offset = 0.0
        self.pipeline = FakePipeline(store)
        self.registry = Registry(
            store,
            clock=self.clock,
            dial=lambda url: self.fakes[url],
            defaults=Defaults(),
            proof=PROOF,
            heartbeat=3600.0,
        )
        self.dispatch = Dispatch(
            store,
            Scheduler(Settings(), validate=True),
            self.registry,
            clock=self.clock,
            patience=patience,
        )
        self.index = SectorIndex(
            store,
            clock=self.clock,
            emit=self.dispatch.post,
            owners=self.registry,
            makers=self.dispatch.desk.makers,
        )
        #: (sector, types, from where) of files that were cleared away.
        self.removed: list[tuple[int, FileType, str]] = []
        self.leftovers = Leftovers(store, self.index, self._remove, self.dispatch.desk.spawn)
        self.dispatch.desk.adopted = self.leftovers.adopted
        self.dispatch.desk.disown = self.leftovers.disown
        self.dispatch.desk.unwanted = self.leftovers.unwanted
        self.registry.listen(self.dispatch, reown=self.index.reown, moved=self.index.moved)

    async def _remove(
        self, sector: SectorId, types: FileType, keep: Iterable[str], only: Iterable[str]
    ) -> None:
        assert not set(keep) & set(only) and list(keep), "a good copy stays"
        for path in only:
            await self.index.drop_sector(path, sector, int(types))
            self.removed.append((sector.number, types, path))

    def clock(self) -> float:
        return asyncio.get_running_loop().time() + 1e9 + self.offset

    async def start(self) -> None:
        await self.registry.restore()
        await self.index.restore()
        await self.dispatch.restore(self.pipeline)
        self.dispatch.start()

    async def stop(self) -> None:
        await self.registry.close()
        await self.dispatch.stop()

    async def worker(
        self, name: str, *tasks: TaskType, stock: bool = False, room: int = 1 << 40, paths: int = 1
    ) -> FakeWorker:
        url = f"http://{name}:3456/rpc/v0"
        fake = self.fakes.get(url)
        if fake is None:
            fake = self.fakes[url] = FakeWorker(name, url, set(tasks), None if stock else f"id-of-{name}")
            fake.paths = [f"path-{n}-of-{name}" for n in range(paths)]
        await self.connect(fake, room)
        return fake

    async def connect(self, fake: FakeWorker, room: int = 1 << 40) -> None:
        for path in fake.paths:
            host = f"{fake.name}:3456"
            info = StorageInfo(
                ID=path, URLs=[f"http://{host}/remote"], Weight=10, CanSeal=True, CanStore=True
            )
            await self.index.attach(info, FsStat(room, room, room))
        await self.registry.connect(fake.url)

    async def submit(self, number: int, kind: TaskType, params: list[Any] | None = None) -> TaskRow:
        row = TaskRow(call_uuid(0xA000 + next(_ids)), SectorId(1000, number), PROOF, kind, self.clock())
        ref = {"ID": {"Miner": 1000, "Number": number}, "ProofType": PROOF}
        writes = self.store.writes()
        writes.new_task(row, msgspec.json.encode([ref, *(params or [])]))
        await writes.commit()
        self.dispatch.submit(row)
        return row

    async def declare(self, fake: FakeWorker, number: int, types: FileType) -> None:
        await self.index.declare(fake.paths[0], SectorId(1000, number), types, False)

    async def returned(
        self, call: CallID, kind: TaskType, result: Any = None, error: CallError | None = None
    ) -> None:
        await self.dispatch.returned(f"Return{METHOD[kind]}", call, result, error)

    async def until(self, ready: Callable[[], Any], seconds: float = 5.0) -> None:
        """Let the loop run until something is so."""
        async with asyncio.timeout(seconds):
            while not ready():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def written(self) -> None:
        """Until everything that was given to the store so far is in it."""
        await self.store.set_meta("test", 1)

    def phase(self, row: TaskRow) -> str:
        flight = self.dispatch.desk.flights.get(row.id)
        return "gone" if flight is None else flight.row.phase.value


__all__ = ["CallError", "FakeWorker", "RpcConnectError", "RpcError", "Stage"]


async def stage(path: Path, fakes: dict[str, FakeWorker] | None = None, **patience: float) -> Stage:
    """A started stage on the store at ``path``."""
    made = Stage(
        await Store.open(path),
        fakes if fakes is not None else {},
        Patience(**{"ask_again": 0.02, "hand_over": 0.02, **patience}),
    )
    await made.start()
    return made
