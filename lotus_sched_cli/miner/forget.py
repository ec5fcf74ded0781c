"""``sealing forget``: a worker that is gone for good. Its jobs go on elsewhere, its storage leaves the index.

The worker's row is deleted last: after a crash in between, the same command does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from lotus_sched_cli.core.events import ALL_TYPES, WorkerLeft
from lotus_sched_cli.core.needs import missing_types, needs_of
from lotus_sched_cli.core.pipeline.states import WORKING, State
from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType, SectorId
from lotus_sched_cli.lotus.extras import EndedJob, Forgotten, LostSector
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcError

from .context import Miner
from .dispatch import Flight
from .known_workers import Worker
from .records import Phase
from .store import StoreError
from .upkeep import find

log = get("advmgr")

#: How often, and after how many seconds each time, a sector that went back is looked at for its next task.
TRIES: Final = 100
PAUSE: Final = 0.02


async def forget(miner: Miner, asked: str, force: bool) -> Forgotten:
    """Forget a worker; refused (RpcError) for the built-in one, and for one that still answers unless ``force``."""
    worker = find(miner.workers, asked)
    if worker.builtin or worker.number == 0:
        raise RpcError(1, f"worker {worker.label} is the miner's own and cannot be forgotten")
    if not force and await miner.workers.answers(worker):
        raise RpcError(
            1,
            f"worker {worker.label} still answers at {worker.url}: stop or drain it first, or forget it with --force",
        )
    try:
        jobs = await miner.dispatch.forget(worker.id)
        paths, touched = await _drop_storage(miner, worker)
        miner.dispatch.post(WorkerLeft(worker.id))
        lost = [await _lost(miner, sector, types) for sector, types in sorted(touched.items()) if types]
        await miner.workers.forget(worker)
    except StoreError as e:
        raise RpcError(1, f"worker {worker.label} is not forgotten whole: {e}; do it again") from e
    log.warn(
        f"worker {worker.label} is forgotten: {len(jobs)} jobs ended, {len(paths)} paths out of the index, "
        f"{len(lost)} sectors lost their only copy of files"
    )
    ended = [EndedJob(flight.row.type.value, flight.sector.number) for flight in jobs]
    return Forgotten(worker.id, worker.session, worker.name, ended, paths, lost)


async def _drop_storage(miner: Miner, worker: Worker) -> tuple[list[str], dict[SectorId, FileType]]:
    """Its paths leave the index; those that others serve too only lose its address. Returns what lies nowhere now."""
    index = miner.index
    gone: list[str] = []
    touched: dict[SectorId, FileType] = {}
    for path_id, path in list(index.paths.items()):
        told = worker.paths is not None and path_id in worker.paths
        if not told and (worker.paths is not None or worker.netloc not in path.netlocs):
            continue
        others = any(urlsplit(url).netloc != worker.netloc for url in path.info.URLs or ())
        if others and path.owners - {worker.id}:
            await index.moved([path_id], worker.netloc)
            continue
        for sector in index.sectors_on(path_id):
            files = index.holders(sector)[path_id]
            touched[sector] = touched.get(sector, FileType.NONE) | (files.types & ~files.stale)
        await index.remove_path(path_id)
        gone.append(path_id)
    for path_id, away in list(index.away.items()):
        # It was stopped, which took its paths out of the index, and what lay there with them.
        if away.worker_id != worker.id and path_id not in (worker.paths or ()):
            continue
        sharing = [
            w.id for w in miner.workers.by_id.values() if w is not worker and path_id in (w.paths or ())
        ]
        if sharing:
            # Stopped as well, and able to bring it back.
            away.worker_id = min(sharing)
            continue
        for sector, types in away.files.items():
            touched[sector] = touched.get(sector, FileType.NONE) | types
        await index.remove_path(path_id)
        gone.append(path_id)
    return gone, {sector: types & ~_declared(miner, sector) & ALL_TYPES for sector, types in touched.items()}


def _declared(miner: Miner, sector: SectorId) -> FileType:
    """What lies anywhere: with workers that are stopped, too, as with those that are only out of reach."""
    types = FileType.NONE
    for files in miner.index.holders(sector).values():
        types |= files.types & (~files.stale | files.doomed)
    for away in miner.index.away.values():
        types |= away.files.get(sector, FileType.NONE)
    return types


async def _lost(miner: Miner, sector: SectorId, types: FileType) -> LostSector:
    """The sector goes back to the step that makes the files, at once where a task waits for them."""
    state = miner.sectors.state(sector.number)
    names = [FILE_TYPE_NAMES[t] for t in types.each()]
    if state is None or state not in WORKING:
        return LostSector(sector.number, "" if state is None else state.value, names, "")
    if not await _go_back(miner, sector, types):
        return LostSector(sector.number, state.value, names, "later")
    now = miner.sectors.state(sector.number)
    return LostSector(sector.number, state.value, names, "" if now is None else now.value)


async def _go_back(miner: Miner, sector: SectorId, types: FileType) -> bool:
    """Step after step, as long as a task waits for what lies nowhere; False if none did.

    Where the sector's data is lost too, PreCommit1 is not the end of it: its task comes a moment later.
    """
    done: set[str] = set()
    for _ in range(TRIES):
        found = next((w for w in _waiting(miner, sector) if w[0].row.id not in done), None)
        if found is not None:
            done.add(found[0].row.id)
            await miner.sectors.files_lost(found[0].row, found[1])
        elif done and types & FileType.UNSEALED and miner.sectors.state(sector.number) is State.PRECOMMIT1:
            await asyncio.sleep(PAUSE)
        else:
            break
    return bool(done)


def _waiting(miner: Miner, sector: SectorId) -> Iterator[tuple[Flight, FileType]]:
    """Queued tasks of the sector whose files lie nowhere, and which they are."""
    declared = int(_declared(miner, sector))
    for flight in miner.dispatch.desk.by_sector.get(sector, ()):
        if flight.row.phase is Phase.QUEUED:
            missing = missing_types(needs_of(flight.row.spec, declared), declared)
            if missing:
                yield flight, FileType(missing)
