"""The worker's methods on the wire: Lotus's, and ``AbortCall`` of ours.

Source: Lotus ``api/api_worker.go``, ``storage/sealer/worker_local.go``, ``cmd/lotus-worker/sealworker/rpc.go``.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from lotus_sched_cli.core.tasks import AcquireMode, FileType, PathType, TaskType
from lotus_sched_cli.lotus import gojson, logs
from lotus_sched_cli.lotus.caps import OPTIONS
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import CapRow, OpeningPath
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.streams import HttpReader, NullReader, Reader
from lotus_sched_cli.lotus.types import (
    WORKER_API_VERSION,
    CallID,
    Cid,
    PieceInfo,
    PoStProof,
    PostSectorChallenge,
    Range,
    SectorCids,
    SectorID,
    SectorLocation,
    SectorRef,
    StoragePath,
    WindowPoStResult,
    WorkerInfo,
)
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.storage import meta
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.store import Store

from .caps import LiveCaps, Resolved
from .connection import first_cause
from .hold import p1_hold
from .returns import RETURNS
from .steps import Steps
from .worker import Work, Worker

log: Final = logs.get("advmgr")
#: Seconds for the miner to hear of a task type switched on or off: ``tasks disable --all`` is nine such calls.
_TOLD_TASKS: Final = 1.0


class WorkerAPI:
    """What an RpcServer serves for a worker. ``repo`` keeps the list of storage paths; None: nothing is kept."""

    def __init__(
        self,
        worker: Worker,
        sealer: Sealer,
        store: Store,
        repo: Path | None = None,
        caps: LiveCaps | None = None,
    ) -> None:
        self._worker = worker
        self._sealer = sealer
        self._store = store
        self._repo = repo
        self._steps = Steps(sealer, store)
        self._caps = caps or LiveCaps(Resolved(worker.profile.caps, dict.fromkeys(OPTIONS, "config")))

    # -- who and what -------------------------------------------------------------------------------------------------

    async def Version(self) -> int:
        return WORKER_API_VERSION

    async def Session(self) -> str:
        return self._worker.session()

    async def ProcessSession(self) -> str:
        return self._worker.process_session

    async def Enabled(self) -> bool:
        return self._worker.enabled

    async def SetEnabled(self, enabled: bool) -> None:
        self._worker.enabled = enabled

    async def Info(self) -> WorkerInfo:
        return self._worker.profile.info()

    async def TaskTypes(self) -> dict[str, dict[str, Any]]:
        tasks = self._worker.profile.tasks()
        if self._worker.stock_miner and TaskType.PRECOMMIT1 in tasks and await self._hold_is_full():
            tasks -= {TaskType.PRECOMMIT1}
        return {task.value: {} for task in sorted(tasks)}

    async def TaskEnable(self, task: str) -> None:
        self._worker.profile.enable(self._able(task))
        await self._worker.tell_change(_TOLD_TASKS)

    async def TaskDisable(self, task: str) -> None:
        self._worker.profile.disable(TaskType(task) if task in set(TaskType) else self._able(task))
        await self._worker.tell_change(_TOLD_TASKS)

    async def WaitQuiet(self) -> None:
        await self._worker.wait_quiet()

    async def Shutdown(self) -> None:
        self._worker.closing.set()

    async def AbortCall(self, call: CallID) -> None:
        """Ours: ends the work of a call; answers once it is dead."""
        await self._worker.abort(call.ID)

    # -- caps, ours ---------------------------------------------------------------------------------------------------

    async def CapsList(self) -> list[CapRow]:
        """Every cap of this worker and where it comes from."""
        return self._caps.rows()

    async def CapsSet(self, values: dict[str, str]) -> list[CapRow]:
        """Change caps while running; stored before this answers. Work that runs is let finish."""
        return await self._recapped(partial(self._caps.set, values))

    async def CapsReset(self, which: list[str] | None) -> list[CapRow]:
        """Back to what this worker was started with: these caps, or all."""
        return await self._recapped(partial(self._caps.reset, which or ()))

    async def _recapped(self, change: Callable[[], None]) -> list[CapRow]:
        try:
            change()
        except UserError as why:
            raise RpcError(1, str(why)) from why
        await self._worker.recap(self._caps.caps)
        return self._caps.rows()

    # -- storage ------------------------------------------------------------------------------------------------------

    async def Paths(self) -> list[StoragePath]:
        return self._store.storage_paths()

    async def StorageLocal(self) -> dict[str, str]:
        return {path.id: str(path.root) for path in self._store.paths()}

    async def StorageOpening(self) -> list[OpeningPath]:
        return [OpeningPath(str(root), *counts) for root, counts in self._store.declaring.items()]

    async def StorageAddLocal(self, path: str) -> None:
        root = Path(path).expanduser()
        with _as_rpc_error("opening local path: "):
            await self._store.open_path(root)
            if self._repo is not None:
                meta.change_config(self._repo, add=str(root))

    async def StorageDetachLocal(self, path: str) -> None:
        root = Path(path).expanduser()
        found = [p for p in self._store.paths() if p.root == root]
        if not found:
            raise RpcError(1, f"no local paths match '{path}'")
        with _as_rpc_error():
            if self._repo is not None:
                meta.change_config(self._repo, drop=str(root))
            await self._store.detach(found[0].id)

    async def StorageDetachAll(self) -> None:
        with _as_rpc_error():
            for path in self._store.paths():
                await self._store.detach(path.id)

    async def StorageRedeclareLocal(self, id: str | None, drop_missing: bool) -> None:
        with _as_rpc_error():
            await self._store.redeclare(id, drop_missing)

    async def Remove(self, sector: SectorID) -> None:
        with _as_rpc_error():
            await self._store.remove(sector.id, FileType.SEALED | FileType.CACHE | FileType.UNSEALED)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def DataCid(self, size: int, data: Reader) -> CallID:
        return await self._call("DataCid", SectorRef(), (size,), self._steps.data_cid(size, data), data)

    async def AddPiece(
        self, sector: SectorRef, existing: list[int] | None, size: int, data: Reader
    ) -> CallID:
        work = self._steps.add_piece(sector, existing or [], size, data)
        return await self._call("AddPiece", sector, (existing or [], size), work, data)

    async def SealPreCommit1(
        self, sector: SectorRef, ticket: bytes | None, pieces: list[PieceInfo] | None
    ) -> CallID:
        work = self._steps.precommit1(sector, ticket or b"", pieces or [])
        return await self._call("SealPreCommit1", sector, (ticket, pieces), work)

    async def SealPreCommit2(self, sector: SectorRef, pc1_out: bytes | None) -> CallID:
        return await self._call(
            "SealPreCommit2", sector, (pc1_out,), self._steps.precommit2(sector, pc1_out or b"")
        )

    async def SealCommit1(
        self,
        sector: SectorRef,
        ticket: bytes | None,
        seed: bytes | None,
        pieces: list[PieceInfo] | None,
        cids: SectorCids,
    ) -> CallID:
        work = self._steps.commit1(sector, ticket or b"", seed or b"", pieces or [], cids)
        return await self._call("SealCommit1", sector, (ticket, seed, pieces, cids), work)

    async def SealCommit2(self, sector: SectorRef, c1_out: bytes | None) -> CallID:
        return await self._call("SealCommit2", sector, (c1_out,), self._steps.commit2(c1_out or b""))

    async def FinalizeSector(self, sector: SectorRef) -> CallID:
        return await self._call("FinalizeSector", sector, (), self._steps.finalize(sector))

    async def ReleaseUnsealed(self, sector: SectorRef, keep: list[Range] | None) -> CallID:
        work = self._steps.release_unsealed(sector, keep or [])
        return await self._call("ReleaseUnsealed", sector, (keep or [],), work)

    async def MoveStorage(self, sector: SectorRef, types: int) -> CallID:
        work = self._steps.move_storage(sector, FileType(types))
        return await self._call("MoveStorage", sector, (types,), work)

    async def Fetch(self, sector: SectorRef, types: int, path_type: str, mode: str) -> CallID:
        try:
            work = self._steps.fetch(sector, FileType(types), PathType(path_type), AcquireMode(mode))
        except ValueError as why:
            raise RpcError(1, f"Fetch: {why}") from None
        return await self._call("Fetch", sector, (types, path_type, mode), work)

    async def UnsealPiece(
        self, sector: SectorRef, offset: int, size: int, ticket: bytes | None, comm_d: Cid | None
    ) -> CallID:
        work = self._steps.unseal(sector, offset, size, ticket or b"", comm_d or Cid())
        return await self._call("UnsealPiece", sector, (offset, size, ticket, comm_d), work)

    # -- what no sealer of ours does yet ------------------------------------------------------------------------------

    async def FinalizeReplicaUpdate(self, sector: SectorRef) -> CallID:
        self._cannot(TaskType.FINALIZE_REPLICA_UPDATE)

    async def ReplicaUpdate(self, sector: SectorRef, pieces: list[PieceInfo] | None) -> CallID:
        self._cannot(TaskType.REPLICA_UPDATE)

    async def ProveReplicaUpdate1(
        self, sector: SectorRef, key: Cid | None, sealed: Cid | None, unsealed: Cid | None
    ) -> CallID:
        self._cannot(TaskType.PROVE_REPLICA_UPDATE1)

    async def ProveReplicaUpdate2(
        self,
        sector: SectorRef,
        key: Cid | None,
        sealed: Cid | None,
        unsealed: Cid | None,
        vanilla: list[bytes] | None,
    ) -> CallID:
        self._cannot(TaskType.PROVE_REPLICA_UPDATE2)

    async def GenerateSectorKeyFromData(self, sector: SectorRef, comm_d: Cid | None) -> CallID:
        self._cannot(TaskType.REGEN_SECTOR_KEY)

    async def DownloadSectorData(
        self, sector: SectorRef, finalized: bool, sources: dict[str, SectorLocation] | None
    ) -> CallID:
        self._cannot(TaskType.DOWNLOAD_SECTOR)

    async def GenerateWinningPoSt(
        self, proof: int, miner: int, sectors: list[PostSectorChallenge] | None, randomness: bytes | None
    ) -> list[PoStProof] | None:
        self._cannot(TaskType.WINNING_POST)

    async def GenerateWindowPoSt(
        self,
        proof: int,
        miner: int,
        sectors: list[PostSectorChallenge] | None,
        partition: int,
        randomness: bytes | None,
    ) -> WindowPoStResult:
        self._cannot(TaskType.WINDOW_POST)

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        sector: SectorRef,
        params: Sequence[Any],
        work: Work,
        data: Reader | None = None,
    ) -> CallID:
        task = RETURNS[method].task
        if task not in self._sealer.tasks():
            self._cannot(task)
        return await self._worker.call(method, sector, _digest(sector, params, data), work, data)

    async def _hold_is_full(self) -> bool:
        most = self._worker.profile.caps.precommit1_hold_max
        return most > 0 and await p1_hold(self._store, self._worker.running(TaskType.PRECOMMIT1)) >= most

    def _able(self, task: str) -> TaskType:
        if task not in set(TaskType):
            raise RpcError(1, f"unknown task type '{task}'")
        if TaskType(task) not in self._sealer.tasks():
            self._cannot(TaskType(task))
        return TaskType(task)

    def _cannot(self, task: TaskType) -> NoReturn:
        raise RpcError(1, f"the sealer '{self._sealer.name}' of this worker cannot do {task}")


@contextlib.contextmanager
def _as_rpc_error(before: str = "") -> Iterator[None]:
    """What went wrong with a path or at the miner becomes the caller's error."""
    try:
        yield
    except (StorageError, RpcError, RpcConnectError, ExceptionGroup) as why:
        raise RpcError(1, f"{before}{first_cause(why)}") from why


def _digest(sector: SectorRef, params: Sequence[Any], data: Reader | None) -> bytes:
    """Of all parameters. Pushed data makes a call like no other: its stream can be read only once."""
    source: object = None
    if isinstance(data, NullReader):
        source = data.size
    elif isinstance(data, HttpReader):
        source = data.url
    elif data is not None:
        source = str(uuid.uuid4())
    return hashlib.sha256(gojson.encode([sector, list(params), source])).digest()
