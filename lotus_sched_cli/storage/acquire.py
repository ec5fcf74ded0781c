"""Getting the files of a sector onto this process's paths, moving and removing them.

Source: Lotus ``storage/paths/remote.go``, ``storage/paths/local.go`` (lotus-wire facts on AcquireSector).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lotus_sched_cli.core.proofs import sector_size, space
from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, AcquireMode, FileType, PathType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.progress import following
from lotus_sched_cli.lotus.types import SectorRef, SectorStorageInfo

from .errors import AllocateSpaceError, NotFoundError, StorageError
from .fetch import Download, delete
from .path import LocalPath, Reservation, remove_tree
from .place import clear, put, transfer

if TYPE_CHECKING:
    from .store import Store

log = get("stores")

#: Seconds between two reports of a transfer's progress.
TICK = 0.5

#: Called with the type, bytes so far, and bytes in all (None: not known).
Progress = Callable[[FileType, int, int | None], None]


@dataclass(frozen=True, slots=True)
class SectorPaths:
    """Where the files of a sector lie on this process's paths, by single type."""

    sector: SectorId
    paths: dict[FileType, Path] = field(default_factory=dict)
    ids: dict[FileType, str] = field(default_factory=dict)

    def __getitem__(self, type: FileType) -> Path:
        return self.paths[type]

    @property
    def sealed(self) -> Path:
        return self.paths[FileType.SEALED]

    @property
    def cache(self) -> Path:
        return self.paths[FileType.CACHE]

    @property
    def update(self) -> Path:
        return self.paths[FileType.UPDATE]


@asynccontextmanager
async def acquire(
    store: Store,
    ref: SectorRef,
    existing: FileType,
    allocate: FileType,
    path_type: PathType,
    mode: AcquireMode | None = None,
    progress: Progress | None = None,
) -> AsyncIterator[SectorPaths]:
    """Has ``existing`` files here (fetched if need be) and room reserved for ``allocate`` ones while the block runs.

    ``mode`` ``move`` deletes the source of a fetch once the copy is complete and declared, and makes the copy primary.
    When the block ends, well or badly, what lies at the allocated places is declared.

    Raises StorageError; AllocateSpaceError (code 102) when there is no room; what the index raises.
    """
    if existing & allocate:
        raise StorageError("can't both find and allocate a sector")
    sector = ref.ID.id
    job = _Acquisition(store, sector, sector_size(ref.ProofType), path_type, mode, progress)
    reserved: list[Reservation] = []
    got: dict[FileType, LocalPath] = {}
    try:
        async with store.sector_lock(sector):
            got.update(await job.have(existing))
            for type in allocate.each():
                # The sealing table, whatever the path: the job may need that much before it trims.
                got[type], reservation = await job.room(type, PathType.SEALING)
                reserved.append(reservation)
        yield SectorPaths(
            sector, {t: p.file(t, sector) for t, p in got.items()}, {t: p.id for t, p in got.items()}
        )
    finally:
        for reservation in reserved:
            reservation.release()
        for type in allocate.each():
            if type in got:
                await _declare_made(store, got[type], sector, type, mode is AcquireMode.MOVE)


async def _declare_made(
    store: Store, path: LocalPath, sector: SectorId, type: FileType, primary: bool
) -> None:
    try:
        there = await path.has(type, sector)
    except StorageError as err:
        log.warn(f"can't tell whether {path.file(type, sector)} was made: {err}")
        return
    if there:
        await store.declare(path.id, sector, type, primary)


class _Acquisition:
    """The steps of one acquisition; the caller holds the sector's lock."""

    def __init__(
        self,
        store: Store,
        sector: SectorId,
        size: int,
        path_type: PathType,
        mode: AcquireMode | None,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._sector = sector
        self._size = size
        self._path_type = path_type
        self._mode = mode
        self._progress = progress

    async def have(self, types: FileType) -> dict[FileType, LocalPath]:
        """Each type's path here, fetched where it was elsewhere only."""
        found: dict[FileType, LocalPath] = {}
        for type in types.each():
            if (path := await self.own(type)) is not None:
                found[type] = path
        missing = [t for t in types.each() if t not in found]
        async with AsyncExitStack() as rooms:
            # All rooms before the first byte: half of a sector helps nobody.
            for type in missing:
                found[type], reservation = await self.room(type, self._path_type)
                rooms.callback(reservation.release)
            for type in missing:
                await self._fetch(type, found[type])
        return found

    async def own(self, type: FileType) -> LocalPath | None:
        """The own path that has the file. A declared file that is not there any more is taken out of the index."""
        for entry in await self._store.index.StorageFindSector(self._sector, type, self._size, False):
            path = self._store.get(entry.ID)
            if path is None:
                continue
            if await path.has(type, self._sector):
                return path
            log.warn(
                f"{path.file(type, self._sector)} was declared and is not there; taking it out of the index"
            )
            await self._store.drop(path.id, self._sector, type)
        return None

    async def room(self, type: FileType, table: PathType) -> tuple[LocalPath, Reservation]:
        """A path that takes the file, with its space reserved: where it is already, else the best one with room."""
        need = space(type, self._size, table)
        full: AllocateSpaceError | None = None
        for path in await self._candidates(type):
            try:
                return path, await path.reserve(self._sector, type, need)
            except AllocateSpaceError as err:
                full = full or err
        raise full or AllocateSpaceError("couldn't find a suitable path for a sector")

    async def _candidates(self, type: FileType) -> list[LocalPath]:
        index = self._store.index
        held = [e.ID for e in await index.StorageFindSector(self._sector, type, self._size, False)]
        mine = self._fitting(type, held)
        if mine:
            return mine
        best = await index.StorageBestAlloc(type, self._size, self._path_type, self._sector.miner)
        return self._fitting(type, [info.ID for info in best])

    def _fitting(self, type: FileType, ids: Iterable[str]) -> list[LocalPath]:
        paths = (self._store.get(id) for id in ids)
        return [p for p in paths if p is not None and p.takes(type, self._sector, self._path_type)]

    async def _fetch(self, type: FileType, path: LocalPath) -> None:
        store, sector = self._store, self._sector
        sources = await store.index.StorageFindSector(sector, type, 0, False)
        others = sorted((s for s in sources if store.get(s.ID) is None), key=lambda s: s.Weight)
        what = f"failed to acquire sector {{{sector.miner} {sector.number}}} from remote"
        if not others:
            raise NotFoundError(f"{what}({int(type)}): sector not found")
        errors: list[str] = []
        for source in others:
            for url in source.URLs or []:
                try:
                    await self._download(url, type, path)
                except AllocateSpaceError:
                    raise  # another source would not fit either
                except StorageError as err:
                    dest = path.fetching(type, sector)
                    errors.append(f"fetch error {url} (storage {source.ID}) -> {dest}: {err}")
                    continue
                await self._settle(url, type, path)
                return
        raise StorageError(f"{what} (tried {_go_list(others)}): {_multierror(errors)}")

    async def _download(self, url: str, type: FileType, path: LocalPath) -> None:
        store, sector = self._store, self._sector
        temp = path.fetching(type, sector)
        # Synced where the miner asks for it: the source goes then, or, of what is copied ahead, once the miner counts on the
        # copy. What a job fetches for itself can be fetched again if a power cut eats it.
        transfer = Download(url, temp, store.headers, durable=self._mode is not None)
        async with store.fetch_slots:
            await path.disk.run(clear, temp)
            log.info(f"Fetch {url} -> {temp}", place="paths/fetch.go:18")
            began = asyncio.get_running_loop().time()
            error: BaseException | None = None
            try:
                names = ", ".join(FILE_TYPE_NAMES[t] for t in type.each())
                what = f"fetching {names} of {sector} from {urlsplit(url).netloc}"
                async with following(what, lambda: (transfer.done, transfer.total)):
                    await _watched(path, transfer, type, self._progress)
                await path.disk.long(put, temp, path.file(type, sector))
            except BaseException as err:
                error = err
                await asyncio.shield(path.disk.long(_clear_quietly, temp))
                raise
            finally:
                took = asyncio.get_running_loop().time() - began
                _say_done(transfer, took, error)

    async def _settle(self, url: str, type: FileType, path: LocalPath) -> None:
        """Declares the copy and, once the index knows it, has the source removed."""
        moving = self._mode is AcquireMode.MOVE
        declared = await self._store.declare(path.id, self._sector, type, moving)
        if not moving or not declared:
            return
        target = f"{url}?keep={path.id}"
        log.info(f"Delete {target}", place="paths/remote.go:376")
        try:
            await path.disk.long(delete, target, self._store.headers)
        except StorageError as err:
            log.warn(f"deleting sector {self._sector}(t:{int(type)}) from {target} after the move: {err}")


def _say_done(transfer: Download, took: float, error: BaseException | None) -> None:
    fields: dict[str, Any] = {
        "url": transfer.url,
        "out": str(transfer.dest),
        "took": round(took, 3),
        "bytes": transfer.done,
        "MiB/s": transfer.done / (took or 1e-9) / (1 << 20),
        "err": None if error is None else str(error) or "cancelled",
    }
    log.info("Fetch done", place="paths/fetch.go:42", **fields)


async def _watched(path: LocalPath, transfer: Download, type: FileType, progress: Progress | None) -> None:
    """Runs the transfer in its thread; a cancelled wait ends it and waits until its thread is out of the file."""
    task = asyncio.create_task(path.disk.long(transfer.run))
    try:
        while not (await asyncio.wait({task}, timeout=TICK if progress else None))[0]:
            if progress is not None:
                progress(type, transfer.done, transfer.total)
        task.result()
    except asyncio.CancelledError:
        transfer.cancel()
        await asyncio.wait({task}, timeout=30)
        if task.done() and not task.cancelled():
            task.exception()
        raise
    if progress is not None:
        progress(type, transfer.done, transfer.done)


async def move_storage(
    store: Store, ref: SectorRef, types: FileType, progress: Progress | None = None
) -> None:
    """Brings the files to a long-term path of this process, primary there; what is on one already stays.

    Other copies stay too (`remove_copies`). Raises like `acquire`.
    """
    sector = ref.ID.id
    size = sector_size(ref.ProofType)
    job = _Acquisition(store, sector, size, PathType.STORAGE, AcquireMode.MOVE, progress)
    async with store.sector_lock(sector):
        here = await job.have(types)
        for type, source in here.items():
            if source.meta.CanStore:
                log.debug(f"not moving {sector}({int(type)}); source supports storage")
                continue
            target, reservation = await job.room(type, PathType.STORAGE)
            try:
                await _move(store, sector, type, source, target)
            finally:
                reservation.release()
    await store.report()


async def _move(store: Store, sector: SectorId, type: FileType, source: LocalPath, target: LocalPath) -> None:
    old, new = source.file(type, sector), target.file(type, sector)
    fields: dict[str, Any] = {"from": str(old), "to": str(new)}
    log.debug("move sector data", place="paths/util_unix.go:30", **fields)
    copied = await target.disk.long(transfer, old, new, target.fetching(type, sector))
    # Declared before the old place is dropped: the sector is never nowhere.
    if await store.declare(target.id, sector, type, True) or not copied:
        await store.drop(source.id, sector, type)
        if copied:
            await source.remove(type, sector)


def _clear_quietly(temp: Path) -> None:
    try:
        remove_tree(temp)
    except StorageError as err:
        log.warn(f"{err}; it goes when the path is opened next")


def _multierror(errors: list[str]) -> str:
    """Several errors as Lotus's Go library lists them."""
    head = "1 error occurred:" if len(errors) == 1 else f"{len(errors)} errors occurred:"
    return head + "\n" + "".join(f"\t* {error}\n" for error in errors) + "\n"


def _go_list(sources: list[SectorStorageInfo]) -> str:
    """The sources as Go prints a list of structs."""
    return f"[{' '.join(_go_struct(source) for source in sources)}]"


def _go_struct(source: SectorStorageInfo) -> str:
    return "{" + " ".join(_go_value(getattr(source, name)) for name in source.__struct_fields__) + "}"


def _go_value(value: object) -> str:
    if value is None:
        return "[]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{' '.join(map(str, value))}]" if isinstance(value, list) else str(value)
